//! Errors of the service, with Spark's texts where Spark has one, because users search for them.

use std::io;

use ringrail_codec::native::FailureCode;
use ringrail_codec::spark::shuffle::{MessageError, MessageKind};
use ringrail_transport::RpcFailure;

use super::roots::Wait;

/// Why a request failed. Its connection stays.
#[derive(Debug, thiserror::Error)]
pub(super) enum ShuffleError {
    #[error(transparent)]
    Message(#[from] MessageError),
    #[error("Unexpected message: {0}")]
    Unexpected(MessageKind),
    #[error("Cannot handle shuffle block merge")]
    Merge,
    #[error("Cannot handle merged shuffle remove")]
    MergeRemoval,
    #[error("application {app} is not registered or NM was restarted.")]
    UnknownMergeApp { app: String },
    #[error("the numbers of shuffle {shuffle}, merge {merge}: one of them is negative")]
    BadMergeNumbers { shuffle: i32, merge: i32 },
    #[error("{what} {app}: {rule}")]
    BadMergeDir {
        what: &'static str,
        app: String,
        rule: &'static str,
    },
    #[error(
        "The attempt id {attempt} in this {message} message does not match with the current attempt id \
         {current} stored in shuffle service for application {app}"
    )]
    OtherAttempt {
        message: MessageKind,
        app: String,
        attempt: i32,
        current: i32,
    },
    #[error(
        "Shuffle merge finalize request for shuffle {shuffle} with shuffleMergeId {merge} is stale shuffle \
         finalize request as shuffle blocks of a higher shuffleMergeId for the shuffle is already being pushed"
    )]
    StaleFinalize { shuffle: u32, merge: u32 },
    #[error(
        "Merged block fetch for shuffle {shuffle} with shuffleMergeId {merge} reduceId {reduce} is stale shuffle \
         block fetch request as shuffle blocks of a higher shuffleMergeId for the shuffle is available"
    )]
    StaleFetch {
        shuffle: u32,
        merge: u32,
        reduce: u32,
    },
    #[error(
        "Asked to remove old shuffle merged data for application {app} shuffleId {shuffle} shuffleMergeId \
         {merge}, but current shuffleMergeId {current}"
    )]
    StaleRemoval {
        app: String,
        shuffle: u32,
        merge: u32,
        current: u32,
    },
    #[error("IOExceptions exceeded the threshold when merging {block}")]
    MergeAborted { block: String },
    #[error("merging {block} failed: {source}")]
    MergeIo { block: String, source: io::Error },
    #[error("Client for {client} not authorized for application {app}.")]
    NotThisApp { client: String, app: String },
    #[error("Client {client} not authorized to read stream {stream} (app {app}).")]
    NotThisStream {
        client: String,
        stream: u64,
        app: String,
    },
    #[error("Executor is not registered (appId={app}, execId={exec})")]
    UnknownExecutor { app: String, exec: String },
    #[error(
        "localDirs entry is not under any of the service's local directories: {dir} \
         (add its parent to spark.local.dir of the service)"
    )]
    NotALocalDir { dir: String },
    #[error("an executor with {dirs} local directories of {sub_dirs} sub-directories: {rule}")]
    BadExecutor {
        dirs: usize,
        sub_dirs: i32,
        rule: &'static str,
    },
    #[error("Unexpected block id format: {id}")]
    BlockName { id: String },
    #[error("shuffle {shuffle}, map {map}, partitions {first} to {end}: there are no such blocks")]
    BadIndices {
        shuffle: i32,
        map: i64,
        first: i32,
        end: i32,
    },
    #[error(
        "a batch of map {map} with {count} numbers: it has two, the first partition and the end"
    )]
    BadBatch { map: i64, count: usize },
    /// Not sent to the peer: the request waits until a helper thread has looked.
    #[error("it is not in memory")]
    NotInMemory,
    #[error("looking for it failed; the log of the service says why")]
    LookupLost,
    #[error("Failed to open file: {path}: {source}")]
    Open { path: String, source: io::Error },
    #[error("{path}: partitions {first} to {end} of a map that has {have}")]
    NoSuchPartition {
        path: String,
        first: u32,
        end: u32,
        have: u64,
    },
    #[error("{path}: {what}: the file is damaged")]
    BadIndex { path: String, what: &'static str },
    #[error("{path}: the index says {need} bytes, the file has {have}: it was shortened")]
    Truncated { path: String, need: u64, have: u64 },
    #[error("Unknown stream ID {id}: it was never opened on this connection, or is finished")]
    UnknownStream { id: u64 },
    #[error("chunk {index} of a stream that has {count}")]
    NoSuchChunk { index: u32, count: usize },
    #[error("{what} ({limit}): {advice}")]
    Limit {
        what: &'static str,
        limit: u64,
        advice: &'static str,
    },
    #[error("this process is ending and another has taken over: connect again")]
    HandedOver,
    #[error("the store of executors: {0}")]
    Store(String),
}

