//! Keys of Spark's wire protocol: every field of the codec's limits for it.

use super::entries;
use crate::conf::entry::size;
use crate::conf::size::ByteUnit::Byte;

entries! {
    /// The largest body of a request, of its answer, or of a one-way message of a Spark peer.
    MAX_RPC_LEN: u32 = "ringrail.spark.maxRpcLen", size(Byte)
        .default("128m")
        .range("64k", "2147483633");

    /// The largest chunk that a Spark peer may send in one frame.
    MAX_CHUNK_LEN: u32 = "ringrail.spark.maxChunkLen", size(Byte)
        .default("2147483633")
        .range("32k", "2147483633");

    /// The longest body behind a StreamResponse or an UploadStream.
    MAX_STREAM_LEN: u64 = "ringrail.spark.maxStreamLen", size(Byte)
        .default("9223372036854775807")
        .range("32k", "9223372036854775807");

    /// The longest name of a stream.
    MAX_STREAM_NAME_LEN: u32 = "ringrail.spark.maxStreamNameLen", size(Byte)
        .default("4k")
        .range("256", "64m");

    /// The longest text of a failure. Spark sends whole stack traces.
    MAX_FAILURE_LEN: u32 = "ringrail.spark.maxFailureLen", size(Byte)
        .default("1m")
        .range("1k", "64m");

    /// The largest metadata of an upload.
    MAX_META_LEN: u32 = "ringrail.spark.maxMetaLen", size(Byte)
        .default("1m")
        .range("1k", "64m");

    /// The longest application id in a request for merged blocks.
    MAX_APP_ID_LEN: u32 = "ringrail.spark.maxAppIdLen", size(Byte)
        .default("1k")
        .range("64", "64k");
}
