//! Streams by name: slices are delivered as they arrive, at the reader's rate.

use std::fmt;
use std::task::{Context, Poll};

use tokio::sync::mpsc;

use ringrail_codec::native::GrantWindow;

use crate::buf::Lease;
use crate::error::RequestError;
use crate::shard::blocking::refuse_on_shard;
use crate::shard::command::Command;
use crate::shard::handle::ShardHandle;
use crate::shard::local::ConnKey;

/// Limit of queued slices. Credit limits their bytes, this limits their number.
pub(crate) const MAX_WAITING_SLICES: usize = 4096;

/// A message from the shard to the reader.
#[derive(Debug)]
enum Event {
    Data(Lease),
    End(Result<(), RequestError>),
}

/// The shard's end of a stream.
#[derive(Clone, Debug)]
pub(crate) struct StreamFeed {
    events: mpsc::Sender<Event>,
}

impl StreamFeed {
    /// The two ends of a stream that grants `window` bytes ahead.
    pub(crate) fn pair(shard: ShardHandle, key: ConnKey, window: u64) -> (Self, StreamReader) {
        // One place is reserved for the end.
        let (sender, events) = mpsc::channel(MAX_WAITING_SLICES + 1);
        let window = GrantWindow::new(window);
        let reader = StreamReader {
            events,
            shard,
            key,
            id: 0,
            window,
            over: false,
        };
        (Self { events: sender }, reader)
    }

    /// Queues a slice for the reader.
    ///
    /// # Errors
    /// If the reader is gone, or the sender cut its data into more slices than may be queued.
    pub(crate) fn push(&self, data: Lease) -> Result<(), ()> {
        if self.events.capacity() <= 1 {
            return Err(());
        }
        self.events.try_send(Event::Data(data)).map_err(|_| ())
    }

    /// True if a slice would be accepted.
    pub(crate) fn has_room(&self) -> bool {
        self.events.capacity() > 1 || self.events.is_closed()
    }

    /// Queues the end of the stream.
    pub(crate) fn end(&self, outcome: Result<(), RequestError>) {
        // A place is reserved for it, so this fails only if the reader is gone.
        let _ = self.events.try_send(Event::End(outcome));
    }
}

/// Reads a stream slice by slice (Spark: `StreamCallback`). The sender may be ahead of the reader
/// by a window;
/// taking slices grants more. Dropping the reader cancels the request.
pub struct StreamReader {
    events: mpsc::Receiver<Event>,
    shard: ShardHandle,
    key: ConnKey,
    id: u64,
    window: GrantWindow,
    over: bool,
}

impl StreamReader {
    pub(crate) fn set_id(&mut self, id: u64) {
        self.id = id;
    }

    /// The next slice; `None` at the end.
    ///
    /// # Errors
    /// The reason of an early end, once; `None` follows.
    ///
    /// # Cancel safety
    /// Dropping the future loses no data.
    pub async fn next(&mut self) -> Option<Result<Lease, RequestError>> {
        if self.over {
            return None;
        }
        let event = self.events.recv().await;
        self.take(event)
    }

    /// As [`next`](Self::next), for hand-written futures.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Lease, RequestError>>> {
        if self.over {
            return Poll::Ready(None);
        }
        let event = std::task::ready!(self.events.poll_recv(cx));
        Poll::Ready(self.take(event))
    }

    /// As [`next`](Self::next), for plain threads.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    ///
    /// # Panics
    /// On a shard's thread and inside an asynchronous runtime, which it would block.
    #[track_caller]
    pub fn blocking_next(&mut self) -> Option<Result<Lease, RequestError>> {
        refuse_on_shard("blocking_next");
        if self.over {
            return None;
        }
        let event = self.events.blocking_recv();
        self.take(event)
    }

    fn take(&mut self, event: Option<Event>) -> Option<Result<Lease, RequestError>> {
        match event {
            Some(Event::Data(data)) => {
                self.grant(data.len() as u64);
                Some(Ok(data))
            }
            Some(Event::End(outcome)) => {
                self.over = true;
                outcome.err().map(Err)
            }
            None => {
                self.over = true;
                Some(Err(RequestError::ShardStopped))
            }
        }
    }

    fn grant(&mut self, len: u64) {
        // The shard closes a connection that sends more than it was granted, so this fits the
        // window.
        if self.window.receive(len).is_ok()
            && let Some(bytes) = self.window.release(len)
        {
            self.shard.post_surely(Command::Grant {
                key: self.key,
                id: self.id,
                bytes,
            });
        }
    }
}

impl Drop for StreamReader {
    fn drop(&mut self) {
        if !self.over && self.id != 0 {
            self.shard.post_surely(Command::Cancel {
                key: self.key,
                id: self.id,
            });
        }
    }
}

impl fmt::Debug for StreamReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamReader({:#x}, over: {})", self.id, self.over)
    }
}