impl ShuffleError {
    /// Why a file cannot be looked at.
    #[cold]
    pub(super) fn of_file(path: &str, source: io::Error, wait: Wait) -> Self {
        if wait == Wait::Never && source.kind() == io::ErrorKind::WouldBlock {
            return ShuffleError::NotInMemory;
        }
        let path = path.to_owned();
        ShuffleError::Open { path, source }
    }

    fn code(&self) -> FailureCode {
        match self {
            ShuffleError::Message(_)
            | ShuffleError::BadExecutor { .. }
            | ShuffleError::BlockName { .. }
            | ShuffleError::BadIndices { .. }
            | ShuffleError::BadBatch { .. }
            | ShuffleError::BadMergeNumbers { .. }
            | ShuffleError::BadMergeDir { .. }
            | ShuffleError::OtherAttempt { .. }
            | ShuffleError::StaleFinalize { .. }
            | ShuffleError::StaleFetch { .. }
            | ShuffleError::StaleRemoval { .. }
            | ShuffleError::NoSuchPartition { .. } => FailureCode::InvalidArgument,
            ShuffleError::Unexpected(_) | ShuffleError::Merge | ShuffleError::MergeRemoval => {
                FailureCode::Unsupported
            }
            ShuffleError::NotThisApp { .. }
            | ShuffleError::NotThisStream { .. }
            | ShuffleError::NotALocalDir { .. } => FailureCode::Unauthorized,
            ShuffleError::UnknownExecutor { .. } | ShuffleError::UnknownMergeApp { .. } => {
                FailureCode::NotFound
            }
            ShuffleError::Open { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                FailureCode::NotFound
            }
            ShuffleError::Open { .. }
            | ShuffleError::BadIndex { .. }
            | ShuffleError::MergeAborted { .. }
            | ShuffleError::MergeIo { .. }
            | ShuffleError::LookupLost
            | ShuffleError::Store(_) => FailureCode::SourceIo,
            ShuffleError::Truncated { .. } => FailureCode::SourceTruncated,
            ShuffleError::UnknownStream { .. } => FailureCode::StreamClosed,
            ShuffleError::NoSuchChunk { .. } => FailureCode::OutOfOrder,
            ShuffleError::Limit { .. } | ShuffleError::HandedOver | ShuffleError::NotInMemory => {
                FailureCode::Busy
            }
        }
    }
}

impl ShuffleError {
    /// The class of Spark's exception in this case, or the one that Spark would throw for a case that it does not
    /// refuse. For RPCs, chunks and streams alike, clients get the first line of a stack trace, which begins
    /// with the class.
    fn java_class(&self) -> &'static str {
        match self {
            ShuffleError::NotThisApp { .. }
            | ShuffleError::NotThisStream { .. }
            | ShuffleError::NotALocalDir { .. } => "java.lang.SecurityException",
            ShuffleError::Unexpected(_) | ShuffleError::Merge | ShuffleError::MergeRemoval => {
                "java.lang.UnsupportedOperationException"
            }
            ShuffleError::Message(_)
            | ShuffleError::UnknownMergeApp { .. }
            | ShuffleError::OtherAttempt { .. }
            | ShuffleError::UnknownStream { .. }
            | ShuffleError::BlockName { .. }
            | ShuffleError::BadExecutor { .. }
            | ShuffleError::BadMergeDir { .. }
            | ShuffleError::BadMergeNumbers { .. } => "java.lang.IllegalArgumentException",
            // Spark takes the length of such a range, which is negative, and Netty refuses that.
            ShuffleError::BadIndices {
                first: 1..,
                end: 0..,
                ..
            } => "java.lang.IllegalArgumentException",
            ShuffleError::BadIndices { .. } | ShuffleError::NoSuchPartition { .. } => {
                "java.lang.IndexOutOfBoundsException"
            }
            ShuffleError::BadBatch { .. } => "java.lang.ArrayIndexOutOfBoundsException",
            ShuffleError::UnknownExecutor { .. }
            | ShuffleError::Open { .. }
            | ShuffleError::BadIndex { .. }
            | ShuffleError::StaleFinalize { .. }
            | ShuffleError::StaleFetch { .. }
            | ShuffleError::StaleRemoval { .. }
            | ShuffleError::NotInMemory
            | ShuffleError::LookupLost => "java.lang.RuntimeException",
            ShuffleError::MergeAborted { .. } | ShuffleError::NoSuchChunk { .. } => {
                "java.lang.IllegalStateException"
            }
            ShuffleError::Truncated { .. } => "java.io.EOFException",
            ShuffleError::MergeIo { .. }
            | ShuffleError::Store(_)
            | ShuffleError::HandedOver
            | ShuffleError::Limit { .. } => "java.io.IOException",
        }
    }
}

impl From<ShuffleError> for RpcFailure {
    #[cold]
    fn from(error: ShuffleError) -> Self {
        let later = matches!(error, ShuffleError::Limit { .. } | ShuffleError::HandedOver);
        let text = format!("{}: {error}", error.java_class());
        RpcFailure::new(error.code(), text).with_retryable(later)
    }
}
