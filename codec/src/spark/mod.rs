//! Spark's transport protocol: what an executor, a driver and an external shuffle service say to each other.
//!
//! Everything is big-endian. A frame is a length, a type, header fields and for some types a body; two types
//! have their body behind the frame instead of in it. The format is written down in `docs/spark-wire.md` and
//! pinned by bytes that Spark itself has produced.
//!
//! Data flows like this: the engine receives bytes, [`decode_head`] finds a frame in a contiguous buffer (or
//! [`FrameReader`] in pieces of any length) and gives its fields and the extent of its body, which the engine
//! receives where it wants it. In the other direction a frame's type gives the head, which the engine sends
//! in front of the body.
//!
//! [`shuffle`] has the messages of the shuffle service, which are bodies of RPCs; [`rpc`] those of Masters,
//! Workers and drivers; [`auth`] the handshakes in front of them and what encrypts the bytes afterwards.

#[cfg(feature = "spark")]
pub mod auth;
mod decode;
mod error;
pub mod frame;
mod kind;
mod limits;
mod reader;
#[cfg(feature = "spark")]
pub mod rpc;
#[cfg(feature = "spark")]
pub mod shuffle;
mod stray;
mod wire;

pub use decode::{Head, Step, decode_head};
pub use error::{EncodeError, FrameError, FrameTooLarge};
pub use frame::*;
pub use kind::Kind;
pub use limits::{LimitError, Limits};
pub use reader::{Event, FrameReader};
pub use stray::{STRAY_ANSWER_ROOM, Stray};
pub use wire::FieldError;

pub use crate::native::NoRoom;
