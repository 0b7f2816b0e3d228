//! A low-level client: typed requests over one connection.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ringrail_codec::archive::{ArchiveError, decode};
use ringrail_codec::native::FailureCode;
use ringrail_transport::client::{ChunkOptions, RequestFuture};
use ringrail_transport::{Addr, Outcome, RequestError, TransportClient};

use super::manifest::{Entry, Page};
use super::message::{
    BlockRequest, ChunkRange, DigestReply, ManifestReply, OpenReply, Opened, Refusal,
};
use super::{BlockId, MAX_MANIFEST_ENTRIES};

/// Time limit of answers that may require reading whole files or trees.
const LONG_TIMEOUT: Duration = Duration::from_secs(3600);

/// Pages of a manifest that are asked for at a time.
const PAGES_IN_FLIGHT: usize = 8;

/// Bytes of a manifest's page that are taken; a server closes its pages long before.
const MAX_PAGE_LEN: u64 = 1 << 20;

/// Asks a [`BlockServer`](super::BlockServer) over one connection; cheap to clone.
///
/// Answers are futures; [`Answer::wait`] is for plain threads.
///
/// ```no_run
/// use ringrail::block::{BlockClient, BlockId};
/// use ringrail::{Engine, TransportConf, TransportContext};
///
/// let engine = Engine::builder(TransportConf::default()).shards(1).start()?;
/// let clients = TransportContext::client_only(engine).create_client_factory(Vec::new());
/// let blocks = BlockClient::new(clients.create_client_blocking("localhost:7337")?);
/// let id: BlockId = "logs/today".parse()?;
/// let opened = blocks.open_one(&id, 1 << 20)?;
/// let first = blocks.fetch_chunk(opened.stream, 0, None).wait()?;
/// println!("{} of {} bytes", first.len(), opened.stamp.len);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct BlockClient {
    client: TransportClient,
}

impl BlockClient {
    /// Asks over this connection.
    pub fn new(client: TransportClient) -> Self {
        Self { client }
    }

    /// The connection.
    pub fn transport(&self) -> &TransportClient {
        &self.client
    }

    fn ask<T>(
        &self,
        request: &BlockRequest,
        timeout: Option<Duration>,
        read: fn(&[u8]) -> Result<T, ArchiveError>,
    ) -> Answer<T> {
        let answer = self.client.send_archive(request, timeout);
        Answer {
            answer,
            peer: self.client.peer().clone(),
            read,
        }
    }

    /// Sends bytes there and back; a shard answers them by itself.
    ///
    /// # Errors
    /// The future resolves to the error.
    pub fn ping(&self, payload: Vec<u8>) -> RequestFuture {
        self.client
            .send_archive(&BlockRequest::Ping { payload }, None)
    }

