//! [`RpcTimeout`]: a time, and the key that it comes from.
//!
//! Every error that says that a time is up says which key to raise, once (Spark: `RpcTimeout`).

use std::borrow::Cow;
use std::time::Duration;

/// Tells that a text names its key already.
const CONTROLLED_BY: &str = "This timeout is controlled by ";

/// A time, and the key that controls it.
///
/// ```
/// use ringrail::conf::{Conf, RpcTimeout};
///
/// let timeout = RpcTimeout::ask(&Conf::new().with("spark.network.timeout", "5s"))?;
/// assert_eq!(timeout.duration().as_secs(), 5);
/// assert_eq!(
///     timeout.decorate("Cannot receive any reply from host:7077 in 5 s."),
///     "Cannot receive any reply from host:7077 in 5 s. \
///      This timeout is controlled by ringrail.network.timeout",
/// );
/// # Ok::<(), ringrail::conf::ConfError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RpcTimeout {
    duration: Duration,
    key: Cow<'static, str>,
}

impl RpcTimeout {
    /// This time, controlled by this key.
    pub fn new(duration: Duration, key: impl Into<Cow<'static, str>>) -> Self {
        let key = key.into();
        Self { duration, key }
    }

    /// The time.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// The key that controls it.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The same key with another time, for a caller who names one.
    #[must_use]
    pub fn with_duration(&self, duration: Duration) -> Self {
        Self::new(duration, self.key.clone())
    }

    /// Adds the key to the text of an error, unless a key is named there already.
    pub fn decorate(&self, text: &str) -> String {
        if text.contains(CONTROLLED_BY) {
            return text.to_owned();
        }
        format!("{} {CONTROLLED_BY}{}", text.trim_end(), self.key)
    }
}
