//! The end of a connection: every waiter gets the reason, exactly once.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ringrail_codec::native::FrameError;
use ringrail_codec::spark::FrameError as SparkFrameError;

use crate::conn::lifecycle::{Ending, Lifecycle};
use crate::error::{CloseReason, ConnectError, RequestError};
use crate::metrics::ErrorKind;

use super::Conn;

impl Conn {
    /// The reason of the connection's end, once it has ended.
    pub(crate) fn reason(&self) -> Option<Arc<CloseReason>> {
        self.reason.borrow().clone()
    }

    pub(crate) fn closed_error(&self) -> RequestError {
        let reason = self
            .reason()
            .unwrap_or_else(|| Arc::new(CloseReason::Local));
        RequestError::Closed {
            peer: self.peer.clone(),
            reason,
        }
    }

    /// Closes the connection: every request fails with the reason, the pump closes the socket.
    pub(crate) fn close(&self, reason: CloseReason) {
        let ending = self.step(Lifecycle::close);
        if ending == Ending::Already {
            return;
        }
        self.mark_dirty();
        if let Some(timer) = self.end_timer.take() {
            self.local.cancel_timer(timer);
        }
        self.tell_end(ending, reason);
    }

    /// Closes the connection for requests; queued data is sent before the socket closes, for at
    /// most the time limit of a drain.
    pub(crate) fn close_after_flush(&self, reason: CloseReason) {
        let ending = self.step(Lifecycle::flush);
        if ending == Ending::Already {
            return;
        }
        self.mark_dirty();
        self.tell_end(ending, reason);
        if !self.arm_end_timer() {
            self.close(CloseReason::Local);
        }
    }

    /// Closes the connection because the peer violated the protocol. Frames already queued for the
    /// peer are still sent.
    pub(crate) fn fail(&self, reason: CloseReason) {
        match reason {
            CloseReason::Peer | CloseReason::Io(_) => {
                let told = self.end_reason().or_else(|| self.auth_end_reason());
                self.close(told.unwrap_or(reason));
            }
            reason => self.close_after_flush(self.meet_stray(reason)),
        }
    }

    /// Tells everybody who waits, once.
    fn tell_end(&self, ending: Ending, reason: CloseReason) {
        self.active.store(false, Ordering::Release);
        let Ending::Ends { was_open } = ending else {
            return;
        };
        self.count(&reason);
        let reason = Arc::new(reason);
        tracing::debug!(target: "ringrail::conn", peer = %self.peer, %reason, "connection ends");
        *self.reason.borrow_mut() = Some(Arc::clone(&reason));
        let timers = [&self.opening_timer, &self.keepalive_timer, &self.call_timer];
        for timer in timers.into_iter().filter_map(Cell::take) {
            self.local.cancel_timer(timer);
        }
        self.fail_opening(&reason);
        self.fail_calls(&reason);
        let uploads = self.inbound.borrow_mut().abandon();
        for upload in uploads {
            if let Some(mut sink) = upload.sink {
                sink.on_failure(&self.closed_error());
            }
        }
        if was_open {
            self.notify_inactive();
        }
    }

    fn fail_opening(&self, reason: &Arc<CloseReason>) {
        let Some(opened) = self.opened.borrow_mut().take() else {
            return;
        };
        let (peer, reason) = (self.peer.clone(), Arc::clone(reason));
        let error = match &*reason {
            CloseReason::Io(error) => ConnectError::Io {
                peer,
                detail: error.to_string(),
            },
            CloseReason::ConnectTimeout { after } => ConnectError::TimedOut {
                peer,
                after: *after,
                key: "ringrail.transport.connectionCreationTimeout",
            },
            _ => ConnectError::Handshake { peer, reason },
        };
        // The waiting future may have been dropped.
        let _ = opened.send(Err(error));
    }

    fn fail_calls(&self, reason: &Arc<CloseReason>) {
        let ids = self.calls.borrow().ids();
        for id in ids {
            let peer = self.peer.clone();
            self.resolve_failure(
                id,
                RequestError::Closed {
                    peer,
                    reason: Arc::clone(reason),
                },
            );
        }
        assert_eq!(
            self.calls.borrow().waiting(),
            0,
            "a request outlives its connection"
        );
        let transfers = self.tx.borrow_mut().transfers.take_all();
        let streams: Vec<u64> = transfers.iter().filter_map(|it| it.stream()).collect();
        self.chunks_sent(&streams);
    }

    fn notify_inactive(&self) {
        let Some(this) = self.local.conn(self.key) else {
            return;
        };
        let handler = this.handler();
        let connection = crate::shard::conn::user::Connection::new(this);
        self.guarded(|| {
            if let Some(streams) = handler.stream_manager() {
                streams.connection_terminated(&connection);
            }
            handler.channel_inactive(&connection);
        });
    }

    fn count(&self, reason: &CloseReason) {
        let metrics = &self.local.metrics;
        let kind = match reason {
            CloseReason::Io(_) => ErrorKind::Io,
            CloseReason::Protocol(
                FrameError::BodyTooLong { .. } | FrameError::RpcTooLong { .. },
            ) => ErrorKind::Oversized,
            CloseReason::Spark(
                SparkFrameError::BeyondLimit { .. } | SparkFrameError::TooLarge { .. },
            ) => ErrorKind::Oversized,
            #[cfg(feature = "spark")]
            CloseReason::Unsealed(_) => ErrorKind::Malformed,
            CloseReason::Protocol(_) | CloseReason::Spark(_) => ErrorKind::Malformed,
            CloseReason::BeyondCredit { .. } => ErrorKind::FlowControl,
            CloseReason::BadArchive(_) => ErrorKind::Archive,
            CloseReason::Misbehaved(_) => ErrorKind::Unexpected,
            CloseReason::HandshakeTimeout { .. } => ErrorKind::HandshakeTimeout,
            _ => return,
        };
        metrics.errors(kind).increment();
        tracing::warn!(target: "ringrail::conn", peer = %self.peer, %reason, "connection failed");
    }
}
