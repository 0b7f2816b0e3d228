//! Every limit of Spark's frames, in one table.
//!
//! Spark itself has one limit, a frame of less than 2 GiB, and buffers every frame below it. Here a peer's
//! number decides no allocation: the head (see [`Head`](super::Head)), which must be contiguous before it
//! can be read, has a small limit of its own, and the caller chooses the destination of bodies.

use super::{FrameError, Kind};

/// The limits that this side accepts. Checked once with [`Limits::check`], then read for every
/// frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest body of an RpcRequest, RpcResponse, OneWayMessage or MergedBlockMetaSuccess, in bytes. Key
    /// `ringrail.spark.maxRpcLen`.
    pub max_rpc_len: u32,
    /// The largest body of a ChunkFetchSuccess, in bytes. Key `ringrail.spark.maxChunkLen`.
    pub max_chunk_len: u32,
    /// The longest body behind a StreamResponse or an UploadStream, in bytes. Key
    /// `ringrail.spark.maxStreamLen`.
    pub max_stream_len: u64,
    /// The longest name of a stream, in bytes. Key `ringrail.spark.maxStreamNameLen`.
    pub max_stream_name_len: u32,
    /// The longest text of a failure, in bytes. Key `ringrail.spark.maxFailureLen`.
    pub max_failure_len: u32,
    /// The largest metadata of an UploadStream, in bytes. Key `ringrail.spark.maxMetaLen`.
    pub max_meta_len: u32,
    /// The longest application id in a MergedBlockMetaRequest, in bytes. Key `ringrail.spark.maxAppIdLen`.
    pub max_app_id_len: u32,
}

/// The bytes of the length field and the type.
pub(super) const PREFIX_LEN: usize = 9;

/// Behind the length field a frame has less than this.
pub(super) const MAX_FRAME_SIZE: i64 = i32::MAX as i64;

impl Limits {
    /// Default of [`Limits::max_rpc_len`]: 128 MiB.
    pub const DEFAULT_MAX_RPC_LEN: u32 = 128 << 20;
    /// Default of [`Limits::max_chunk_len`]: what fits into a frame.
    pub const DEFAULT_MAX_CHUNK_LEN: u32 = Self::MAX_BODY_LEN;
    /// Default of [`Limits::max_stream_len`]: what its field can say.
    pub const DEFAULT_MAX_STREAM_LEN: u64 = i64::MAX as u64;
    /// Default of [`Limits::max_stream_name_len`]: 4 KiB, the longest path of Linux.
    pub const DEFAULT_MAX_STREAM_NAME_LEN: u32 = 4 << 10;
    /// Default of [`Limits::max_failure_len`]: 1 MiB. Spark sends whole stack traces.
    pub const DEFAULT_MAX_FAILURE_LEN: u32 = 1 << 20;
    /// Default of [`Limits::max_meta_len`]: 1 MiB.
    pub const DEFAULT_MAX_META_LEN: u32 = 1 << 20;
    /// Default of [`Limits::max_app_id_len`]: 1 KiB.
    pub const DEFAULT_MAX_APP_ID_LEN: u32 = 1 << 10;

    /// The largest body that fits into a frame of any kind, in bytes.
    pub const MAX_BODY_LEN: u32 = i32::MAX as u32 - 1 - 13;

    /// The defaults, as a constant.
    pub const DEFAULT: Limits = Limits {
        max_rpc_len: Self::DEFAULT_MAX_RPC_LEN,
        max_chunk_len: Self::DEFAULT_MAX_CHUNK_LEN,
        max_stream_len: Self::DEFAULT_MAX_STREAM_LEN,
        max_stream_name_len: Self::DEFAULT_MAX_STREAM_NAME_LEN,
        max_failure_len: Self::DEFAULT_MAX_FAILURE_LEN,
        max_meta_len: Self::DEFAULT_MAX_META_LEN,
        max_app_id_len: Self::DEFAULT_MAX_APP_ID_LEN,
    };

    /// The longest head of a frame of `kind`, in bytes.
    #[inline]
    pub const fn max_head(&self, kind: Kind) -> usize {
        let variable = match kind {
            Kind::ChunkFetchFailure => 8 + 4 + 4 + self.max_failure_len as usize,
            Kind::RpcFailure => 8 + 4 + self.max_failure_len as usize,
            Kind::StreamRequest => 4 + self.max_stream_name_len as usize,
            Kind::StreamResponse => 4 + self.max_stream_name_len as usize + 8,
            Kind::StreamFailure => {
                4 + self.max_stream_name_len as usize + 4 + self.max_failure_len as usize
            }
            Kind::UploadStream => 8 + 4 + self.max_meta_len as usize + 8,
            Kind::MergedBlockMetaRequest => 8 + 4 + self.max_app_id_len as usize + 12,
            Kind::ChunkFetchRequest | Kind::ChunkFetchSuccess => 12,
            Kind::RpcRequest | Kind::RpcResponse | Kind::MergedBlockMetaSuccess => 12,
            Kind::OneWayMessage => 4,
        };
        PREFIX_LEN + variable
    }

