//! Why there is no authenticated connection.

use crate::spark::FieldError;

/// A handshake has failed. There is one attempt per connection: close it, except after
/// [`AuthError::ExpectedSasl`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// A request of a peer that has not authenticated. It is refused and the connection stays; no attempt is
    /// used up.
    #[error(
        "Expected SaslMessage, received something else (maybe your client does not have SASL enabled?)"
    )]
    ExpectedSasl,
    /// The peer does not begin with the auth engine, and SASL is not allowed.
    #[error(
        "Unknown challenge message. (The peer must have spark.network.crypto.enabled=true; \
         spark.network.crypto.saslFallback is off here)"
    )]
    UnknownChallenge,
    /// A handshake's message that cannot be read.
    #[error("malformed handshake: {0}")]
    Malformed(#[from] FieldError),
    /// A handshake's message beyond [`MAX_HANDSHAKE_LEN`](super::MAX_HANDSHAKE_LEN).
    #[error("a handshake of {len} bytes; the limit is {limit}")]
    TooLong {
        /// Its length.
        len: usize,
        /// The longest that is read.
        limit: usize,
    },
    /// A token of DIGEST-MD5 that cannot be read or says what it must not.
    #[error("DIGEST-MD5: {0}")]
    Digest(&'static str),
    /// The client wants SASL to encrypt.
    #[error(
        "SASL encryption (auth-conf) is not supported: turn spark.authenticate.enableSaslEncryption off \
         and encrypt with spark.network.crypto.enabled=true"
    )]
    SaslEncryptionWanted,
    /// The server insists on SASL encryption.
    #[error(
        "the server insists on SASL encryption (spark.network.sasl.serverAlwaysEncrypt), which is not \
         supported: encrypt with spark.network.crypto.enabled=true on both sides"
    )]
    SaslEncryptionRequired,
    /// There is no secret for the application.
    #[error("there is no secret for application {app_id}")]
    UnknownApp {
        /// The id that the peer has given.
        app_id: String,
    },
    /// The peer does not know the secret, or was not configured like this side.
    #[error(
        "{app_id} does not prove that it knows the secret (is spark.authenticate.secret the same on both \
         sides?)"
    )]
    WrongSecret {
        /// The id that the peer has given, or this side's own.
        app_id: String,
    },
    /// The peer's key is one of the few with which there is no secret.
    #[error("the peer's public key makes a secret that everybody knows")]
    WeakKey,
    /// The messages of one handshake name different applications.
    #[error("a handshake begins for application {first} and goes on for {then}")]
    OtherApp {
        /// The first id.
        first: String,
        /// The other one.
        then: String,
    },
    /// The server has refused.
    #[error(
        "the server refuses authentication: {text} (are spark.authenticate.secret and spark.network.crypto.* \
         the same on both sides?)"
    )]
    Refused {
        /// Why, in its words.
        text: String,
    },
    /// The server has refused the auth engine, and SASL, which was tried in its place.
    #[error(
        "the server refuses authentication: {engine}; and SASL in its place \
         (spark.network.crypto.saslFallback): {sasl}. Is spark.authenticate.secret the same on both sides?"
    )]
    FallbackRefused {
        /// Why not the engine, in the server's words.
        engine: String,
        /// Why not SASL.
        sasl: String,
    },
    /// A call out of turn, or after the end: an error of the caller, or a peer's second attempt.
    #[error("handshake out of turn: {0}")]
    OutOfTurn(&'static str),
}

impl AuthError {
    /// Whether the connection may go on, unauthenticated as before. Otherwise it is to be closed, behind the
    /// RpcFailure with [`AuthError::peer_text`].
    pub const fn keeps_connection(&self) -> bool {
        matches!(self, AuthError::ExpectedSasl)
    }

    /// The text of the RpcFailure that the server sends: Spark's text, without details about
    /// secrets.
    pub fn peer_text(&self) -> String {
        match self {
            AuthError::ExpectedSasl => format!("java.lang.IllegalStateException: {self}"),
            AuthError::UnknownChallenge => {
                "java.lang.IllegalArgumentException: Unknown challenge message.".to_owned()
            }
            AuthError::SaslEncryptionWanted => {
                format!("javax.security.sasl.SaslException: {self}")
            }
            _ => "java.lang.IllegalArgumentException: Authentication failed.".to_owned(),
        }
    }
}
