//! [`RpcTimeout`]: a time, and the key that it comes from; [`TimedOut`]: that it is up.
//!
//! Every error that says that a time is up says which key to raise, once (Spark: `RpcTimeout`).

use std::borrow::Cow;
use std::fmt;
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

/// An ask whose reply did not come in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimedOut {
    /// The peer or endpoint that did not reply.
    pub from: String,
    /// The time that was allowed.
    pub after: Duration,
    /// How far the ask had come.
    pub phase: AskPhase,
    /// The key that controls the time.
    pub key: String,
}

/// How far an ask had come when its time was up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AskPhase {
    /// It waited for the thread that the endpoint or the connection lives on.
    Posted,
    /// It waited for a connection; nothing was sent.
    Connecting,
    /// It was sent and not answered.
    Sent,
    /// The answer had begun to arrive.
    Receiving,
    /// It waited in the endpoint's inbox, or its handler had it.
    Delivered,
}

impl fmt::Display for AskPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AskPhase::Posted => "it was not yet taken up by its thread",
            AskPhase::Connecting => "it waited for a connection and was not sent",
            AskPhase::Sent => "it was sent",
            AskPhase::Receiving => "its reply had begun to arrive",
            AskPhase::Delivered => "the endpoint had it",
        })
    }
}

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            from,
            after,
            phase,
            key,
        } = self;
        write!(
            f,
            "Cannot receive any reply from {from} in {}: {phase}. This timeout is controlled by {key}",
            Span(*after)
        )
    }
}

/// A duration in words, as Spark prints them.
struct Span(Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let (count, unit) = match (millis, self.0.subsec_nanos() % 1_000_000) {
            (_, 0) if millis != 0 && millis.is_multiple_of(1000) => (millis / 1000, "second"),
            (_, 0) => (millis, "millisecond"),
            _ => return write!(f, "{:?}", self.0),
        };
        write!(f, "{count} {unit}{}", if count == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::RpcError;

    #[test]
    fn a_timeout_names_who_how_long_how_far_and_the_key_once() {
        let timeout = RpcTimeout::new(Duration::from_secs(120), "ringrail.rpc.askTimeout");
        let error = RpcError::timed_out("host:7077".into(), &timeout, AskPhase::Sent);
        assert_eq!(
            error.to_string(),
            "Cannot receive any reply from host:7077 in 120 seconds: it was sent. \
             This timeout is controlled by ringrail.rpc.askTimeout"
        );
        assert_eq!(Span(Duration::from_millis(1)).to_string(), "1 millisecond");
        assert_eq!(Span(Duration::from_secs(1)).to_string(), "1 second");
        assert_eq!(
            Span(Duration::from_millis(1500)).to_string(),
            "1500 milliseconds"
        );
        assert_eq!(Span(Duration::from_micros(1500)).to_string(), "1.5ms");
    }
}
