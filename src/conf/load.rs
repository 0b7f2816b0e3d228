//! Sources of a [`Conf`]'s defaults: the environment, then a properties file over it.
//!
//! Values that a program sets afterwards override both. In place of Java's system properties there are
//! variables: `RINGRAIL_CONF_` and the key in capitals, with `_` for a dot and before an inner capital,
//! without `ringrail.`: `RINGRAIL_CONF_RPC_ASK_TIMEOUT` for `ringrail.rpc.askTimeout`,
//! `RINGRAIL_CONF_SPARK_NETWORK_TIMEOUT` for `spark.network.timeout`. `RINGRAIL_PROPERTIES_FILE` names
//! the file.

use std::env;
use std::path::Path;

use super::deprecation::Notice;
use super::error::ConfError;
use super::keys;
use super::map::Conf;
use super::properties::{self, Property};

/// Prefix of the environment variables that set keys.
pub const VARIABLE_PREFIX: &str = "RINGRAIL_CONF_";

/// The variable that names the properties file.
pub const FILE_VARIABLE: &str = "RINGRAIL_PROPERTIES_FILE";

/// The variable that sets a key.
///
/// ```
/// use ringrail::conf::variable_of;
///
/// assert_eq!(variable_of("ringrail.rpc.askTimeout"), "RINGRAIL_CONF_RPC_ASK_TIMEOUT");
/// assert_eq!(variable_of("spark.network.timeout"), "RINGRAIL_CONF_SPARK_NETWORK_TIMEOUT");
/// ```
pub fn variable_of(key: &str) -> String {
    let mut out = String::from(VARIABLE_PREFIX);
    let mut after_small = false;
    for char in key.strip_prefix("ringrail.").unwrap_or(key).chars() {
        if char.is_ascii_uppercase() && after_small {
            out.push('_');
        }
        after_small = char.is_ascii_lowercase() || char.is_ascii_digit();
        out.push(if char == '.' {
            '_'
        } else {
            char.to_ascii_uppercase()
        });
    }
    out
}

impl Conf {
    /// One with the defaults of this process: variables of the environment, and over them the file
    /// that `RINGRAIL_PROPERTIES_FILE` names (Spark: `new SparkConf()`).
    ///
    /// # Errors
    /// The file cannot be read, or a variable is not UTF-8.
    pub fn load() -> Result<Self, ConfError> {
        let mut conf = Self::new();
        conf.load_environment()?;
        if let Some(file) = env::var_os(FILE_VARIABLE).filter(|file| !file.is_empty()) {
            conf.load_file(Path::new(&file))?;
        }
        Ok(conf)
    }

    /// Sets what the variables of this process's environment set.
    ///
    /// # Errors
    /// One of them is not UTF-8.
    pub fn load_environment(&mut self) -> Result<&mut Self, ConfError> {
        let mut found = Vec::new();
        for (name, value) in env::vars_os() {
            let Some(name) = name
                .to_str()
                .filter(|name| name.starts_with(VARIABLE_PREFIX))
            else {
                continue;
            };
            let value = value.into_string();
            let value = value.map_err(|_| ConfError::NotText {
                variable: name.to_owned(),
            })?;
            found.push((name.to_owned(), value));
        }
        Ok(self.load_variables(found))
    }

    /// Sets what these variables set. Those with other names are left alone; one that begins with
    /// [`VARIABLE_PREFIX`] and belongs to no key is warned of.
    pub fn load_variables<N, V>(&mut self, variables: impl IntoIterator<Item = (N, V)>) -> &mut Self
    where
        N: AsRef<str>,
        V: Into<String>,
    {
        for (name, value) in variables {
            let name = name.as_ref();
            if !name.starts_with(VARIABLE_PREFIX) {
                continue;
            }
            match keys::index().of_variable(name) {
                Some(key) => {
                    self.set(key, value);
                }
                None => warn_of_variable(name),
            }
        }
        self
    }

    /// Sets what a properties file sets. White space at the end of a value is dropped, and a key that
    /// begins neither with `ringrail.` nor with `spark.` is left out with a warning, both as in Spark.
    ///
    /// # Errors
    /// The file cannot be read; nothing has changed.
    pub fn load_file(&mut self, path: &Path) -> Result<&mut Self, ConfError> {
        Ok(self.load_properties(properties::read_file(path)?))
    }

    /// As [`load_file`](Conf::load_file), of lines that were read already.
    pub fn load_properties(&mut self, lines: impl IntoIterator<Item = Property>) -> &mut Self {
        for Property { key, value, line } in lines {
            if key.starts_with("ringrail.") || key.starts_with("spark.") {
                let value = value.trim_matches(|char: char| char <= ' ' && !"\r\n".contains(char));
                self.set(key, value);
            } else {
                tracing::warn!(target: "ringrail::conf", key, line, "left out: keys begin with ringrail. or spark.");
            }
        }
        self
    }
}

fn warn_of_variable(name: &str) {
    let key = name.trim_start_matches(VARIABLE_PREFIX);
    let nearest = keys::index().nearest_variable(name);
    let notice = Notice::UnknownVariable {
        variable: name.to_owned(),
        nearest,
    };
    tracing::warn!(target: "ringrail::conf", key, "{notice}");
}
