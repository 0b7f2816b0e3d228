//! The handshakes that a side supports.

use std::fmt;
use std::str::FromStr;

/// How the auth engine makes keys: `spark.network.crypto.authEngineVersion`. It is not negotiated, both sides
/// must be configured alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum EngineVersion {
    /// The agreed secret is the key (AES-256). Spark's default.
    #[default]
    V1,
    /// The key is derived from it and from the handshake (AES-128).
    V2,
}

/// How records are encrypted: `spark.network.crypto.cipher`. Not negotiated either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Cipher {
    /// A key stream per direction; no bytes are added, and changes on the way are not noticed. Spark's
    /// default.
    #[default]
    AesCtr,
    /// Messages in segments, each with a tag: changes on the way are noticed.
    AesGcm,
}

impl Cipher {
    /// Spark's name for it.
    pub const fn name(self) -> &'static str {
        match self {
            Cipher::AesCtr => "AES/CTR/NoPadding",
            Cipher::AesGcm => "AES/GCM/NoPadding",
        }
    }
}

impl fmt::Display for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A cipher that Spark does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown cipher {0}: spark.network.crypto.cipher is AES/CTR/NoPadding or AES/GCM/NoPadding"
)]
pub struct UnknownCipher(String);

impl FromStr for Cipher {
    type Err = UnknownCipher;

    fn from_str(name: &str) -> Result<Self, UnknownCipher> {
        [Cipher::AesCtr, Cipher::AesGcm]
            .into_iter()
            .find(|cipher| cipher.name() == name)
            .ok_or_else(|| UnknownCipher(name.to_owned()))
    }
}

/// The auth engine as it is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct AuthEngine {
    /// How keys are made.
    pub version: EngineVersion,
    /// How records are encrypted.
    pub cipher: Cipher,
}

/// The handshakes that a server takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerMode {
    /// SASL alone: `spark.authenticate`.
    Sasl,
    /// The auth engine: `spark.network.crypto.enabled`.
    Engine {
        /// How it is configured.
        engine: AuthEngine,
        /// Whether a client may use SASL instead, and go on in plain frames:
        /// `spark.network.crypto.saslFallback`.
        sasl_fallback: bool,
    },
}

/// The handshake that a client begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientMode {
    /// SASL alone: `spark.authenticate`.
    Sasl,
    /// The auth engine: `spark.network.crypto.enabled`.
    Engine {
        /// How it is configured.
        engine: AuthEngine,
        /// Whether SASL is tried on the same connection if the server refuses the engine, which then goes on
        /// in plain frames: `spark.network.crypto.saslFallback`.
        sasl_fallback: bool,
    },
}
