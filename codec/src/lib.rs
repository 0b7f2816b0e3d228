//! The wire protocols of ringrail as pure state machines: bytes in, frames out.
//!
//! Nothing here does IO, reads a clock, starts a thread or needs `unsafe`. The transport crate feeds the
//! bytes of a connection in and writes what comes out; the simulated network and the fuzz targets drive
//! the very same code.
//!
//! - [`native`]: ringrail's own protocol: the 32-byte header, one file per frame kind, the handshake, and
//!   the machines for slicing, credit, deadlines, drain and keep-alive.
//! - [`spark`]: the transport protocol of Apache Spark.
//! - `java` (feature `spark`): Java object serialisation, in which Spark's RPCs are written.
//! - [`archive`]: rkyv archives as message bodies, always validated, read where they lie.
#![forbid(unsafe_code)]

pub mod archive;
#[cfg(feature = "spark")]
pub mod java;
pub mod native;
pub mod spark;
