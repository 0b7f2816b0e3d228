//! Errors of endpoints, refs and asks, and what to do about them.
//!
//! One type for callers and handlers: a handler's error crosses the wire as an [`RpcFailure`]
//! (code, phase, text, causes, retryable) and arrives as [`RpcError::Remote`].

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use ringrail_codec::archive::ArchiveError;
use ringrail_codec::native::FailureCode;
use ringrail_transport::{RequestError, RpcFailure};

use super::timeout::{AskPhase, TimedOut};
use super::{RpcAddress, RpcTimeout};

/// Why an operation of an env, a ref or an endpoint failed. Cheap to clone.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RpcError {
    /// A text is no URI of an endpoint: `rail://name@host:port`.
    #[error("Invalid {scheme} URL: {uri}")]
    InvalidUri {
        /// `rail` or `Spark`.
        scheme: &'static str,
        /// The text.
        uri: Arc<str>,
    },
    /// An endpoint cannot be called so.
    #[error(
        "an endpoint cannot be called {name:?}: 1 to 255 bytes, no blanks, none of / ? # @ [ ]"
    )]
    InvalidName {
        /// The name.
        name: Arc<str>,
    },
    /// The name is taken.
    #[error("There is already an RpcEndpoint called {name}")]
    AlreadyRegistered {
        /// The name.
        name: Arc<str>,
    },
    /// Another name of this env has the same number on the wire.
    #[error("{name} and {other} have the same id on the wire; call one of them something else")]
    NameClash {
        /// The name.
        name: Arc<str>,
        /// The one that is there already.
        other: Arc<str>,
    },
    /// Two types of this program are called the same on the wire.
    #[error("two types of messages are called {name} ({types}): call one of them something else")]
    MessageClash {
        /// The name.
        name: &'static str,
        /// Their paths.
        types: Arc<str>,
    },
    /// The two sides do not mean the same by a message's name.
    #[error(
        "{message} from {from} is another type there than here ({here}): its fields or its reply differ. Build both \
         sides from the same definition, or change its name"
    )]
    SchemaMismatch {
        /// The message's name.
        message: Arc<str>,
        /// The sender.
        from: Arc<str>,
        /// The type that it is here.
        here: &'static str,
    },
    /// The env has been shut down.
    #[error("{text}")]
    EnvStopped {
        /// Spark's words for it.
        text: &'static str,
    },
    /// There is no endpoint of this name.
    #[error("Could not find {name}.")]
    CouldNotFind {
        /// The name.
        name: Arc<str>,
    },
    /// The verifier at that address says that there is no such endpoint.
    #[error("Cannot find endpoint: {uri}")]
    EndpointNotFound {
        /// The endpoint.
        uri: Arc<str>,
    },
    /// The endpoint handles no message of this name.
    #[error("Unsupported message {message} from {from}")]
    Unsupported {
        /// The message's name.
        message: Arc<str>,
        /// The sender.
        from: Arc<str>,
    },
    /// The endpoint handles no messages at all.
    #[error("{endpoint} does not implement 'receive'")]
    NotImplemented {
        /// The endpoint.
        endpoint: Arc<str>,
    },
    /// The endpoint answers no asks at all.
    #[error("{endpoint} won't reply anything")]
    WontReply {
        /// The endpoint.
        endpoint: Arc<str>,
    },
    /// The handler let the call go without an answer.
    #[error("{endpoint} let the call go without a reply")]
    NoReply {
        /// The endpoint.
        endpoint: Arc<str>,
    },
    /// The handler panicked.
    #[error("the handler of {message} panicked: {text}")]
    Panicked {
        /// The message's name, or the life-cycle hook's.
        message: Arc<str>,
        /// The panic's text.
        text: Arc<str>,
    },
    /// No reply in time.
    #[error("{0}")]
    TimedOut(Arc<TimedOut>),
    /// A failure that the peer's handler, or the peer itself, answered with.
    #[error("{address} answered: {failure}")]
    Remote {
        /// The peer.
        address: RpcAddress,
        /// The failure that it answered with.
        failure: RpcFailure,
    },
    /// A failure of a handler's own.
    #[error("{0}")]
    Failure(RpcFailure),
    /// The connection failed, or took the request with it.
    #[error("{0}")]
    Request(Arc<RequestError>),
    /// There is no connection.
    #[error("Failed to connect to {address}: {detail}")]
    Connect {
        /// The peer.
        address: RpcAddress,
        /// Why there is none.
        detail: Arc<str>,
    },
    /// The connection to the peer ended first.
    #[error("Connection from {address} closed")]
    Disconnected {
        /// The peer.
        address: RpcAddress,
    },
    /// The peer was stopped or lost while the message waited for a connection.
    #[error("Message is dropped because Outbox is stopped")]
    OutboxStopped,
    /// The endpoint is of an env that does not listen, and this is not the env that it is
    /// connected to.
    #[error("Cannot send message to client endpoint with no listen address.")]
    NoListenAddress,
    /// An ask was made as often as it may be, and failed every time.
    #[error("Error sending message [message = {message}] in {attempts} attempts: {last}")]
    Retried {
        /// The message's name.
        message: &'static str,
        /// How often.
        attempts: u32,
        /// Why the last one failed.
        last: Arc<RpcError>,
    },
    /// The caller aborted the ask.
    #[error("the ask was aborted: {cause}")]
    Aborted {
        /// The caller's text.
        cause: Arc<str>,
    },
    /// A bound is reached: try again when something has finished.
    #[error("{what} is full ({limit}): try again later, or raise {key}")]
    Busy {
        /// The queue or table.
        what: &'static str,
        /// Its bound.
        limit: u64,
        /// The key that sets it.
        key: &'static str,
    },
    /// Bytes that are not the archive they should be.
    #[error("{message} from {from} cannot be read: {detail}")]
    BadArchive {
        /// The message's name.
        message: Arc<str>,
        /// The sender.
        from: Arc<str>,
        /// A description of what is wrong.
        detail: Arc<str>,
    },
    /// A value cannot be serialised.
    #[error("{message} cannot be serialised: {detail}")]
    Encode {
        /// The message's name.
        message: &'static str,
        /// Why not.
        detail: Arc<str>,
    },
    /// A call that blocks, on a thread that runs endpoints: it would wait for itself.
    #[error(
        "{what} would block a thread that runs endpoints, and could wait for itself: use the \
         asynchronous form there, or an isolated endpoint, which may wait for all endpoints but its own thread's"
    )]
    WouldBlock {
        /// The call.
        what: &'static str,
    },
    /// The env could not be started.
    #[error("{0}")]
    Start(Arc<str>),
    /// A ref was read from bytes without an env for it to belong to.
    #[error("a ref can only be read inside a message, or inside RpcEnv::deserialize")]
    NoScope,
}

