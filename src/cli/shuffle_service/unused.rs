//! Keys of Spark's that are set and have no effect in this service: logged once, so that users do
//! not rely on them.

use ringrail::Conf;
use ringrail::conf::keys;

/// Families of keys that Spark's own service reads. Others of a `spark-defaults.conf` are none of its business.
const OF_THE_SERVICE: [&str; 8] = [
    "spark.shuffle.service.",
    "spark.shuffle.server.",
    "spark.shuffle.push.server.",
    "spark.shuffle.io.",
    "spark.shuffle.sasl.",
    "spark.shuffle.max",
    "spark.network.",
    "spark.io.mode.",
];

/// Keys that the command reads under Spark's own names.
const READ: [&str; 6] = [
    "spark.authenticate",
    "spark.authenticate.secret",
    "spark.network.crypto.enabled",
    "spark.network.crypto.authEngineVersion",
    "spark.network.crypto.cipher",
    "spark.network.crypto.saslFallback",
];

/// Keys for applications, set in the same file, that legitimately have no effect here.
const OF_APPLICATIONS: [&str; 3] = [
    "spark.shuffle.service.enabled",
    "spark.shuffle.service.fetch.rdd.enabled",
    "spark.shuffle.service.removeShuffle",
];

/// Warns of them, all in one line.
pub(super) fn warn_of(conf: &Conf) {
    let unused: Vec<&str> = unused(conf).collect();
    if !unused.is_empty() {
        tracing::warn!(
            keys = unused.join(", "),
            "these keys are set and mean nothing here; `ringrail conf explain KEY` tells why"
        );
    }
}

fn unused(conf: &Conf) -> impl Iterator<Item = &str> {
    let keys = conf.iter().map(|(key, _)| key);
    keys.filter(|key| OF_THE_SERVICE.iter().any(|family| key.starts_with(family)))
        .filter(|key| !READ.contains(key) && !OF_APPLICATIONS.contains(key))
        .filter(|key| keys::set_by(key).is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_of_the_service_without_a_meaning_are_named() {
        let mut conf = Conf::new();
        conf.set_all([
            ("spark.executor.memory", "4g"),
            ("spark.shuffle.service.enabled", "true"),
            ("spark.shuffle.service.port", "1"),
            ("spark.shuffle.io.connectionTimeout", "1s"),
            ("spark.shuffle.io.mode", "EPOLL"),
            ("spark.shuffle.service.db.backend", "LEVELDB"),
            ("spark.shuffle.maxChunksBeingTransferred", "5"),
            ("spark.network.timeout", "5s"),
            ("spark.network.crypto.cipher", "AES/GCM/NoPadding"),
            ("spark.network.maxRemoteBlockSizeFetchToMem", "1m"),
        ]);
        let mut found: Vec<_> = unused(&conf).collect();
        found.sort_unstable();
        assert_eq!(
            found,
            [
                "spark.network.maxRemoteBlockSizeFetchToMem",
                "spark.shuffle.io.mode",
                "spark.shuffle.service.db.backend",
            ]
        );
    }
}
