//! Validation of a configuration as a whole.
//!
//! As in Spark, setting a key never fails; code that starts a component from a configuration calls
//! this first.

use std::time::Duration;

#[cfg(feature = "block")]
use super::block::{block_server_settings, fetch_settings};
use super::deprecation::Notice;
use super::entry::{AnyEntry, ConfigEntry};
use super::error::ConfError;
use super::keys::spark::{authentication, global};
use super::keys::{self, network, rpc, transport};
use super::map::Conf;
use super::settings::transport_settings;
use super::time::format_duration;

/// Something that [`Conf::check`] found.
#[derive(Clone, Debug)]
pub enum Problem {
    /// The configuration cannot be used.
    Error(ConfError),
    /// A key was given up, renamed, or does not exist.
    Notice(Notice),
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Problem::Error(error) => error.fmt(f),
            Problem::Notice(notice) => notice.fmt(f),
        }
    }
}

/// A check of values that must fit together.
type Rule = fn(&Conf) -> Result<(), ConfError>;

impl Conf {
    /// Refuses a configuration that cannot be used (Spark: `validateSettings`): a value that its key
    /// cannot have, values that do not fit together, authentication or encryption, which only the shuffle
    /// service has.
    ///
    /// # Errors
    /// The first of these.
    pub fn validate(&self) -> Result<(), ConfError> {
        self.validate_shuffle_service()?;
        self.authentication_exists()
    }

    /// As [`validate`](Self::validate), for a shuffle service, which can ask its clients to authenticate.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn validate_shuffle_service(&self) -> Result<(), ConfError> {
        match self.errors().into_iter().next() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Refuses keys that ask for authentication or encryption, for every component without either: all but
    /// the shuffle service. Every component of this crate that takes a configuration calls this first, so
    /// that no program runs unprotected against its configuration.
    ///
    /// ```
    /// use ringrail::conf::{Conf, transport_conf};
    ///
    /// let conf = Conf::new().with("spark.authenticate", "true");
    /// assert!(conf.refuse_missing_protection().is_err());
    /// assert!(transport_conf(&conf).is_err());
    /// ```
    ///
    /// # Errors
    /// The first such key, and what to set it to.
    pub fn refuse_missing_protection(&self) -> Result<(), ConfError> {
        self.refuse_protection_nobody_has()?;
        self.authentication_exists()
    }

    /// Refuses keys that ask for protection which nothing here has, the shuffle service included.
    pub(super) fn refuse_protection_nobody_has(&self) -> Result<(), ConfError> {
        self.encryption_is_authenticated()?;
        self.tls_is_off()?;
        self.sasl_encrypts_nothing()
    }

    /// Everything that is wrong, and everything that setting these keys warns of.
    pub fn check(&self) -> Vec<Problem> {
        let errors = self.errors().into_iter().map(Problem::Error);
        let notices = self.iter().filter_map(|(key, _)| Notice::of(key));
        errors.chain(notices.map(Problem::Notice)).collect()
    }

    fn errors(&self) -> Vec<ConfError> {
        let values = self.bad_values();
        // Conflicts between keys can be checked only if all values are readable.
        if values.is_empty() {
            self.conflicts()
        } else {
            values
        }
    }

    /// Values that their keys cannot have; each once, also where it counts for several keys.
    fn bad_values(&self) -> Vec<ConfError> {
        let mut errors = Vec::new();
        let mut told = Vec::new();
        for entry in keys::all().iter().flat_map(|family| family.entries) {
            if !self.contains(entry.key()) {
                continue;
            }
            if let Err(error) = entry.value_in(self) {
                if let ConfError::IllegalValue { set_as, .. } = &error {
                    if told.contains(set_as) {
                        continue;
                    }
                    told.push(set_as.clone());
                }
                errors.push(error);
            }
        }
        errors
    }

    fn conflicts(&self) -> Vec<ConfError> {
        let rules: &[Rule] = &[
            Self::fractions,
            Self::deploy_mode,
            Self::encryption_is_authenticated,
            Self::tls_is_off,
            Self::sasl_encrypts_nothing,
            Self::heartbeats_fit,
            Self::messages_fit,
            |conf: &Self| transport_settings(conf).map(drop),
            #[cfg(feature = "block")]
            |conf: &Self| block_server_settings(conf).map(drop),
            #[cfg(feature = "block")]
            |conf: &Self| fetch_settings(conf).map(drop),
        ];
        let broken = rules.iter().filter_map(|rule| rule(self).err());
        broken.collect()
    }

