//! [`Failure`]: the error of a handler that returns its reply, made of any error by `?`.

use std::error::Error;
use std::{fmt, io};

use ringrail_codec::native::FailureCode;
use ringrail_transport::{RequestError, RpcFailure};

use super::RpcError;

/// Why a handler has no reply; the caller gets it as [`RpcError::Remote`], or in the same env as it is.
///
/// `?` makes one of any error: its text is kept, the errors behind it (`source`) become its causes, and its kind becomes a
/// [`FailureCode`] where it has one. An [`RpcError`] or [`RpcFailure`] is kept whole; of an [`io::Error`], the kind
/// becomes `NotFound`, `Unauthorized`, `DeadlineExceeded` or `InvalidArgument`, else `SourceIo`; everything else is
/// `Internal`.
///
/// It is no [`Error`] itself, for then `?` could not make it of every error; [`into_error`](Self::into_error) gives one.
///
/// ```
/// use ringrail::rpc::{Failure, FailureCode};
///
/// fn port(text: &str) -> Result<u16, Failure> {
///     let port: u16 = text.parse()?;
///     if port == 0 {
///         return Err(Failure::new(FailureCode::InvalidArgument, "port 0 is no port"));
///     }
///     Ok(port)
/// }
/// assert_eq!(port("http").unwrap_err().to_string(), "invalid digit found in string (Internal)");
/// assert_eq!(port("0").unwrap_err().code(), FailureCode::InvalidArgument);
/// ```
#[derive(Clone)]
pub struct Failure {
    error: RpcError,
}

impl Failure {
    /// A failure of a kind, in words.
    pub fn new(code: FailureCode, text: impl Into<String>) -> Self {
        RpcFailure::new(code, text)
            .with_retryable(code.is_retryable())
            .into()
    }

    /// A failure of no kind in particular, in words.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(FailureCode::Internal, text)
    }

    /// Says whether the same request may succeed later.
    #[must_use]
    pub fn with_retryable(self, retryable: bool) -> Self {
        RpcError::Failure(self.error.to_failure().with_retryable(retryable)).into()
    }

    /// Its kind.
    pub fn code(&self) -> FailureCode {
        self.error.code()
    }

    /// Whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.error.is_retryable()
    }

    /// The error that it stands for.
    pub fn into_error(self) -> RpcError {
        self.error
    }
}

impl<E: Error + 'static> From<E> for Failure {
    #[cold]
    fn from(error: E) -> Self {
        let any: &(dyn Error + 'static) = &error;
        let error = if let Some(error) = any.downcast_ref::<RpcError>() {
            error.clone()
        } else if let Some(failure) = any.downcast_ref::<RpcFailure>() {
            RpcError::Failure(failure.clone())
        } else if let Some(RequestError::Remote { failure, .. }) =
            any.downcast_ref::<RequestError>()
        {
            RpcError::Failure(failure.clone())
        } else {
            RpcError::Failure(foreign(any))
        };
        Self { error }
    }
}

impl From<Failure> for RpcError {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

/// An error of another crate: its text, its causes and, where it has one, its kind.
fn foreign(error: &(dyn Error + 'static)) -> RpcFailure {
    let code = error
        .downcast_ref::<io::Error>()
        .map_or(FailureCode::Internal, |error| code_of(error.kind()));
    let mut failure = RpcFailure::new(code, error.to_string()).with_retryable(code.is_retryable());
    let mut next = error.source();
    while let Some(cause) = next {
        failure = failure.caused_by(cause);
        next = cause.source();
    }
    failure
}

fn code_of(kind: io::ErrorKind) -> FailureCode {
    match kind {
        io::ErrorKind::NotFound => FailureCode::NotFound,
        io::ErrorKind::PermissionDenied => FailureCode::Unauthorized,
        io::ErrorKind::TimedOut => FailureCode::DeadlineExceeded,
        io::ErrorKind::InvalidInput => FailureCode::InvalidArgument,
        _ => FailureCode::SourceIo,
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.error, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(error: impl Error + 'static) -> Failure {
        Failure::from(error)
    }

    #[test]
    fn kinds_texts_and_causes_are_kept() {
        let missing = of(io::Error::new(io::ErrorKind::NotFound, "no such file"));
        assert_eq!(missing.code(), FailureCode::NotFound);
        assert!(missing.to_string().contains("no such file"));

        #[derive(Debug, thiserror::Error)]
        #[error("the index cannot be read")]
        struct Index(#[source] io::Error);
        let caused = of(Index(io::Error::other("the disk is gone")));
        assert_eq!(caused.code(), FailureCode::Internal);
        let RpcError::Failure(failure) = caused.into_error() else {
            panic!("another error");
        };
        assert_eq!(failure.message(), "the index cannot be read");
        assert_eq!(failure.causes(), ["the disk is gone"]);
    }

    #[test]
    fn errors_of_our_own_stay_as_they_are() {
        let failure = RpcFailure::new(FailureCode::Busy, "full").with_retryable(true);
        let kept = of(failure.clone());
        assert_eq!(
            (kept.code(), kept.is_retryable()),
            (FailureCode::Busy, true)
        );
        let kept = of(RpcError::Failure(failure));
        assert_eq!(kept.code(), FailureCode::Busy);
        assert!(!kept.with_retryable(false).is_retryable());
    }
}
