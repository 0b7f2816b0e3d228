//! [`RpcTimeout`]s from keys.

use std::time::Duration;

use super::entry::ConfigEntry;
use super::error::ConfError;
use super::keys::{network, rpc};
use super::map::Conf;
use super::time::{TimeUnit, format_duration, parse_duration};
use super::value::ValueError;
use crate::rpc::RpcTimeout;

impl RpcTimeout {
    /// How long an ask waits: `ringrail.rpc.askTimeout`, else `ringrail.network.timeout`.
    ///
    /// # Errors
    /// The value of the key is no time.
    pub fn ask(conf: &Conf) -> Result<Self, ConfError> {
        Self::from_entries(conf, &[&rpc::ASK_TIMEOUT, &network::TIMEOUT])
    }

    /// How long a lookup waits: `ringrail.rpc.lookupTimeout`, else `ringrail.network.timeout`.
    ///
    /// # Errors
    /// The value of the key is no time.
    pub fn lookup(conf: &Conf) -> Result<Self, ConfError> {
        Self::from_entries(conf, &[&rpc::LOOKUP_TIMEOUT, &network::TIMEOUT])
    }

    /// The time of the first entry that is set, by itself or under another of its names. Where none
    /// is, that of the first entry, by its default; the first is then the one that is named.
    ///
    /// # Errors
    /// The value is no time, or nothing is set and the first entry has no default. No entries at all
    /// are an error too.
    pub fn from_entries(
        conf: &Conf,
        entries: &[&ConfigEntry<Duration>],
    ) -> Result<Self, ConfError> {
        let set = entries.iter().find(|entry| conf.contains(entry.key()));
        let entry = set.or(entries.first());
        let entry = entry.ok_or_else(|| ConfError::not_set("(no key given)"))?;
        Ok(Self::new(conf.get_entry(entry)?, entry.key()))
    }

    /// The time of the first of these keys that is set; where none is, `default`, and the first key is
    /// the one that is named. Bare numbers are seconds. For keys without an entry.
    ///
    /// # Errors
    /// The value is no time, or negative. No keys at all are an error too.
    pub fn from_keys(
        conf: &Conf,
        keys: &[&'static str],
        default: Duration,
    ) -> Result<Self, ConfError> {
        for key in keys {
            let Some(found) = conf.find(key)? else {
                continue;
            };
            let duration = parse_duration(&found.text, TimeUnit::Seconds)
                .and_then(|time| time.ok_or_else(|| ValueError::new("must not be negative")));
            let duration = duration.map_err(|cause| ConfError::illegal(key, found.key, cause))?;
            return Ok(Self::new(duration, *key));
        }
        let first = keys.first();
        let first = first.ok_or_else(|| ConfError::not_set("(no key given)"))?;
        Ok(Self::new(default, *first))
    }
}

impl std::fmt::Display for RpcTimeout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", format_duration(self.duration()), self.key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [&str; 2] = ["spark.rpc.askTimeout", "spark.network.timeout"];

    #[test]
    fn the_first_key_that_is_set_wins_and_is_named() {
        let timeout = |conf: &Conf| {
            let timeout = RpcTimeout::from_keys(conf, &BOTH, Duration::from_secs(120)).unwrap();
            (timeout.duration(), timeout.key().to_owned())
        };
        let mut conf = Conf::new();
        assert_eq!(timeout(&conf), (Duration::from_secs(120), BOTH[0].into()));
        conf.set("spark.network.timeout", "7");
        assert_eq!(timeout(&conf), (Duration::from_secs(7), BOTH[1].into()));
        conf.set("spark.rpc.askTimeout", "500ms");
        assert_eq!(timeout(&conf), (Duration::from_millis(500), BOTH[0].into()));
    }

    #[test]
    fn entries_are_resolved_as_keys_are_also_under_old_names() {
        let mut conf = Conf::new();
        let named = |conf: &Conf| {
            let timeout = RpcTimeout::ask(conf).unwrap();
            (timeout.duration().as_secs(), timeout.key().to_owned())
        };
        assert_eq!(named(&conf), (120, "ringrail.rpc.askTimeout".into()));
        conf.set("spark.network.timeout", "7s");
        assert_eq!(named(&conf), (7, "ringrail.network.timeout".into()));
        conf.set("spark.akka.askTimeout", "9");
        assert_eq!(named(&conf), (9, "ringrail.rpc.askTimeout".into()));
    }

    #[test]
    fn a_text_is_decorated_once() {
        let ask = RpcTimeout::new(Duration::from_secs(1), "a.key");
        let lookup = RpcTimeout::new(Duration::from_secs(1), "another.key");
        let once = ask.decorate("No reply in 1 s.");
        assert_eq!(once, "No reply in 1 s. This timeout is controlled by a.key");
        assert_eq!(ask.decorate(&once), once);
        assert_eq!(lookup.decorate(&once), once);
    }

    #[test]
    fn what_is_no_time_is_refused_by_key() {
        let conf = Conf::new().with("spark.rpc.askTimeout", "soon");
        let error = RpcTimeout::from_keys(&conf, &BOTH, Duration::ZERO).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("Illegal value for config key spark.rpc.askTimeout: ")
        );
        let error = RpcTimeout::ask(&conf).unwrap_err().to_string();
        assert!(
            error.contains("ringrail.rpc.askTimeout (set as spark.rpc.askTimeout)"),
            "{error}"
        );
        assert!(RpcTimeout::from_keys(&conf, &[], Duration::ZERO).is_err());
        let conf = Conf::new().with("spark.rpc.askTimeout", "-1s");
        assert!(RpcTimeout::from_keys(&conf, &BOTH, Duration::ZERO).is_err());
    }
}