    fn fractions(&self) -> Result<(), ConfError> {
        for entry in [&global::MEMORY_FRACTION, &global::MEMORY_STORAGE_FRACTION] {
            let value = self.get_entry(entry)?;
            if !(0.0..=1.0).contains(&value) {
                let key = entry.key();
                let text = format!("{key} should be between 0 and 1 (was '{value}').");
                return Err(ConfError::Conflict(text));
            }
        }
        Ok(())
    }

    fn deploy_mode(&self) -> Result<(), ConfError> {
        let mode = self.get_entry(&global::SUBMIT_DEPLOY_MODE)?;
        if matches!(mode.as_str(), "cluster" | "client") {
            return Ok(());
        }
        let key = global::SUBMIT_DEPLOY_MODE.key();
        let text = format!("{key} can only be \"cluster\" or \"client\", but was \"{mode}\".");
        Err(ConfError::Conflict(text))
    }

    fn encryption_is_authenticated(&self) -> Result<(), ConfError> {
        let encrypted = self.get_entry(&authentication::CRYPTO_ENABLED)?
            || self.get_entry(&authentication::SASL_ENCRYPTION)?;
        if !encrypted || self.get_entry(&authentication::AUTHENTICATE)? {
            return Ok(());
        }
        let key = authentication::AUTHENTICATE.key();
        let text = format!("{key} must be enabled when enabling encryption.");
        Err(ConfError::Conflict(text))
    }

    /// Authentication is implemented by the shuffle service only.
    fn authentication_exists(&self) -> Result<(), ConfError> {
        self.refuse(
            &authentication::AUTHENTICATE,
            "authentication, which only the shuffle service has: set it to false, and let only trusted hosts \
             connect",
        )
    }

    fn tls_is_off(&self) -> Result<(), ConfError> {
        self.refuse(
            &authentication::SSL_ENABLED,
            "TLS, which this version does not have: set it to false, and let only trusted hosts connect",
        )
    }

    fn sasl_encrypts_nothing(&self) -> Result<(), ConfError> {
        for entry in [
            &authentication::SASL_ENCRYPTION,
            &authentication::SASL_SERVER_ALWAYS_ENCRYPT,
        ] {
            self.refuse(
                entry,
                "3DES or RC4, which this version does not have: set it to false, and \
                 spark.network.crypto.enabled to true",
            )?;
        }
        Ok(())
    }

    fn refuse(&self, entry: &ConfigEntry<bool>, what: &str) -> Result<(), ConfError> {
        if self.get_entry(entry)? {
            let text = format!("{} asks for {what}", entry.key());
            return Err(ConfError::Conflict(text));
        }
        Ok(())
    }

    /// Only where Spark's keys are used: there are no heartbeats of executors otherwise.
    fn heartbeats_fit(&self) -> Result<(), ConfError> {
        let keys = [
            global::NETWORK_TIMEOUT.key(),
            global::EXECUTOR_HEARTBEAT_INTERVAL.key(),
        ];
        if !keys.iter().any(|key| self.contains(key)) {
            return Ok(());
        }
        let timeout = self.get_entry(&network::TIMEOUT)?;
        let interval = self.get_entry(&global::EXECUTOR_HEARTBEAT_INTERVAL)?;
        if timeout > interval {
            return Ok(());
        }
        let text = |entry: &dyn AnyEntry, value: Duration| {
            format!("{}={}", entry.key(), format_duration(value))
        };
        Err(ConfError::Conflict(format!(
            "The value of {} must be more than the value of {}.",
            text(&network::TIMEOUT, timeout),
            text(&global::EXECUTOR_HEARTBEAT_INTERVAL, interval),
        )))
    }

    fn messages_fit(&self) -> Result<(), ConfError> {
        let message = self.get_entry(&rpc::MESSAGE_MAX_SIZE)?;
        let body = self.get_entry(&transport::MAX_RPC_LEN)?;
        if message <= body {
            return Ok(());
        }
        Err(ConfError::Conflict(format!(
            "{} must not be more than {}.",
            rpc::MESSAGE_MAX_SIZE.key(),
            transport::MAX_RPC_LEN.key(),
        )))
    }
}
