//! Sockets before a ring takes them over: addresses, options, listeners.
//!
//! A listener is bound from a [`ListenSpec`], a socket to connect is opened from
//! a [`SocketSpec`]; both are non-blocking and close on exec. Accepting,
//! connecting and everything after is the driver's work, which borrows the
//! descriptors and, for a connect, the encoded [`SockAddr`].

mod addr;
mod error;
mod listen;
mod moved;
mod options;

pub use addr::{Addr, AddrError, SockAddr, UnixAddr};
pub use error::{FileLimit, SocketError};
pub use listen::{DEFAULT_BACKLOG, ListenSpec, Listener};
pub(crate) use moved::moved;
pub use options::{SocketSpec, local_addr, peer_addr};

#[cfg(test)]
mod tests;
