//! Answers of the peer, each to the request that waits for it.

use std::rc::Rc;

use ringrail_codec::native::FailureCode;

use crate::conn::pending::CallKind;
use crate::error::{RequestError, RpcFailure};
use crate::shard::conn::Conn;
use crate::shard::conn::received::ReceivedBytes;

use super::SparkState;

impl Conn {
    /// Whether a request of this side with that number, of one of these kinds, is pending.
    pub(super) fn waits_for(&self, id: u64, kinds: &[CallKind]) -> bool {
        let mut calls = self.calls.borrow_mut();
        calls.get(id).is_some_and(|call| kinds.contains(&call.kind))
    }

    /// The answer to an RPC or an upload, in a receive buffer.
    #[inline]
    pub(super) fn resolve_spark_rpc(self: &Rc<Self>, request_id: i64, body: ReceivedBytes<'_>) {
        let id = request_id as u64;
        if self.waits_for(id, &[CallKind::Rpc, CallKind::Upload]) {
            self.note_rpc();
            self.resolve_received(id, body);
        }
    }

    /// A chunk, in a receive buffer.
    pub(super) fn resolve_spark_chunk(
        &self,
        side: &SparkState,
        chunk: (i64, i32),
        body: ReceivedBytes<'_>,
    ) {
        self.expect_chunks_of(body.len() as u64);
        let Some(id) = side.chunks.borrow_mut().take(chunk) else {
            return self.unasked("a chunk");
        };
        self.resolve_lease(id, self.keep(body));
    }

    pub(super) fn fail_some_spark_call(&self, id: Option<u64>, text: &str) {
        match id {
            Some(id) => self.fail_spark_call(id, text),
            None => self.unasked("a failure"),
        }
    }

    pub(super) fn fail_spark_call(&self, id: u64, text: &str) {
        let peer = self.peer.clone();
        let failure = failure_of(text);
        self.resolve_failure(id, RequestError::Remote { peer, failure });
    }

    /// Extends the error for an answer that exceeds the pool: a chunk that never fits can be
    /// fetched as a stream.
    #[cold]
    pub(in crate::shard::conn) fn told_of_chunk(
        &self,
        call: u64,
        error: RequestError,
    ) -> RequestError {
        let side = self.spark();
        let chunk = side.and_then(|side| side.chunks.borrow().chunk_of(call));
        match (error, chunk) {
            (RequestError::NoRoom { len, limit, key }, Some((stream_id, index))) => {
                RequestError::ChunkNoRoom {
                    len,
                    limit,
                    key,
                    stream: format!("{stream_id}_{index}").into(),
                }
            }
            (error, _) => error,
        }
    }

    /// An answer without a request: dropped, as by Spark.
    #[cold]
    pub(super) fn unasked(&self, what: &'static str) {
        tracing::warn!(
            target: "ringrail::conn", peer = %self.peer, what,
            "an answer that nobody waits for; dropped"
        );
    }
}

/// Derives a failure code from Spark's failure text: the first line names the cause, the rest is a stack
/// trace.
fn failure_of(text: &str) -> RpcFailure {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let code = match first {
        line if line.contains("was not found") => FailureCode::NotFound,
        line if line.contains("SecurityException") => FailureCode::Unauthorized,
        line if line.contains("out-of-order chunk index") => FailureCode::OutOfOrder,
        line if line.contains("UnsupportedOperationException") => FailureCode::Unsupported,
        // A ringrail server, for a temporary failure.
        line if line.contains("ask again later") => FailureCode::Busy,
        _ => FailureCode::Internal,
    };
    let causes = rest
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("Caused by: "));
    let failure = RpcFailure::new(code, first.trim_end());
    let failure = failure.with_retryable(code == FailureCode::Busy);
    causes.fold(failure, |failure, cause| {
        failure.caused_by(cause.trim_end())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_trace_becomes_its_first_line_and_its_causes() {
        let text = "java.lang.RuntimeException: Failed to open file: x\n\tat a.b.C(D.java:1)\n\
                    Caused by: java.io.FileNotFoundException: x (No such file)\n\t... 23 more\n";
        let failure = failure_of(text);
        assert_eq!(
            failure.message(),
            "java.lang.RuntimeException: Failed to open file: x"
        );
        assert_eq!(
            failure.causes(),
            ["java.io.FileNotFoundException: x (No such file)"]
        );
        let missing = failure_of("Stream 'x' was not found.");
        assert_eq!(missing.code(), FailureCode::NotFound);
    }
}
