//! Work of the helper threads: list, open, hash. Nothing here runs on a shard.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use ringrail_codec::archive::{Encode, encode_to_vec};
use ringrail_codec::native::FailureCode;
use ringrail_transport::RpcFailure;
use ringrail_transport::buf::ManagedBuffer;
use ringrail_transport::server::DeferredResponder;

use super::Shared;
use super::budget::Held;
use super::streams::{Opening, Owner, Source};
use crate::block::digest::{Chunking, Digest};
use crate::block::manifest::{PAGE_LEN, Page};
use crate::block::message::{DigestReply, ManifestReply, OpenReply, Opened, Refusal};
use crate::block::store::{BlockStore, StoreError};
use crate::block::{BlockId, Entry, EntryKind};

/// Bytes of a file that are read at once to be hashed.
const READ_LEN: usize = 256 << 10;

/// Default limit of the entries of a manifest; a fetcher accepts no more.
pub const MAX_MANIFEST_ENTRIES: u64 = 4_000_000;

/// The context of a helper thread's task: the server, the connection, the shard's table of streams.
pub(super) struct Place {
    pub(super) shared: Arc<Shared>,
    pub(super) owner: Arc<Owner>,
    pub(super) opening: Arc<Opening>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.owner.end_job();
    }
}

impl Place {
    fn register(&self, source: Source) -> Result<u64, RpcFailure> {
        let id = self.shared.next_stream();
        self.opening.register(id, source, &self.owner)?;
        Ok(id)
    }

    /// True if the answer is no longer wanted.
    fn is_over(&self, reply: &DeferredResponder) -> bool {
        reply.is_retracted() || self.owner.is_over()
    }
}

/// The task of a helper thread.
pub(super) enum Work {
    Open {
        ids: Vec<Vec<u8>>,
        chunk_len: u32,
    },
    Manifest {
        id: Vec<u8>,
        digests: bool,
    },
    Digests {
        wanted: Vec<Result<Wanted, RpcFailure>>,
    },
}

/// A request on its way through the helper threads.
pub(super) struct Task {
    pub(super) place: Place,
    pub(super) work: Work,
    pub(super) reply: DeferredResponder,
}

impl Task {
    pub(super) fn run(self) {
        let Self { place, work, reply } = self;
        if place.is_over(&reply) {
            return;
        }
        match work {
            Work::Open { ids, chunk_len } => open(&place, ids, chunk_len, reply),
            Work::Manifest { id, digests } => manifest(&place, id, digests, reply),
            Work::Digests { wanted } => digests(&place, wanted, reply),
        }
    }
}

/// Answers with the result of a task.
fn answer(reply: DeferredResponder, found: Result<impl Encode, RpcFailure>) {
    match found {
        Err(failure) => reply.fail(failure),
        Ok(value) => {
            if let Err(reply) = reply.reply_archive(&value) {
                let text = "the answer passes the 2 GiB that an archive can have";
                reply.fail(RpcFailure::new(FailureCode::TooLarge, text));
            }
        }
    }
}

/// Opens blocks and registers a stream for each.
fn open(place: &Place, ids: Vec<Vec<u8>>, chunk_len: u32, reply: DeferredResponder) {
    let mut outcomes = Vec::with_capacity(ids.len());
    for id in ids {
        if place.is_over(&reply) {
            return;
        }
        outcomes.push(open_one(place, id, chunk_len).map_err(|failure| Refusal::from(&failure)));
    }
    answer(reply, Ok(OpenReply { outcomes }));
}

fn open_one(place: &Place, id: Vec<u8>, chunk_len: u32) -> Result<Opened, RpcFailure> {
    let id = checked(id)?;
    let block = place.shared.store.open(&id)?;
    let cut = Chunking::new(block.data.len(), chunk_len).ok_or_else(|| {
        let text = format!(
            "chunks of {chunk_len} bytes: they have a power of two of bytes between {} and {}",
            Chunking::MIN_CHUNK_LEN,
            Chunking::MAX_CHUNK_LEN
        );
        RpcFailure::new(FailureCode::InvalidArgument, text)
    })?;
    let stream = place.register(Source::Block {
        data: block.data,
        cut,
    })?;
    Ok(Opened {
        stream,
        stamp: block.stamp,
    })
}

