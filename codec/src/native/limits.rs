//! Every limit of the native protocol, in one table.
//!
//! Each limit bounds what this side accepts from a peer. `max_body_len`, `max_rpc_len`, `max_outstanding`
//! and `initial_credit` travel in the Hello, so a peer knows them. The others are not announced: their
//! defaults are part of version 1, senders keep to the defaults, and a receiver may raise but not lower
//! them.

use super::{FrameError, HEADER_LEN, Kind};

/// The limits that this side accepts. Checked once with [`Limits::check`], then read for every
/// frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest body of one frame, in bytes. Announced. Key `ringrail.transport.maxBodyLen`.
    pub max_body_len: u32,
    /// The largest RPC body over all its slices, in bytes. Announced. Spark's
    /// `spark.rpc.message.maxSize`. Key `ringrail.transport.maxRpcLen`.
    pub max_rpc_len: u64,
    /// The longest name in a StreamRequest, in bytes. Key `ringrail.transport.maxStreamNameLen`.
    pub max_stream_name_len: u32,
    /// The largest metadata of an Upload, in bytes. Key `ringrail.transport.maxMetaLen`.
    pub max_meta_len: u32,
    /// The largest body of a failure frame, in bytes. Key `ringrail.transport.maxFailureLen`.
    pub max_failure_len: u32,
    /// The longest reason text in a Drain, in bytes. Key `ringrail.transport.maxDrainTextLen`.
    pub max_drain_text_len: u32,
    /// The largest extension (authentication) of a Hello, in bytes. Key
    /// `ringrail.transport.maxHelloExtLen`.
    pub max_hello_ext_len: u32,
    /// The longest text of a refusal, in bytes. Key `ringrail.transport.maxRefusalTextLen`.
    pub max_refusal_text_len: u32,
    /// The requests that a peer may have outstanding here. Announced. Key
    /// `ringrail.transport.maxOutstanding`.
    pub max_outstanding: u32,
    /// The bytes of an upload or a sliced RPC body that a peer may send before this side grants more.
    /// Announced. Key `ringrail.transport.initialCredit`.
    pub initial_credit: u64,
}

impl Limits {
    /// Default of [`Limits::max_body_len`]: 1 MiB.
    pub const DEFAULT_MAX_BODY_LEN: u32 = 1 << 20;
    /// The least that [`Limits::max_body_len`] may be: every structured body fits.
    pub const MIN_MAX_BODY_LEN: u32 = 32 << 10;
    /// The most that [`Limits::max_body_len`] may be: 1 GiB.
    pub const MAX_MAX_BODY_LEN: u32 = 1 << 30;
    /// Default of [`Limits::max_rpc_len`]: 128 MiB.
    pub const DEFAULT_MAX_RPC_LEN: u64 = 128 << 20;
    /// Default of [`Limits::max_stream_name_len`]: 4 KiB, the longest path of Linux.
    pub const DEFAULT_MAX_STREAM_NAME_LEN: u32 = 4 << 10;
    /// Default of [`Limits::max_meta_len`]: 32 KiB.
    pub const DEFAULT_MAX_META_LEN: u32 = 32 << 10;
    /// Default of [`Limits::max_failure_len`]: 32 KiB.
    pub const DEFAULT_MAX_FAILURE_LEN: u32 = 32 << 10;
    /// Default of [`Limits::max_drain_text_len`]: 1 KiB.
    pub const DEFAULT_MAX_DRAIN_TEXT_LEN: u32 = 1 << 10;
    /// Default of [`Limits::max_hello_ext_len`]: 16 KiB.
    pub const DEFAULT_MAX_HELLO_EXT_LEN: u32 = 16 << 10;
    /// Default of [`Limits::max_refusal_text_len`]: 1 KiB.
    pub const DEFAULT_MAX_REFUSAL_TEXT_LEN: u32 = 1 << 10;
    /// Default of [`Limits::max_outstanding`].
    pub const DEFAULT_MAX_OUTSTANDING: u32 = 16 << 10;
    /// Default of [`Limits::initial_credit`]: 1 MiB.
    pub const DEFAULT_INITIAL_CREDIT: u64 = 1 << 20;

    /// The defaults, as a constant.
    pub const DEFAULT: Limits = Limits {
        max_body_len: Self::DEFAULT_MAX_BODY_LEN,
        max_rpc_len: Self::DEFAULT_MAX_RPC_LEN,
        max_stream_name_len: Self::DEFAULT_MAX_STREAM_NAME_LEN,
        max_meta_len: Self::DEFAULT_MAX_META_LEN,
        max_failure_len: Self::DEFAULT_MAX_FAILURE_LEN,
        max_drain_text_len: Self::DEFAULT_MAX_DRAIN_TEXT_LEN,
        max_hello_ext_len: Self::DEFAULT_MAX_HELLO_EXT_LEN,
        max_refusal_text_len: Self::DEFAULT_MAX_REFUSAL_TEXT_LEN,
        max_outstanding: Self::DEFAULT_MAX_OUTSTANDING,
        initial_credit: Self::DEFAULT_INITIAL_CREDIT,
    };

