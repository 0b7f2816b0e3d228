//! The failure that answers a request in place of a reply: made by handlers and by the engine, sent
//! in both protocols, and given to the caller within [`RequestError::Remote`](crate::RequestError::Remote).

use std::fmt;

use ringrail_codec::archive::{FailureBody, Phase};
use ringrail_codec::native::FailureCode;

/// A failure that a handler answers with, and that the caller gets: kind, code and chain intact.
///
/// [`message`](Self::message) is one line that says what happened; [`causes`](Self::causes) say why, each one the
/// reason of the one before it. `Display` shows all of them in one line.
///
/// Spark's protocol has one text for a failure, which Spark fills with a Java stack trace. There the message goes out
/// as the first line, and each cause as a line `Caused by: …`. Of what comes, the message is the first line (the class
/// of the exception and its text), the causes are what stands behind `Caused by:`; the lines of the stack in between
/// are dropped. Code, phase and whether to try again are not sent: the code is read from the text where Spark's words
/// are known, else it is [`FailureCode::Internal`].
///
/// ```
/// use ringrail_transport::RpcFailure;
/// use ringrail_codec::native::FailureCode;
///
/// let failure = RpcFailure::new(FailureCode::NotFound, "no block 7").caused_by("file is gone");
/// assert!(!failure.retryable());
/// assert_eq!(failure.to_string(), "no block 7 (NotFound); caused by: file is gone");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcFailure {
    body: Box<FailureBody>,
}

impl RpcFailure {
    /// A failure of the handler's own.
    pub fn new(code: FailureCode, message: impl Into<String>) -> Self {
        Self::in_phase(code, Phase::Handle, message)
    }

    /// A failure of the engine, in a given phase.
    pub(crate) fn in_phase(code: FailureCode, phase: Phase, message: impl Into<String>) -> Self {
        Self {
            body: Box::new(FailureBody::new(code, phase, message)),
        }
    }

    pub(crate) fn from_body(body: FailureBody) -> Self {
        Self {
            body: Box::new(body),
        }
    }

    /// Adds a cause behind those that are there: what led to the last of them, or to the message.
    #[must_use]
    pub fn caused_by(mut self, cause: impl fmt::Display) -> Self {
        self.body.causes.push(cause.to_string());
        self
    }

    /// Says whether the same request may succeed later.
    #[must_use]
    pub fn with_retryable(mut self, retryable: bool) -> Self {
        self.body.retryable = retryable;
        self
    }

    /// The kind of the failure.
    pub fn code(&self) -> FailureCode {
        self.body.failure_code()
    }

    /// Whether the same request may succeed later.
    pub fn retryable(&self) -> bool {
        self.body.retryable
    }

    /// How far the request had come.
    pub fn phase(&self) -> Phase {
        self.body.phase
    }

    /// One line that describes the failure, without its causes. From Spark's servers: the first
    /// line of their stack trace, as `java.lang.RuntimeException: Failed to open file: …`.
    pub fn message(&self) -> &str {
        &self.body.message
    }

    /// The causes, outermost first: each is the reason of the one before it, the first that of
    /// [`message`](Self::message). Empty if the peer sent none. From Spark's servers: the text after each
    /// `Caused by:`, without the stacks.
    pub fn causes(&self) -> &[String] {
        &self.body.causes
    }

    pub(crate) fn body(&self) -> &FailureBody {
        &self.body
    }
}

impl fmt::Display for RpcFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.body.message, self.code())?;
        for cause in &self.body.causes {
            write!(f, "; caused by: {cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for RpcFailure {}
