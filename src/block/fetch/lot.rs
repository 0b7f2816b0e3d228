//! A lot that is being fetched: its open streams, its expected digests.

use std::collections::VecDeque;
use std::sync::Arc;

use super::dest::Part;
use super::job::FileJob;
use super::queue::Lot;
use crate::block::digest::Digest;
use crate::block::{Answer, BlockClient, BlockError, ChunkRange, DigestReply, Refusal};

/// One chunk to fetch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    /// Number of the lot.
    pub(super) lot: u64,
    /// Index of the file in the lot.
    pub(super) file: usize,
    /// Index of the chunk in the file.
    pub(super) index: u32,
    /// The stream of this connection that serves the file.
    pub(super) stream: u64,
    /// Length in bytes.
    pub(super) len: u32,
}

/// The server's digests of one file's chunks.
type Expected = Result<Vec<Digest>, Refusal>;

/// The state of a lot's digests.
#[derive(Debug)]
enum Digests {
    /// Not requested.
    None,
    /// Requested for these files.
    Asked {
        answer: Answer<DigestReply>,
        files: Vec<usize>,
    },
    /// Here, by file.
    Known(Vec<Option<Expected>>),
}

/// A lot whose files are open on the server.
#[derive(Debug)]
pub(super) struct ActiveLot {
    pub(super) number: u64,
    pub(super) lot: Lot,
    pub(super) left: usize,
    streams: Vec<Option<u64>>,
    parts: Vec<Option<Arc<Part>>>,
    digests: Digests,
}

impl ActiveLot {
    pub(super) fn new(number: u64, lot: Lot) -> Self {
        let count = lot.files.len();
        let (streams, parts) = (vec![None; count], vec![None; count]);
        Self {
            number,
            lot,
            left: 0,
            streams,
            parts,
            digests: Digests::None,
        }
    }

    pub(super) fn job(&self, file: usize) -> &Arc<FileJob> {
        &self.lot.files[file].0
    }

    /// A file of several chunks is open here.
    pub(super) fn set_part(&mut self, file: usize, part: Arc<Part>) {
        self.parts[file] = Some(part);
    }

    /// The part of a file that an earlier attempt left, to be compared chunk by chunk.
    pub(super) fn resumed(&self, file: usize) -> Option<&Arc<Part>> {
        self.parts[file].as_ref().filter(|part| part.is_resumed())
    }

    /// True if chunks are to be compared with the local file.
    pub(super) fn is_resumed(&self) -> bool {
        (0..self.parts.len()).any(|file| self.resumed(file).is_some())
    }

    pub(super) fn set_stream(&mut self, file: usize, stream: u64) {
        self.streams[file] = Some(stream);
    }

    /// The pieces that are not there yet.
    pub(super) fn pieces(&mut self, ready: &mut VecDeque<Piece>) {
        for (file, (job, chunks)) in self.lot.files.iter().enumerate() {
            let Some(stream) = self.streams[file] else {
                continue;
            };
            for index in chunks.clone().filter(|index| !job.has(*index)) {
                let Some((_, len)) = job.cut.range(index) else {
                    continue;
                };
                self.left += 1;
                ready.push_back(Piece {
                    lot: self.number,
                    file,
                    index,
                    stream,
                    len,
                });
            }
        }
    }

    /// Asks for the digests of all open files' chunks.
    pub(super) fn ask_digests(&mut self, client: &BlockClient) {
        let (mut files, mut of) = (Vec::new(), Vec::new());
        for (file, (_, chunks)) in self.lot.files.iter().enumerate() {
            if let Some(stream) = self.streams[file] {
                files.push(file);
                of.push(ChunkRange {
                    stream,
                    first: chunks.start,
                    count: chunks.len() as u32,
                });
            }
        }
        if !files.is_empty() {
            self.digests = Digests::Asked {
                answer: client.digests(of),
                files,
            };
        }
    }

    /// The digest that a piece must have; waits for it where it is on its way. `None` where digests
    /// were not asked for.
    pub(super) fn expected(&mut self, piece: &Piece) -> Result<Option<Digest>, DigestError> {
        self.settle_digests().map_err(DigestError::Request)?;
        let Digests::Known(known) = &self.digests else {
            return Ok(None);
        };
        let Some(expected) = &known[piece.file] else {
            return Ok(None);
        };
        let digests = expected
            .as_ref()
            .map_err(|refusal| DigestError::Refused(refusal.clone()))?;
        let first = self.lot.files[piece.file].1.start;
        match digests.get((piece.index - first) as usize) {
            Some(digest) => Ok(Some(*digest)),
            None => Err(DigestError::Missing),
        }
    }

    fn settle_digests(&mut self) -> Result<(), BlockError> {
        if !matches!(self.digests, Digests::Asked { .. }) {
            return Ok(());
        }
        let asked = std::mem::replace(&mut self.digests, Digests::None);
        if let Digests::Asked { answer, files } = asked {
            let mut known: Vec<Option<Expected>> = vec![None; self.lot.files.len()];
            for (file, outcome) in files.iter().zip(answer.wait()?.outcomes) {
                known[*file] = Some(outcome);
            }
            // A file that was left out has no digest to go by, which is not to pass as verified.
            for file in files {
                known[file].get_or_insert_with(|| Ok(Vec::new()));
            }
            self.digests = Digests::Known(known);
        }
        Ok(())
    }

    /// Closes the streams of a lot that is done with.
    pub(super) fn close(&self, client: &BlockClient) {
        let streams: Vec<u64> = self.streams.iter().flatten().copied().collect();
        if !streams.is_empty() && client.transport().is_active() {
            client.close(streams);
        }
    }
}

/// The reason that there is no digest to compare with.
#[derive(Debug)]
pub(super) enum DigestError {
    /// The request failed.
    Request(BlockError),
    /// The server has no digests of this file.
    Refused(Refusal),
    /// The server left it out.
    Missing,
}