/// The error of operations on a stopped env.
pub(crate) const ENV_STOPPED: RpcError = RpcError::EnvStopped {
    text: "RpcEnv already stopped.",
};

/// The error of registering with a stopped env.
pub(crate) const ENV_HAS_STOPPED: RpcError = RpcError::EnvStopped {
    text: "RpcEnv has been stopped",
};

impl RpcError {
    /// A reply that is not what its type says.
    #[cold]
    pub(crate) fn bad_reply(from: Option<&RpcAddress>, error: &ArchiveError) -> Self {
        match from {
            Some(from) => Self::bad_archive("the reply", from, error),
            None => Self::bad_archive("the reply", &"a peer", error),
        }
    }

    /// `what` has as many as `key` allows.
    pub(crate) fn busy(what: &'static str, limit: usize, key: &'static str) -> Self {
        let limit = limit as u64;
        RpcError::Busy { what, limit, key }
    }

    /// `what` has as many as there can be.
    pub(crate) fn too_many(what: &'static str, limit: usize) -> Self {
        Self::busy(what, limit, "nothing: it is fixed")
    }

    /// There is no endpoint of this name.
    pub(crate) fn no_endpoint(name: &Arc<str>) -> Self {
        let name = Arc::clone(name);
        RpcError::CouldNotFind { name }
    }

    /// The connection to `address` has ended.
    pub(crate) fn disconnected(address: &RpcAddress) -> Self {
        let address = address.clone();
        RpcError::Disconnected { address }
    }

    /// There is no connection to `address`.
    pub(crate) fn not_connected(address: &RpcAddress, detail: &dyn fmt::Display) -> Self {
        let (address, detail) = (address.clone(), detail.to_string().into());
        RpcError::Connect { address, detail }
    }

    /// A message of `from` is no archive of its type.
    #[cold]
    pub(crate) fn bad_archive(
        message: &str,
        from: &dyn fmt::Display,
        detail: &dyn fmt::Display,
    ) -> Self {
        RpcError::BadArchive {
            message: message.into(),
            from: from.to_string().into(),
            detail: detail.to_string().into(),
        }
    }

    /// A message, or another value of this type, cannot be serialised.
    #[cold]
    pub(crate) fn unserialisable(message: &'static str, detail: &dyn fmt::Display) -> Self {
        let detail = detail.to_string().into();
        RpcError::Encode { message, detail }
    }

    /// A reply that is no archive.
    #[cold]
    pub(crate) fn unserialisable_reply(error: &dyn fmt::Display) -> Self {
        Self::other(format!("the reply cannot be serialised: {error}"))
    }

    /// A failure of a handler's own, in words.
    pub fn other(text: impl Into<String>) -> Self {
        Self::failure(FailureCode::Internal, text)
    }

    /// A failure of a handler's own, of a kind.
    pub fn failure(code: FailureCode, text: impl Into<String>) -> Self {
        RpcError::Failure(RpcFailure::new(code, text))
    }

