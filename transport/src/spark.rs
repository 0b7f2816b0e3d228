//! A context's settings for Spark's protocol: whether it is accepted, and how peers authenticate.
//!
//! A server made by [`TransportContext::create_server`](crate::TransportContext::create_server) takes the
//! [`Protocols`] that its context was given; a client that speaks Spark's protocol comes from
//! [`TransportContext::create_spark_client_factory`](crate::TransportContext::create_spark_client_factory).
//! The same handlers serve both.

#[cfg(feature = "spark")]
mod authentication;
#[cfg(not(feature = "spark"))]
mod plain;

#[cfg(feature = "spark")]
pub use authentication::{ClientAuthentication, ServerAuthentication};
#[cfg(not(feature = "spark"))]
pub use plain::{ClientAuthentication, ServerAuthentication};
#[cfg(feature = "spark")]
pub use ringrail_codec::spark::auth::{
    AuthEngine, Cipher, ClientMode, EngineVersion, Secret, ServerMode,
};

/// The protocols that a server accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Protocols {
    /// The native protocol alone; Spark's clients are refused.
    #[default]
    Native,
    /// Spark's protocol alone. Peers that begin with HTTP, TLS or the native protocol get an answer in their
    /// own protocol; other bytes cause a frame error.
    Spark,
    /// Both: a peer's first bytes decide.
    Either,
}