fn checked(id: Vec<u8>) -> Result<BlockId, RpcFailure> {
    BlockId::new(id)
        .map_err(|error| RpcFailure::new(FailureCode::InvalidArgument, error.to_string()))
}

/// Some chunks of an open block.
pub(super) struct Wanted {
    pub(super) data: ManagedBuffer,
    pub(super) cut: Chunking,
    pub(super) first: u32,
    pub(super) count: u32,
}

impl Wanted {
    /// The numbers of the chunks, if the block has all of them.
    fn chunks(&self) -> Result<Range<u32>, RpcFailure> {
        let (first, count, have) = (self.first, self.count, self.cut.count());
        match first.checked_add(count).filter(|end| *end <= have) {
            Some(end) => Ok(first..end),
            None => {
                let text = format!("{count} chunks from {first} on, of a block that has {have}");
                Err(RpcFailure::new(FailureCode::InvalidArgument, text))
            }
        }
    }
}

/// Hashes chunks.
fn digests(place: &Place, wanted: Vec<Result<Wanted, RpcFailure>>, reply: DeferredResponder) {
    let mut outcomes = Vec::with_capacity(wanted.len());
    for item in wanted {
        let found = item.and_then(|item| {
            item.chunks()?
                .map(|index| match place.is_over(&reply) {
                    true => Err(StoreError::Retracted.into()),
                    false => digest(&item.data, &item.cut, index),
                })
                .collect()
        });
        outcomes.push(found.map_err(|failure| Refusal::from(&failure)));
    }
    if !place.is_over(&reply) {
        answer(reply, Ok(DigestReply { outcomes }));
    }
}

/// The digest of one chunk.
fn digest(data: &ManagedBuffer, cut: &Chunking, index: u32) -> Result<Digest, RpcFailure> {
    let (offset, len) = cut.range(index).ok_or_else(|| {
        RpcFailure::new(
            FailureCode::InvalidArgument,
            format!("there is no chunk {index}"),
        )
    })?;
    match data {
        ManagedBuffer::Memory(_) | ManagedBuffer::Summed(_) => match data.as_slice() {
            Some(bytes) => Ok(cut.digest(index, &bytes[offset as usize..][..len as usize])),
            None => {
                let text = "this block is mapped; such blocks have no digests";
                Err(RpcFailure::new(FailureCode::Unsupported, text))
            }
        },
        ManagedBuffer::File(segment) => {
            let mut hasher = cut.hasher(index);
            let start = segment.offset + offset;
            read_through(&segment.file, start, u64::from(len), |part| {
                hasher.update(part)
            })?;
            Ok(hasher.finish())
        }
    }
}

