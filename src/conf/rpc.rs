//! The settings of an env of endpoints, from keys.

use std::sync::{Arc, OnceLock};

use ringrail_transport::TransportConf;

use super::error::ConfError;
use super::keys::{network, rpc, transport};
use super::map::Conf;
use super::settings::transport_conf;
use crate::rpc::settings::{RpcSettings, SettingsSource};
use crate::rpc::{RpcEnv, RpcEnvBuilder, RpcEnvConfig, RpcError, RpcTimeout};

impl From<ConfError> for RpcError {
    fn from(error: ConfError) -> Self {
        RpcError::Start(error.to_string().into())
    }
}

impl RpcEnvBuilder {
    /// Its settings.
    #[must_use = "a builder does nothing until build"]
    pub fn conf(mut self, conf: Conf) -> Self {
        self.config.set_conf(conf);
        self
    }
}

impl RpcEnvConfig {
    /// The settings of the env.
    pub fn conf(&self) -> &Conf {
        conf_of(&*self.source)
    }

    /// Sets the settings of the env.
    pub fn set_conf(&mut self, conf: Conf) {
        self.source = Arc::new(conf);
    }
}

impl RpcEnv {
    /// Its settings.
    pub fn conf(&self) -> &Conf {
        conf_of(self.shared().source())
    }
}

/// The configuration that a source is; where nothing was set, an empty one.
fn conf_of(source: &dyn SettingsSource) -> &Conf {
    static EMPTY: OnceLock<Conf> = OnceLock::new();
    let source: &dyn std::any::Any = source;
    source
        .downcast_ref()
        .unwrap_or_else(|| EMPTY.get_or_init(Conf::new))
}

impl SettingsSource for Conf {
    fn settings(&self) -> Result<RpcSettings, RpcError> {
        self.validate()?;
        Ok(rpc_settings(self)?)
    }

    fn transport(&self) -> Result<TransportConf, RpcError> {
        one_connection_per_peer(self)?;
        Ok(transport_conf(self)?)
    }

    fn threads_of(&self, role: &str) -> Result<Option<usize>, RpcError> {
        let key = format!("spark.{role}.rpc.io.serverThreads");
        let Some(text) = self.get_option(&key)? else {
            return Ok(None);
        };
        text.trim().parse().map(Some).map_err(|_| {
            RpcError::Start(format!("{key} should be a number of threads, but is {text}").into())
        })
    }

    fn ignored_by(&self, engine: &TransportConf) -> Result<Vec<&'static str>, RpcError> {
        one_connection_per_peer(self)?;
        Ok(ignored_by(engine, self)?)
    }
}

/// Fills every field, so that a new one without a key does not compile.
fn rpc_settings(conf: &Conf) -> Result<RpcSettings, ConfError> {
    let ask_timeout = RpcTimeout::ask(conf)?;
    Ok(RpcSettings {
        ask_timeout_ns: u64::try_from(ask_timeout.duration().as_nanos()).unwrap_or(u64::MAX),
        ask_timeout,
        lookup_timeout: RpcTimeout::lookup(conf)?,
        num_retries: conf.get_entry(&rpc::NUM_RETRIES)?,
        retry_wait: conf.get_entry(&rpc::RETRY_WAIT)?,
        remembered: conf.get_entry(&rpc::RETRY_REMEMBERED)?,
        remembered_len: conf.get_entry(&rpc::RETRY_REMEMBERED_SIZE)?,
        inbox_capacity: conf.get_entry(&rpc::INBOX_CAPACITY)?,
        max_stall: conf.get_entry(&rpc::INBOX_MAX_STALL)?,
        inbox_budget: conf.get_entry(&rpc::INBOX_BUDGET)?,
        outbox_capacity: conf.get_entry(&rpc::OUTBOX_CAPACITY)?,
        mailbox_capacity: conf.get_entry(&transport::INBOX)?,
        connect_concurrency: conf.get_entry(&rpc::CONNECT_CONCURRENCY)?,
        port_max_retries: conf.get_entry(&network::PORT_MAX_RETRIES)?,
        shards: conf.get_entry(&rpc::SHARDS)?,
        drain_timeout: conf.get_entry(&transport::DRAIN_TIMEOUT)?,
        message_max: conf.get_entry(&rpc::MESSAGE_MAX_SIZE)?,
    })
}

/// Refuses more than one connection per peer.
///
/// # Errors
/// The key asks for that.
fn one_connection_per_peer(conf: &Conf) -> Result<(), RpcError> {
    let entry = &transport::NUM_CONNECTIONS_PER_PEER;
    let asked = conf.get_entry(entry)?;
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
fn ignored_by(engine: &TransportConf, conf: &Conf) -> Result<Vec<&'static str>, ConfError> {
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
    fn the_defaults_of_the_keys_are_those_of_an_env() {
        let (set, default) = (rpc_settings(&Conf::new()).unwrap(), RpcSettings::default());
        assert_eq!(format!("{set:#?}"), format!("{default:#?}"));
    }

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
