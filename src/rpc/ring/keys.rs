//! Keys of the transport that an env cannot do as they say.

use ringrail_transport::TransportConf;

use crate::conf::keys::transport;
use crate::conf::{Conf, ConfError, transport_conf};
use crate::rpc::error::RpcError;

/// Refuses more than one connection per peer.
///
/// # Errors
/// The key asks for that.
pub(super) fn one_connection_per_peer(conf: &Conf) -> Result<(), RpcError> {
    let entry = &transport::NUM_CONNECTIONS_PER_PEER;
    let asked = conf.get_entry(entry);
    let asked = asked.map_err(|error| RpcError::Start(error.to_string().into()))?;
    // Spark's key is for Spark's pools: its own RpcEnv has one connection whatever that says.
    if asked <= 1 || !conf.iter().any(|(key, _)| key == entry.key()) {
        return Ok(());
    }
    Err(RpcError::Start(
        format!(
            "{} is {asked}, but an env has one connection per peer, or messages would not keep their order: \
             set it to 1 in the env's configuration, or make further envs that share an engine",
            entry.key()
        )
        .into(),
    ))
}

/// The keys of an engine that are set and that a shared engine does not do as they say.
///
/// # Errors
/// A value that its key cannot have.
pub(super) fn ignored_by(
    engine: &TransportConf,
    conf: &Conf,
) -> Result<Vec<&'static str>, ConfError> {
    let (engine, asked) = (lines(engine), lines(&transport_conf(conf)?));
    let mut ignored = Vec::new();
    for entry in transport::all() {
        let key = entry.key();
        if !conf.iter().any(|(set, _)| set == key) {
            continue;
        }
        let mut others = Conf::new();
        for (other, value) in conf.iter().filter(|(other, _)| *other != key) {
            others.set(other, value);
        }
        // The fields that this key decides are those that differ without it.
        let without = match transport_conf(&others) {
            Ok(without) => lines(&without),
            // It only fits together with the others.
            Err(_) => engine.clone(),
        };
        let fields = asked.iter().zip(&without).zip(&engine);
        let differs = |((asked, without), engine): ((&String, &String), &String)| {
            asked != without && asked != engine
        };
        if fields.into_iter().any(differs) {
            ignored.push(key);
        }
    }
    Ok(ignored)
}

/// The settings, one field per line.
fn lines(conf: &TransportConf) -> Vec<String> {
    format!("{conf:#?}").lines().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_a_shared_engine_does_not_follow_are_named() {
        let engine = transport_conf(&Conf::new().with("ringrail.transport.spinUs", "50")).unwrap();
        let conf = Conf::new()
            .with("ringrail.transport.spinUs", "50")
            .with("ringrail.transport.poolBudget", "512m")
            .with("ringrail.rpc.askTimeout", "5s");
        let ignored = ignored_by(&engine, &conf).unwrap();
        assert_eq!(ignored, ["ringrail.transport.poolBudget"]);
        assert!(ignored_by(&engine, &Conf::new()).unwrap().is_empty());
    }

    #[test]
    fn more_than_one_connection_per_peer_is_refused_with_what_to_do() {
        let asked = Conf::new().with("ringrail.transport.numConnectionsPerPeer", "4");
        let error = one_connection_per_peer(&asked).unwrap_err().to_string();
        assert!(error.contains("numConnectionsPerPeer"), "{error}");
        assert!(error.contains("share an engine"), "{error}");
        one_connection_per_peer(&Conf::new()).unwrap();
        let sparks = Conf::new().with("spark.shuffle.io.numConnectionsPerPeer", "4");
        one_connection_per_peer(&sparks).unwrap();
    }
}
