//! Configuration of the command: `--conf` and `--properties-file`, and what they stand above.
//!
//! Flags go over `--conf`, that over the properties file, that over the environment, that over what a
//! subcommand has by default, that over the key's own default. A subcommand sets what its flags say with
//! [`flag`] after it has [loaded](Settings::load) the rest.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use ringrail::conf::{Conf, ConfError, ConfigEntry, ConfigValue, FILE_VARIABLE};

use super::failure::Failure;

/// The arguments that every configurable subcommand has.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Configuration")]
pub(crate) struct Settings {
    /// Set a configuration key, such as ringrail.transport.poolBudget=1g; may be given several times.
    /// `ringrail conf list` prints the keys; Spark's names work too
    #[arg(long = "conf", value_name = "KEY=VALUE", global = true)]
    pairs: Vec<Pair>,
    /// Take configuration from this file, in Java's properties format; --conf overrides it
    #[arg(long, value_name = "FILE", global = true, env = FILE_VARIABLE)]
    properties_file: Option<PathBuf>,
}

/// A `KEY=VALUE`.
#[derive(Clone, Debug)]
struct Pair {
    key: String,
    value: String,
}

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = ConfError::NoPair {
            text: text.to_owned(),
        };
        let (key, value) = text.split_once('=').ok_or_else(|| error.to_string())?;
        let key = key.trim();
        if !key.starts_with("ringrail.") && !key.starts_with("spark.") {
            return Err(format!(
                "`{key}` is no key: they begin with ringrail. or spark."
            ));
        }
        Ok(Self {
            key: key.to_owned(),
            value: value.trim().to_owned(),
        })
    }
}

impl Settings {
    /// The configuration without command-line flags. `defaults` are the subcommand's own.
    pub(crate) fn load(&self, defaults: &[(&str, &str)]) -> Result<Conf, Failure> {
        let mut conf = Conf::new();
        conf.load_environment()?;
        if let Some(file) = self.file() {
            conf.load_file(file)?;
        }
        conf.set_all(
            self.pairs
                .iter()
                .map(|Pair { key, value }| (key.as_str(), value.as_str())),
        );
        for (key, value) in defaults {
            if !conf.contains(key) {
                conf.set(*key, *value);
            }
        }
        Ok(conf)
    }

    /// The properties file, if one is given.
    fn file(&self) -> Option<&PathBuf> {
        // A variable that is set to nothing is as good as none.
        let file = self.properties_file.as_ref();
        file.filter(|file| !file.as_os_str().is_empty())
    }
}

/// Sets a key to what a flag says, if the flag is given.
pub(crate) fn flag<T: ConfigValue>(
    conf: &mut Conf,
    entry: &ConfigEntry<T>,
    value: Option<T>,
) -> Result<(), ConfError> {
    if let Some(value) = value {
        conf.set_entry(entry, &value)?;
    }
    Ok(())
}

/// The arguments that have another process of this program configured as this one is.
pub(crate) fn arguments(conf: &Conf) -> Vec<String> {
    let pairs = conf.iter();
    pairs
        .flat_map(|(key, value)| ["--conf".to_owned(), format!("{key}={value}")])
        .collect()
}