    /// The longest body in or behind a frame of `kind`, in bytes.
    #[inline]
    pub const fn max_body(&self, kind: Kind) -> u64 {
        match kind {
            Kind::RpcRequest
            | Kind::RpcResponse
            | Kind::OneWayMessage
            | Kind::MergedBlockMetaSuccess => self.max_rpc_len as u64,
            Kind::ChunkFetchSuccess => self.max_chunk_len as u64,
            Kind::StreamResponse | Kind::UploadStream => self.max_stream_len,
            _ => 0,
        }
    }

    /// The config key that bounds the body in or behind a frame of `kind`.
    pub const fn body_key(kind: Kind) -> &'static str {
        match kind {
            Kind::RpcRequest
            | Kind::RpcResponse
            | Kind::OneWayMessage
            | Kind::MergedBlockMetaSuccess => "ringrail.spark.maxRpcLen",
            Kind::ChunkFetchSuccess => "ringrail.spark.maxChunkLen",
            Kind::StreamResponse | Kind::UploadStream => "ringrail.spark.maxStreamLen",
            _ => FIXED,
        }
    }

    /// The config keys that bound the head of a frame of `kind`.
    pub const fn head_key(kind: Kind) -> &'static str {
        match kind {
            Kind::ChunkFetchFailure | Kind::RpcFailure => "ringrail.spark.maxFailureLen",
            Kind::StreamRequest | Kind::StreamResponse => "ringrail.spark.maxStreamNameLen",
            Kind::StreamFailure => "ringrail.spark.maxStreamNameLen, ringrail.spark.maxFailureLen",
            Kind::UploadStream => "ringrail.spark.maxMetaLen",
            Kind::MergedBlockMetaRequest => "ringrail.spark.maxAppIdLen",
            _ => FIXED,
        }
    }

    /// The longest head that these limits let through: what a receive buffer must be able to hold.
    pub const fn max_head_len(&self) -> usize {
        let mut longest = 0;
        let mut i = 0;
        while i < Kind::ALL.len() {
            let len = self.max_head(Kind::ALL[i]);
            if len > longest {
                longest = len;
            }
            i += 1;
        }
        longest
    }

    /// Checks the limits against what Spark's peers need; call it once when the configuration is read.
    ///
    /// # Errors
    /// [`LimitError`] with the key, its value and the range.
    pub fn check(&self) -> Result<(), LimitError> {
        let body = u64::from(Self::MAX_BODY_LEN);
        let head = 64 << 20;
        let table = [
            (
                "ringrail.spark.maxRpcLen",
                u64::from(self.max_rpc_len),
                64 << 10,
                body,
            ),
            (
                "ringrail.spark.maxChunkLen",
                u64::from(self.max_chunk_len),
                1,
                body,
            ),
            (
                "ringrail.spark.maxStreamLen",
                self.max_stream_len,
                1,
                Self::DEFAULT_MAX_STREAM_LEN,
            ),
            (
                "ringrail.spark.maxStreamNameLen",
                u64::from(self.max_stream_name_len),
                256,
                head,
            ),
            (
                "ringrail.spark.maxFailureLen",
                u64::from(self.max_failure_len),
                1 << 10,
                head,
            ),
            (
                "ringrail.spark.maxMetaLen",
                u64::from(self.max_meta_len),
                1 << 10,
                head,
            ),
            (
                "ringrail.spark.maxAppIdLen",
                u64::from(self.max_app_id_len),
                64,
                64 << 10,
            ),
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
    pub(super) fn head_too_long(&self, kind: Kind, head_len: u64) -> FrameError {
        FrameError::BeyondLimit {
            kind,
            what: "a head",
            len: head_len,
            limit: self.max_head(kind) as u64,
            key: Self::head_key(kind),
        }
    }

    #[cold]
    pub(super) fn body_too_long(&self, kind: Kind, body_len: u64) -> FrameError {
        FrameError::BeyondLimit {
            kind,
            what: "a body",
            len: body_len,
            limit: self.max_body(kind),
            key: Self::body_key(kind),
        }
    }
}

const FIXED: &str = "fixed by the protocol";

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A limit outside of what Spark's peers can work with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} = {value} is outside of {min}..={max}")]
pub struct LimitError {
    /// The config key.
    pub key: &'static str,
    /// The value given.
    pub value: u64,
    /// The least value allowed.
    pub min: u64,
    /// The greatest value allowed.
    pub max: u64,
}