/// Reads a part of a file piece by piece.
fn read_through(
    file: &File,
    start: u64,
    len: u64,
    mut take: impl FnMut(&[u8]),
) -> Result<(), RpcFailure> {
    let mut buffer = vec![0; READ_LEN.min(len as usize)];
    let mut at = 0;
    while at < len {
        let want = (len - at).min(READ_LEN as u64) as usize;
        match file.read_at(&mut buffer[..want], start + at) {
            Ok(0) => {
                let text = format!("the file ends at byte {}: it was shortened", start + at);
                return Err(RpcFailure::new(FailureCode::SourceTruncated, text));
            }
            Ok(count) => {
                take(&buffer[..count]);
                at += count as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => {
                let text = format!("reading byte {}: {error}", start + at);
                return Err(RpcFailure::new(FailureCode::SourceIo, text));
            }
        }
    }
    Ok(())
}

/// Lists a tree.
fn manifest(place: &Place, id: Vec<u8>, digests: bool, reply: DeferredResponder) {
    let found = checked(id).and_then(|id| {
        let mut writer = PageWriter::new(&place.shared);
        let store = &place.shared.store;
        store.walk(&id, &mut |mut entry| {
            if place.is_over(&reply) {
                return Err(StoreError::Retracted);
            }
            if digests {
                add_digest(&**store, &id, &mut entry);
            }
            writer.put(entry)
        })?;
        writer.finish(place)
    });
    answer(reply, found);
}

/// Adds its digest to a file's entry; one that cannot be read is listed as such instead.
fn add_digest(store: &dyn BlockStore, top: &BlockId, entry: &mut Entry) {
    let EntryKind::File { digest: place } = &mut entry.kind else {
        return;
    };
    let found = top
        .join(&entry.path)
        .map_err(|error| error.to_string())
        .and_then(|id| {
            let block = store.open(&id).map_err(|error| error.to_string())?;
            let whole =
                whole_digest(&block.data).map_err(|failure| failure.message().to_owned())?;
            Ok((whole, block.stamp))
        });
    match found {
        Ok((digest, stamp)) => {
            *place = Some(digest);
            entry.stamp = stamp;
        }
        Err(reason) => entry.kind = EntryKind::Unreadable { reason },
    }
}

fn whole_digest(data: &ManagedBuffer) -> Result<Digest, RpcFailure> {
    let cut = Chunking::new(data.len(), Chunking::MAX_CHUNK_LEN)
        .ok_or_else(|| RpcFailure::new(FailureCode::TooLarge, "the block is too long"))?;
    let chunks: Vec<Digest> = (0..cut.count())
        .map(|index| digest(data, &cut, index))
        .collect::<Result<_, _>>()?;
    cut.root(&chunks)
        .ok_or_else(|| RpcFailure::new(FailureCode::Internal, "chunks are missing"))
}

/// Packs entries into pages, within a budget.
struct PageWriter {
    page: Page,
    page_weight: usize,
    pages: Vec<Bytes>,
    entries: u64,
    max_entries: u64,
    held: Held,
}

impl PageWriter {
    fn new(shared: &Shared) -> Self {
        Self {
            page: Page::default(),
            page_weight: 0,
            pages: Vec::new(),
            entries: 0,
            max_entries: shared.conf.max_manifest_entries,
            held: shared.manifests.hold(),
        }
    }

    fn put(&mut self, entry: Entry) -> Result<(), StoreError> {
        let weight = entry.weight();
        if self.entries >= self.max_entries {
            return Err(StoreError::TooLarge {
                what: "a tree's number of entries",
                limit: self.max_entries,
                key: "ringrail.block.maxManifestEntries",
            });
        }
        if !self.held.grow(weight as u64) {
            return Err(StoreError::Busy {
                what: "the memory for manifests",
                limit: self.held.limit(),
                key: "ringrail.block.manifestBudget",
            });
        }
        self.entries += 1;
        self.page_weight += weight;
        self.page.entries.push(entry);
        if self.page_weight >= PAGE_LEN {
            self.close_page()?;
        }
        Ok(())
    }

    fn close_page(&mut self) -> Result<(), StoreError> {
        let mut bytes = Vec::with_capacity(self.page_weight);
        encode_to_vec(&self.page, &mut bytes).map_err(|_| StoreError::TooLarge {
            what: "a page of a manifest",
            limit: PAGE_LEN as u64,
            key: "nothing",
        })?;
        self.pages.push(bytes.into());
        self.page.entries.clear();
        self.page_weight = 0;
        Ok(())
    }

    fn finish(mut self, place: &Place) -> Result<ManifestReply, RpcFailure> {
        if self.pages.is_empty() {
            return Ok(ManifestReply::Inline(self.page));
        }
        if !self.page.entries.is_empty() {
            self.close_page()?;
        }
        let pages = u32::try_from(self.pages.len())
            .map_err(|_| RpcFailure::new(FailureCode::TooLarge, "too many pages"))?;
        let entries = self.entries;
        let source = Source::Pages {
            pages: self.pages,
            held: self.held,
        };
        Ok(ManifestReply::Stream {
            stream: place.register(source)?,
            pages,
            entries,
        })
    }
}
