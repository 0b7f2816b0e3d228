//! A command to a peer: a name and `key=value` words.

use std::fmt::{Display, Write};

/// A command line without its id; built word by word.
///
/// ```
/// use ringrail_spark_peers::Call;
/// let call = Call::new("rpc").arg("name", "c 1").arg("size", 64);
/// assert_eq!(call.line(), "rpc name=c%201 size=64");
/// ```
#[derive(Clone, Debug)]
pub struct Call {
    line: String,
}

impl Call {
    /// The command `name` without arguments.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            line: name.to_owned(),
        }
    }

    /// Adds `key=value`.
    #[must_use]
    pub fn arg(mut self, key: &str, value: impl Display) -> Self {
        self.line.push(' ');
        self.line.push_str(key);
        self.line.push('=');
        for byte in value.to_string().bytes() {
            if byte.is_ascii_graphic() && byte != b'%' {
                self.line.push(char::from(byte));
            } else {
                // Writing to a string cannot fail.
                let _ = write!(self.line, "%{byte:02x}");
            }
        }
        self
    }

    /// Adds every pair.
    #[must_use]
    pub fn args<K: AsRef<str>, V: Display>(self, pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        pairs
            .into_iter()
            .fold(self, |call, (key, value)| call.arg(key.as_ref(), value))
    }

    /// The whole line.
    #[must_use]
    pub fn line(&self) -> &str {
        &self.line
    }

    /// The command's name.
    pub(crate) fn name(&self) -> &str {
        self.line.split(' ').next().unwrap_or_default()
    }
}
