//! Spark's authentication: who the peer is, and the keys to encrypt with.
//!
//! A handshake is one or two RPCs before any other message of a connection. [`ServerAuth`] and [`ClientAuth`]
//! take the bodies of these RPCs and give the bodies to send, and in the end who the peer is and, if the
//! connection is to be encrypted, its [`Records`]: from then on everything received goes through an
//! [`Opener`] before it is read as frames, and everything sent through a [`Sealer`].
//!
//! There are two kinds. The *auth engine* (`spark.network.crypto.enabled`) agrees on keys with X25519, under
//! a key derived from the secret that both sides know. *SASL* (DIGEST-MD5) proves knowledge of the secret
//! and, as supported here, encrypts nothing.
//!
//! Nothing here asks the system for randomness: the caller gives it, see [`Random`]. Secrets and keys are
//! wiped when they are dropped, and compared in constant time.

mod client;
mod config;
mod ctr;
mod digest;
mod directives;
mod engine;
mod error;
mod gcm;
mod message;
mod random;
mod records;
mod sasl_client;
mod sasl_server;
mod secret;
mod server;
mod session;

pub use client::{ClientAuth, ClientStep};
pub use config::{AuthEngine, Cipher, ClientMode, EngineVersion, ServerMode, UnknownCipher};
pub use ctr::CtrStream;
pub use error::AuthError;
pub use gcm::{GcmMessage, GcmReceiver, GcmSender, SEGMENT_LEN as GCM_SEGMENT_LEN};
pub use random::Random;
pub use records::{Opened, Opener, RecordError, Records, Sealer};
pub use secret::Secret;
pub use server::{ServerAuth, ServerStep};

/// The longest body of a handshake's RPC, in bytes; longer ones are refused unread.
pub const MAX_HANDSHAKE_LEN: usize = 8 << 10;

/// A handshake that has succeeded.
#[derive(Debug)]
pub struct Authenticated {
    /// The id that the client has authenticated with: the application that it may speak for.
    pub app_id: String,
    /// How the connection goes on; `None` in plain frames.
    pub records: Option<Records>,
}
