//! Bytes that both sides know without asking each other.

use std::fs::File;
use std::io::Write;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;

use crate::buf::ManagedBuffer;
use crate::error::RpcFailure;
use crate::sys::sim::Rng;
use ringrail_codec::native::FailureCode;

/// Longest body that begins anywhere.
pub(super) const MAX_LEN: usize = 3 << 20;

static NOISE: LazyLock<Bytes> = LazyLock::new(|| {
    let mut rng = Rng::new(99);
    let words = (0..2 * MAX_LEN / 8).flat_map(|_| rng.next_u64().to_le_bytes());
    words.collect::<Vec<u8>>().into()
});

static NOISE_FILE: LazyLock<Arc<File>> = LazyLock::new(|| {
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(&NOISE).expect("room on the disk");
    Arc::new(file)
});

fn start(tag: u64) -> usize {
    (Rng::new(tag).next_u64() % MAX_LEN as u64) as usize
}

/// The content that belongs to a tag.
pub(super) fn bytes(tag: u64, len: usize) -> Bytes {
    assert!(len <= MAX_LEN);
    let start = start(tag);
    NOISE.slice(start..start + len)
}

/// The same content as a part of a file.
pub(super) fn file(tag: u64, len: usize) -> ManagedBuffer {
    assert!(len <= MAX_LEN);
    ManagedBuffer::file(Arc::clone(&NOISE_FILE), start(tag) as u64, len as u64)
}

/// A file of its own with that content.
pub(super) fn fresh_file(tag: u64, len: usize) -> File {
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(&bytes(tag, len)).expect("room on the disk");
    file
}

/// The action that a scenario's request asks of its handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// Reply at once.
    Reply,
    /// Reply at once, with memory by reference.
    ReplyShared,
    /// Reply when the board says so.
    Defer,
    /// Fail with the code that the length stands for.
    Fail,
    /// Let the request go.
    Drop,
    /// Panic.
    Panic,
    /// Ask back over the same connection, and reply when that is answered.
    AskBack,
}

const DEEDS: [Deed; 7] = [
    Deed::Reply,
    Deed::ReplyShared,
    Deed::Defer,
    Deed::Fail,
    Deed::Drop,
    Deed::Panic,
    Deed::AskBack,
];

/// Length of an order in front of a request.
pub(super) const ORDER_LEN: usize = 24;

/// The head of every request: what to do, and how long the reply is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) deed: Deed,
    pub(super) tag: u64,
    pub(super) reply_len: usize,
}

impl Order {
    pub(super) fn new(deed: Deed, tag: u64, reply_len: usize) -> Self {
        Self {
            deed,
            tag,
            reply_len,
        }
    }

    /// A request of `len` bytes, or of the order alone.
    pub(super) fn request(&self, len: usize) -> Bytes {
        let mut body = Vec::with_capacity(len.max(ORDER_LEN));
        body.extend_from_slice(&(self.deed as u64).to_le_bytes());
        body.extend_from_slice(&self.tag.to_le_bytes());
        body.extend_from_slice(&(self.reply_len as u64).to_le_bytes());
        body.extend_from_slice(&bytes(!self.tag, len.saturating_sub(ORDER_LEN)));
        body.into()
    }

    /// Reads a request; says what is wrong with it where its content is not what it should be.
    pub(super) fn read(body: &[u8]) -> Result<Self, String> {
        let Some((head, rest)) = body.split_at_checked(ORDER_LEN) else {
            return Err(format!("a request of {} bytes", body.len()));
        };
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&head[at * 8..at * 8 + 8]);
            u64::from_le_bytes(word)
        };
        let (deed, tag, reply_len) = (word(0), word(1), word(2));
        let deed = DEEDS.get(deed as usize);
        let Some(&deed) = deed.filter(|_| rest.len() <= MAX_LEN) else {
            return Err(format!("a request that asks for {deed:?}"));
        };
        if rest != bytes(!tag, rest.len()) {
            return Err(format!(
                "request {tag:#x} of {} bytes came garbled",
                body.len()
            ));
        }
        let reply_len = reply_len as usize;
        Ok(Self {
            deed,
            tag,
            reply_len,
        })
    }

    pub(super) fn reply(&self) -> Bytes {
        bytes(self.tag, self.reply_len)
    }

    /// The failure that [`Deed::Fail`] is answered with.
    pub(super) fn failure(&self) -> RpcFailure {
        let codes = [
            FailureCode::NotFound,
            FailureCode::InvalidArgument,
            FailureCode::Unauthorized,
        ];
        let text = format!("as ordered by {:#x}", self.tag);
        RpcFailure::new(codes[self.reply_len % codes.len()], text).caused_by("the test")
    }
}

/// A chunk's stream id says what it is: where it lies and how long its chunks are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChunkName {
    pub(super) from_file: bool,
    pub(super) len: usize,
}

const FROM_FILE: u64 = 1 << 62;

impl ChunkName {
    pub(super) fn stream_id(&self) -> u64 {
        self.len as u64 | if self.from_file { FROM_FILE } else { 0 }
    }

    /// `None` where there is no such stream.
    pub(super) fn of(stream_id: u64) -> Option<Self> {
        let len = (stream_id & !FROM_FILE) as usize;
        (len <= MAX_LEN).then_some(Self {
            from_file: stream_id & FROM_FILE != 0,
            len,
        })
    }

    fn tag(&self, index: u32) -> u64 {
        self.len as u64 ^ u64::from(index) << 32
    }

    pub(super) fn bytes(&self, index: u32) -> Bytes {
        bytes(self.tag(index), self.len)
    }

    pub(super) fn data(&self, index: u32) -> ManagedBuffer {
        if self.from_file {
            file(self.tag(index), self.len)
        } else {
            self.bytes(index).into()
        }
    }
}
