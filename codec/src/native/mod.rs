//! The native protocol: little-endian frames that are read in place.
//!
//! A frame is a fixed 32-byte [`Header`] and a body padded with zeros to [`ALIGN`], so a frame that starts
//! on a 16-byte boundary leaves the next one on such a boundary, and every archive inside can be read
//! without a copy. The format is written down byte by byte in `docs/wire-format.md`.
//!
//! Data flows like this: the engine receives bytes, [`decode_frame`] (or [`Header::decode`] and
//! [`check_header`], when the body goes into a buffer of its own) finds the frame, and the frame's type in
//! [`frame`] gives its fields. In the other direction a frame's type makes the [`Header`] and the engine
//! writes it in front of the body.

mod assembly;
mod code;
mod crc;
mod credit;
mod deadline;
mod decode;
mod encode;
mod error;
mod flags;
pub mod frame;
mod handshake;
mod header;
mod hello;
mod kind;
mod limits;
mod refusal;
mod rules;
mod slicer;
mod sniff;

pub use assembly::{Accepted, Assembly, AssemblyError};
pub use code::{DrainReason, FailureCode};
pub use crc::{RunningCrc, combine_crc, crc_of};
pub use credit::{BeyondCredit, GrantWindow, SendWindow};
pub use deadline::{MAX_DEADLINE, NO_DEADLINE_US, deadline_us};
pub use decode::{Step, check_header, decode_frame};
pub use encode::{NoRoom, PADDING, encode_frame};
pub use error::{ChecksumError, Field, FrameError};
pub use flags::Flags;
pub use frame::*;
pub use handshake::{
    ClientHandshake, HandshakeError, HandshakeStep, Negotiated, ServerHandshake, closed_early,
};
pub use header::{ALIGN, HEADER_LEN, Header, padded_len};
pub use hello::{Hello, HelloError, HelloStep, Terms};
pub use kind::Kind;
pub use limits::{LimitError, Limits};
pub use refusal::{Refusal, RefusalCode, RefusalError, RefusalStep};
pub use slicer::{Next, Slice, Slicer};
pub use sniff::{Sniff, sniff};

/// The version of the native protocol that this crate speaks.
pub const VERSION: u16 = 1;

/// The `total_len` of a stream or an upload whose length its sender does not know.
pub const UNKNOWN_LEN: u64 = u64::MAX;
