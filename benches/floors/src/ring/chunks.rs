//! Serving chunks: headers and bodies of all requests at hand in one gathered send, bodies from
//! where they lie.

use super::answers::Answers;
use super::buffers::Buffers;
use super::gather::Gather;
use crate::frame::{self, HEADER_LEN, Shape, Walker};
use crate::pattern;
use crate::role::{Served, Serving};
use anyhow::Result;

/// Most chunks of one gathered send: two pieces each, and the kernel takes 1,024 at most.
const MAX_CHUNKS: u64 = 64;

/// Chunk requests of one connection.
pub(super) struct ChunkAnswers<'a> {
    walker: Walker,
    serving: &'a Serving<'a>,
    headers: Vec<[u8; HEADER_LEN]>,
    owed: u64,
    leaving: u64,
    served: Served,
}

impl<'a> ChunkAnswers<'a> {
    /// No request yet.
    pub(super) fn new(serving: &'a Serving<'a>) -> Self {
        Self {
            walker: Walker::new(Shape::request(serving.workload), None),
            serving,
            headers: Vec::with_capacity(MAX_CHUNKS as usize),
            owed: 0,
            leaving: 0,
            served: Served::default(),
        }
    }
}

impl Answers for ChunkAnswers<'_> {
    fn take(&mut self, buffers: &mut Buffers, id: u16, len: usize) -> Result<()> {
        let requests = self.walker.absorb(buffers.received(id, len));
        buffers.recycle(id);
        self.owed += requests?;
        Ok(())
    }

    fn gather(&mut self, _: &mut Buffers, gather: &mut Gather) {
        let size = self.serving.workload.size() as usize;
        let chunks = self.serving.workload.source_chunks();
        let first = self.walker.next_id() - self.owed;
        self.leaving = self.owed.min(MAX_CHUNKS);
        self.owed -= self.leaving;
        let ids = first..first + self.leaving;
        self.headers.clear();
        self.headers
            .extend(ids.clone().map(|id| frame::encode(id, size as u64)));
        for (id, header) in ids.zip(&self.headers) {
            let at = pattern::chunk_offset(id, chunks, size as u64) as usize;
            gather.push(header);
            gather.push(&self.serving.bytes()[at..at + size]);
        }
    }

    fn left(&mut self, _: &mut Buffers) {
        self.served
            .count(self.leaving, self.serving.workload.size());
    }

    fn served(&self) -> Served {
        self.served
    }
}
