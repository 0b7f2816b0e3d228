//! Registered streams, each a sequence of chunks for one connection.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use ringrail_codec::native::FailureCode;

use crate::buf::ManagedBuffer;
use crate::error::RpcFailure;
use crate::shard::conn::user::Connection;
use crate::shard::local::ConnKey;

use super::StreamManager;

struct Registered {
    chunks: Box<dyn Iterator<Item = Result<ManagedBuffer, RpcFailure>>>,
    next: u32,
    app: Option<Rc<str>>,
    owner: ConnKey,
}

/// Streams whose chunks are handed out once, in order, to the connection that registered them
/// (Spark: `OneForOneStreamManager`).
///
/// Handing out the last chunk removes the stream; so does the end of its connection.
#[derive(Default)]
pub struct OneForOneStreamManager {
    streams: RefCell<HashMap<u64, Registered>>,
    count: Cell<u64>,
    in_transfer: Cell<u64>,
}

impl OneForOneStreamManager {
    /// No streams yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a stream for a connection and returns its id. `chunks` yields the chunks in order,
    /// lazily.
    pub fn register_stream(
        &self,
        owner: &Connection,
        chunks: impl Iterator<Item = Result<ManagedBuffer, RpcFailure>> + 'static,
    ) -> u64 {
        self.count.set(self.count.get() + 1);
        let id = self.count.get();
        let (app, owner) = (owner.client_id(), owner.key());
        let stream = Registered {
            chunks: Box::new(chunks),
            next: 0,
            app,
            owner,
        };
        self.streams.borrow_mut().insert(id, stream);
        id
    }

    /// Number of registered streams.
    pub fn len(&self) -> usize {
        self.streams.borrow().len()
    }

    /// True if no stream is registered.
    pub fn is_empty(&self) -> bool {
        self.streams.borrow().is_empty()
    }

    /// Number of chunks being sent (Spark: `chunksBeingTransferred`).
    pub fn chunks_being_transferred(&self) -> u64 {
        self.in_transfer.get()
    }
}

impl std::fmt::Debug for OneForOneStreamManager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OneForOneStreamManager({} streams)", self.len())
    }
}

impl StreamManager for OneForOneStreamManager {
    fn get_chunk(
        &self,
        from: &Connection,
        stream_id: u64,
        index: u32,
    ) -> Result<ManagedBuffer, RpcFailure> {
        let mut streams = self.streams.borrow_mut();
        let Some(stream) = streams
            .get_mut(&stream_id)
            .filter(|have| have.owner == from.key())
        else {
            let text = format!("Unknown stream ID {stream_id}: never opened here, or finished");
            return Err(RpcFailure::new(FailureCode::StreamClosed, text));
        };
        if index != stream.next {
            let text = format!(
                "Received out-of-order chunk index {index} (expected {}) of stream {stream_id}",
                stream.next
            );
            return Err(RpcFailure::new(FailureCode::OutOfOrder, text));
        }
        let Some(chunk) = stream.chunks.next() else {
            streams.remove(&stream_id);
            let text = format!("Requested chunk index beyond end {index} of stream {stream_id}");
            return Err(RpcFailure::new(FailureCode::StreamClosed, text));
        };
        stream.next += 1;
        if stream.chunks.size_hint() == (0, Some(0)) {
            streams.remove(&stream_id);
        }
        chunk
    }

    /// A chunk as a stream, by the name `<stream id>_<chunk index>`: it is sent in slices. Handed out in the same order
    /// as by [`get_chunk`](StreamManager::get_chunk).
    fn open_stream(
        &self,
        from: &Connection,
        name: &str,
    ) -> Result<Option<ManagedBuffer>, RpcFailure> {
        let numbers = name.split_once('_');
        let numbers = numbers.map(|(id, index)| (id.parse(), index.parse()));
        let Some((Ok(id), Ok(index))) = numbers else {
            return Ok(None);
        };
        self.check_authorization(from, id)?;
        self.get_chunk(from, id, index).map(Some)
    }

    fn check_authorization(&self, from: &Connection, stream_id: u64) -> Result<(), RpcFailure> {
        let streams = self.streams.borrow();
        let (Some(client), Some(stream)) = (from.client_id(), streams.get(&stream_id)) else {
            return Ok(());
        };
        if stream.app.as_ref() == Some(&client) {
            return Ok(());
        }
        let text = format!("Client {client} is not authorized to read stream {stream_id}");
        Err(RpcFailure::new(FailureCode::Unauthorized, text))
    }

    fn chunk_being_sent(&self, _stream_id: u64) {
        self.in_transfer.set(self.in_transfer.get() + 1);
    }

    fn chunk_sent(&self, _stream_id: u64) {
        self.in_transfer
            .set(self.in_transfer.get().saturating_sub(1));
    }

    fn connection_terminated(&self, connection: &Connection) {
        self.streams
            .borrow_mut()
            .retain(|_, stream| stream.owner != connection.key());
    }
}