    /// Opens blocks, at most [`MAX_OPEN_BATCH`](super::MAX_OPEN_BATCH): one outcome each.
    ///
    /// # Errors
    /// The future resolves to the error.
    pub fn open<'a>(
        &self,
        ids: impl IntoIterator<Item = &'a BlockId>,
        chunk_len: u32,
    ) -> Answer<OpenReply> {
        let ids = ids.into_iter().map(|id| id.as_bytes().to_vec()).collect();
        self.ask(&BlockRequest::Open { ids, chunk_len }, None, decode)
    }

    /// Opens one block; blocks this thread.
    ///
    /// # Errors
    /// There is no answer, or the block cannot be opened.
    pub fn open_one(&self, id: &BlockId, chunk_len: u32) -> Result<Opened, BlockError> {
        let reply = self.open([id], chunk_len).wait()?;
        let outcome = reply.outcomes.into_iter().next();
        let outcome = outcome.ok_or_else(|| self.nonsense("it answered for no block"))?;
        outcome.map_err(|refusal| self.refused(refusal))
    }

    /// Digests of chunks of open blocks: one outcome per range.
    ///
    /// # Errors
    /// The future resolves to the error.
    pub fn digests(&self, of: Vec<ChunkRange>) -> Answer<DigestReply> {
        self.ask(&BlockRequest::Digests { of }, Some(LONG_TIMEOUT), decode)
    }

    /// Asks for chunk `index` of an open block; `len` is its length where that is known, and more
    /// than that is not taken.
    ///
    /// # Errors
    /// The future resolves to the error.
    pub fn fetch_chunk(&self, stream: u64, index: u32, len: Option<u32>) -> RequestFuture {
        self.ask_for_chunk(stream, index, len, true)
    }

    /// As [`fetch_chunk`](Self::fetch_chunk), for a caller that compares the chunk with its digest
    /// ([`digests`](Self::digests)): it comes without CRC32C, and leaves by `sendfile` where that is possible.
    ///
    /// # Errors
    /// By the future: why it did not come.
    pub fn fetch_chunk_to_verify(
        &self,
        stream: u64,
        index: u32,
        len: Option<u32>,
    ) -> RequestFuture {
        self.ask_for_chunk(stream, index, len, false)
    }

    fn ask_for_chunk(
        &self,
        stream: u64,
        index: u32,
        len: Option<u32>,
        checksum: bool,
    ) -> RequestFuture {
        let len_hint = len.map(u64::from);
        let max_len = len_hint.unwrap_or(u64::MAX);
        let options = ChunkOptions {
            len_hint,
            max_len,
            checksum,
            ..ChunkOptions::default()
        };
        self.client.fetch_chunk(stream, index, &options)
    }

    /// Closes streams that are not needed any more. Not confirmed; the end of the connection and
    /// time close them too.
    pub fn close(&self, streams: Vec<u64>) {
        let mut body = Vec::new();
        let request = BlockRequest::Close { streams };
        if ringrail_codec::archive::encode_to_vec(&request, &mut body).is_ok() {
            // Optional: the server closes idle streams itself.
            let _ = self.client.send(body);
        }
    }

    /// Describes a block, or a directory and all it holds.
    ///
    /// # Errors
    /// The future resolves to the error.
    pub fn manifest(&self, id: &BlockId, digests: bool) -> Answer<ManifestReply> {
        let request = BlockRequest::Manifest {
            id: id.as_bytes().to_vec(),
            digests,
        };
        self.ask(&request, Some(LONG_TIMEOUT), decode)
    }

    /// A page of a manifest that is a stream.
    ///
    /// # Errors
    /// The future resolves to the error.
    pub fn manifest_page(&self, stream: u64, index: u32) -> Answer<Page> {
        let options = ChunkOptions {
            max_len: MAX_PAGE_LEN,
            ..ChunkOptions::default()
        };
        let answer = self.client.fetch_chunk(stream, index, &options);
        Answer {
            answer,
            peer: self.client.peer().clone(),
            read: decode,
        }
    }

    /// All entries of a manifest, however long; blocks this thread.
    ///
    /// # Errors
    /// There is no answer, or it has more entries than it said or than
    /// [`MAX_MANIFEST_ENTRIES`].
    pub fn entries(&self, id: &BlockId, digests: bool) -> Result<Vec<Entry>, BlockError> {
        let (stream, pages, count) = match self.manifest(id, digests).wait()? {
            ManifestReply::Inline(page) => return Ok(page.entries),
            ManifestReply::Stream {
                stream,
                pages,
                entries,
            } => (stream, pages, entries),
        };
        if count > MAX_MANIFEST_ENTRIES {
            return Err(self.nonsense("its manifest has more entries than are allowed here"));
        }
        let mut entries = Vec::new();
        let mut asked = VecDeque::new();
        for index in 0..pages {
            asked.push_back(self.manifest_page(stream, index));
            if asked.len() >= PAGES_IN_FLIGHT {
                self.take_page(asked.pop_front(), &mut entries, count)?;
            }
        }
        while let Some(page) = asked.pop_front() {
            self.take_page(Some(page), &mut entries, count)?;
        }
        self.close(vec![stream]);
        if entries.len() as u64 != count {
            return Err(self.nonsense("its manifest has fewer entries than it said"));
        }
        Ok(entries)
    }

    fn take_page(
        &self,
        page: Option<Answer<Page>>,
        entries: &mut Vec<Entry>,
        count: u64,
    ) -> Result<(), BlockError> {
        if let Some(page) = page {
            entries.append(&mut page.wait()?.entries);
        }
        if entries.len() as u64 > count {
            return Err(self.nonsense("its manifest has more entries than it said"));
        }
        Ok(())
    }

    fn nonsense(&self, detail: &str) -> BlockError {
        BlockError::Nonsense {
            peer: self.client.peer().clone(),
            detail: detail.to_owned(),
        }
    }

    fn refused(&self, refusal: Refusal) -> BlockError {
        BlockError::Refused {
            peer: self.client.peer().clone(),
            refusal,
        }
    }
}

/// Why a block server's answer is missing or of no use.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
    /// There is no answer.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The answer cannot be read, or contradicts itself.
    #[error("{peer} does not answer as a block server does: {detail}")]
    Nonsense {
        /// The peer.
        peer: Addr,
        /// A description of the error.
        detail: String,
    },
    /// The server refuses the request for this block.
    #[error("{peer} answered: {message}", message = refusal.message)]
    Refused {
        /// The peer.
        peer: Addr,
        /// The server's refusal.
        refusal: Refusal,
    },
}

impl BlockError {
    /// Whether the same request, sent again, may succeed.
    pub fn is_retryable(&self) -> bool {
        match self {
            BlockError::Request(error) => error.is_retryable(),
            BlockError::Nonsense { .. } => false,
            BlockError::Refused { refusal, .. } => refusal.retryable,
        }
    }

    /// The code that the server gave, where it answered with a failure.
    pub fn code(&self) -> Option<FailureCode> {
        match self {
            BlockError::Request(RequestError::Remote { failure, .. }) => Some(failure.code()),
            BlockError::Refused { refusal, .. } => Some(FailureCode::from_wire(refusal.code)),
            BlockError::Request(_) | BlockError::Nonsense { .. } => None,
        }
    }
}

/// A pending typed answer, for any executor; dropping it cancels the request.
#[must_use = "futures do nothing unless polled, and dropping this one retracts the request"]
pub struct Answer<T> {
    answer: RequestFuture,
    peer: Addr,
    read: fn(&[u8]) -> Result<T, ArchiveError>,
}

impl<T> Answer<T> {
    /// Waits for the answer, blocking this thread.
    ///
    /// # Errors
    /// If there is no answer, or it cannot be read.
    ///
    /// # Panics
    /// Inside an asynchronous runtime, which it would block.
    pub fn wait(self) -> Result<T, BlockError> {
        let Self { answer, peer, read } = self;
        finish(&peer, read, answer.wait())
    }
}

fn finish<T>(
    peer: &Addr,
    read: fn(&[u8]) -> Result<T, ArchiveError>,
    outcome: Outcome,
) -> Result<T, BlockError> {
    read(&outcome?).map_err(|error| BlockError::Nonsense {
        peer: peer.clone(),
        detail: error.to_string(),
    })
}

impl<T> Future for Answer<T> {
    type Output = Result<T, BlockError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(Pin::new(&mut self.answer).poll(cx));
        Poll::Ready(finish(&self.peer, self.read, outcome))
    }
}

impl<T> fmt::Debug for Answer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer(from {})", self.peer)
    }
}