    /// A failure of a handler's own that an error led to; its chain of causes is kept.
    pub fn caused_by(text: impl Into<String>, cause: &(dyn Error + 'static)) -> Self {
        let mut failure = RpcFailure::new(FailureCode::Internal, text);
        let mut next = Some(cause);
        while let Some(error) = next {
            failure = failure.caused_by(error);
            next = error.source();
        }
        RpcError::Failure(failure)
    }

    pub(crate) fn invalid_uri(uri: &str) -> Self {
        let spark = uri.starts_with("spark:");
        RpcError::InvalidUri {
            scheme: if spark { "Spark" } else { "rail" },
            uri: uri.into(),
        }
    }

    pub(crate) fn timed_out(from: String, timeout: &RpcTimeout, phase: AskPhase) -> Self {
        RpcError::TimedOut(Arc::new(TimedOut {
            from,
            after: timeout.duration(),
            phase,
            key: timeout.key().to_owned(),
        }))
    }

    /// Whether a connection, or the other side's queue in this process, has no room at the moment.
    pub(crate) fn wants_room(&self) -> bool {
        match self {
            RpcError::Busy { .. } => true,
            RpcError::Request(error) => matches!(**error, RequestError::Busy { .. }),
            _ => false,
        }
    }

    /// Whether the same ask, made again, may succeed.
    pub fn is_retryable(&self) -> bool {
        match self {
            RpcError::Remote { failure, .. } | RpcError::Failure(failure) => failure.retryable(),
            RpcError::Request(error) => error.is_retryable(),
            RpcError::TimedOut(_)
            | RpcError::Connect { .. }
            | RpcError::Disconnected { .. }
            | RpcError::OutboxStopped
            | RpcError::Busy { .. } => true,
            _ => false,
        }
    }

    /// The kind of failure, here or, where the peer answered with it, there.
    pub fn code(&self) -> FailureCode {
        match self {
            RpcError::Remote { failure, .. } | RpcError::Failure(failure) => failure.code(),
            RpcError::Request(error) => match error.as_ref() {
                RequestError::Remote { failure, .. } => failure.code(),
                RequestError::TooLarge { .. } => FailureCode::TooLarge,
                RequestError::Busy { .. } => FailureCode::Busy,
                RequestError::Cancelled => FailureCode::Cancelled,
                _ => FailureCode::Internal,
            },
            RpcError::Retried { last, .. } => last.code(),
            RpcError::CouldNotFind { .. } | RpcError::EndpointNotFound { .. } => {
                FailureCode::NotFound
            }
            RpcError::Unsupported { .. }
            | RpcError::NotImplemented { .. }
            | RpcError::WontReply { .. } => FailureCode::Unsupported,
            RpcError::NoReply { .. } => FailureCode::NoReply,
            RpcError::Panicked { .. } => FailureCode::HandlerPanicked,
            RpcError::TimedOut(_) => FailureCode::DeadlineExceeded,
            RpcError::EnvStopped { .. } => FailureCode::ShuttingDown,
            RpcError::Aborted { .. } => FailureCode::Cancelled,
            RpcError::Busy { .. } => FailureCode::Busy,
            RpcError::BadArchive { .. } | RpcError::SchemaMismatch { .. } => {
                FailureCode::BadArchive
            }
            RpcError::InvalidUri { .. }
            | RpcError::InvalidName { .. }
            | RpcError::AlreadyRegistered { .. }
            | RpcError::NameClash { .. }
            | RpcError::MessageClash { .. } => FailureCode::InvalidArgument,
            _ => FailureCode::Internal,
        }
    }

    /// As it crosses the wire.
    pub(crate) fn to_failure(&self) -> RpcFailure {
        match self {
            RpcError::Failure(failure) => failure.clone(),
            // Passed on: its code and chain stay, with who said it in front.
            RpcError::Remote { address, failure } => {
                let text = format!("{address} answered: {}", failure.message());
                let passed = RpcFailure::new(failure.code(), text);
                let causes = failure.causes().iter();
                causes
                    .fold(passed, RpcFailure::caused_by)
                    .with_retryable(failure.retryable())
            }
            other => RpcFailure::new(other.code(), other.to_string())
                .with_retryable(other.is_retryable()),
        }
    }
}

impl From<RpcFailure> for RpcError {
    fn from(failure: RpcFailure) -> Self {
        RpcError::Failure(failure)
    }
}

impl From<RequestError> for RpcError {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Unserialisable { detail } => Self::unserialisable("the message", &detail),
            error => RpcError::Request(Arc::new(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_keep_code_chain_and_retryability_when_passed_on() {
        let failure = RpcFailure::new(FailureCode::SourceIo, "no disk")
            .caused_by("cable")
            .with_retryable(true);
        let address = RpcAddress::new("h", 1);
        let passed = RpcError::Remote { address, failure }.to_failure();
        assert_eq!(passed.code(), FailureCode::SourceIo);
        assert_eq!(passed.causes(), ["cable"]);
        assert!(passed.retryable());
        assert_eq!(passed.message(), "h:1 answered: no disk");
    }

    #[test]
    fn errors_stay_small() {
        assert!(size_of::<RpcError>() <= 56, "{}", size_of::<RpcError>());
    }
}