    /// The largest body that a frame of `kind` may have, in bytes.
    #[inline]
    pub const fn max_body(&self, kind: Kind) -> u32 {
        match kind {
            Kind::RpcRequest
            | Kind::RpcReply
            | Kind::OneWay
            | Kind::RpcSlice
            | Kind::ChunkData
            | Kind::StreamData
            | Kind::UploadData => self.max_body_len,
            Kind::ChunkRequest => super::ChunkRequest::BODY_LEN,
            Kind::StreamRequest => self
                .max_stream_name_len
                .saturating_add(super::StreamRequest::FIXED_LEN),
            Kind::RpcFailure | Kind::ChunkFailure | Kind::StreamFailure => self.max_failure_len,
            Kind::Upload => self.max_meta_len,
            Kind::Drain => self.max_drain_text_len,
            Kind::StreamEnd
            | Kind::UploadEnd
            | Kind::Cancel
            | Kind::Credit
            | Kind::Ping
            | Kind::Pong => 0,
        }
    }

    /// The config key that sets the limit of `kind`.
    pub const fn key(kind: Kind) -> &'static str {
        match kind {
            Kind::StreamRequest => "ringrail.transport.maxStreamNameLen",
            Kind::RpcFailure | Kind::ChunkFailure | Kind::StreamFailure => {
                "ringrail.transport.maxFailureLen"
            }
            Kind::Upload => "ringrail.transport.maxMetaLen",
            Kind::Drain => "ringrail.transport.maxDrainTextLen",
            Kind::ChunkRequest
            | Kind::StreamEnd
            | Kind::UploadEnd
            | Kind::Cancel
            | Kind::Credit
            | Kind::Ping
            | Kind::Pong => "fixed by the protocol",
            _ => "ringrail.transport.maxBodyLen",
        }
    }

    /// The largest frame that these limits let through, header and padding included: what a receive
    /// buffer must be able to hold.
    pub const fn max_frame_len(&self) -> usize {
        let mut longest = 0;
        let mut i = 0;
        while i < Kind::ALL.len() {
            let len = self.max_body(Kind::ALL[i]) as usize;
            if len > longest {
                longest = len;
            }
            i += 1;
        }
        HEADER_LEN + super::padded_len(longest)
    }

    /// Checks the limits against what the protocol needs; call it once when the configuration is read.
    ///
    /// # Errors
    /// [`LimitError`] with the key, its value and the range.
    pub fn check(&self) -> Result<(), LimitError> {
        let u32s = u64::from(u32::MAX >> 1);
        let table = [
            (
                "maxBodyLen",
                u64::from(self.max_body_len),
                u64::from(Self::MIN_MAX_BODY_LEN),
                u64::from(Self::MAX_MAX_BODY_LEN),
            ),
            (
                "maxRpcLen",
                self.max_rpc_len,
                u64::from(Self::MIN_MAX_BODY_LEN),
                1 << 40,
            ),
            (
                "maxStreamNameLen",
                u64::from(self.max_stream_name_len),
                u64::from(Self::DEFAULT_MAX_STREAM_NAME_LEN),
                u32s,
            ),
            (
                "maxMetaLen",
                u64::from(self.max_meta_len),
                u64::from(Self::DEFAULT_MAX_META_LEN),
                u32s,
            ),
            (
                "maxFailureLen",
                u64::from(self.max_failure_len),
                u64::from(Self::DEFAULT_MAX_FAILURE_LEN),
                u32s,
            ),
            (
                "maxDrainTextLen",
                u64::from(self.max_drain_text_len),
                u64::from(Self::DEFAULT_MAX_DRAIN_TEXT_LEN),
                u32s,
            ),
            ("maxHelloExtLen", u64::from(self.max_hello_ext_len), 0, u32s),
            (
                "maxRefusalTextLen",
                u64::from(self.max_refusal_text_len),
                u64::from(Self::DEFAULT_MAX_REFUSAL_TEXT_LEN),
                u32s,
            ),
            (
                "maxOutstanding",
                u64::from(self.max_outstanding),
                1,
                u64::from(u32::MAX),
            ),
            ("initialCredit", self.initial_credit, 1, 1 << 40),
        ];
        for (key, value, min, max) in table {
            if !(min..=max).contains(&value) {
                return Err(LimitError {
                    key,
                    value,
                    min,
                    max,
                });
            }
        }
        Ok(())
    }

    #[cold]
    pub(super) fn rpc_too_long(&self, kind: Kind, total_len: u64) -> FrameError {
        FrameError::RpcTooLong {
            kind,
            total_len,
            limit: self.max_rpc_len,
            key: "ringrail.transport.maxRpcLen",
        }
    }

    #[cold]
    pub(super) fn too_long(&self, kind: Kind, body_len: u32) -> FrameError {
        FrameError::BodyTooLong {
            kind,
            body_len,
            limit: self.max_body(kind),
            key: Self::key(kind),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A limit outside of what the protocol can work with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ringrail.transport.{key} = {value} is outside of {min}..={max}")]
pub struct LimitError {
    /// The config key, behind `ringrail.transport.`.
    pub key: &'static str,
    /// The value given.
    pub value: u64,
    /// The least value allowed.
    pub min: u64,
    /// The greatest value allowed.
    pub max: u64,
}
