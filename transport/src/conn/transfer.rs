//! Bodies on their way out, slice by slice, as far as the receiver's credit goes.

use std::fs::File;
use std::sync::Arc;

use ringrail_codec::native::{
    ALIGN, ChunkData, FailureCode, Header, Next, OneWay, RpcReply, RpcRequest, RpcSlice, Slice,
    SliceOf, Slicer, StreamData, UploadData,
};

use crate::buf::{Body, Gather, Lease, ManagedBuffer, Mapping, Summed, granular_len};
use crate::error::RpcFailure;

use super::file_sums::SumTicket;
use super::spark::lead::Lead;

/// The kind of message that a body belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carries {
    /// The answer to a chunk request; the stream it is of.
    Chunk { stream: u64 },
    /// The answer to a stream request.
    Stream,
    /// An upload of ours.
    Upload,
    /// A large request of ours.
    Request { deadline_us: u32 },
    /// A large reply.
    Reply,
    /// A large one-way message of ours.
    OneWay,
    /// The answer to a question for merged blocks (Spark's protocol).
    Merged,
    /// A failure that keeps the place of the stream it is the answer for (Spark's protocol).
    Refusal,
}

/// State of the next slice of a file.
#[derive(Debug)]
enum Load {
    /// Nothing has been done about it.
    Idle,
    /// It is being read off the disk.
    Reading,
    /// Here it is.
    Ready(Lease),
}

/// Names a transfer among those of its connection: ids of both directions are apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TransferKey {
    id: u64,
    response: bool,
}

impl std::hash::Hash for TransferKey {
    #[inline]
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u64(self.id);
        state.write_u64(u64::from(self.response));
    }
}

impl TransferKey {
    /// The answer to a request of the peer.
    pub(crate) fn of_peer(id: u64) -> Self {
        Self { id, response: true }
    }

    /// True for bodies that answer a request of the peer.
    pub(crate) fn answers(carries: Carries) -> bool {
        matches!(
            carries,
            Carries::Chunk { .. }
                | Carries::Stream
                | Carries::Reply
                | Carries::Merged
                | Carries::Refusal
        )
    }

    /// The body of a request of this side.
    pub(crate) fn of_ours(id: u64) -> Self {
        let response = false;
        Self { id, response }
    }
}

/// One body on its way out.
#[derive(Debug)]
pub(crate) struct Transfer {
    pub(crate) id: u64,
    pub(crate) carries: Carries,
    pub(crate) deadline_ns: u64,
    slicer: Slicer,
    source: ManagedBuffer,
    total: u64,
    /// Bytes of a slice at most.
    slice_max: u32,
    /// Its slices carry a CRC32C, so they are cut where sums are known.
    summed: bool,
    load: Load,
    /// Under which the sums of the slice that is being read, or has been, are kept.
    ticket: Option<SumTicket>,
    frames: Frames,
}

/// How a body is framed.
#[derive(Debug)]
enum Frames {
    /// A header in front of each slice.
    Slices,
    /// One head in front of it all, which has not been sent.
    Led(Lead),
    /// That head is sent, and nothing but the rest of the body may follow.
    Running,
}

/// A part of a file, wanted next.
#[derive(Clone, Debug)]
pub(crate) struct FileRange {
    pub(crate) file: Arc<File>,
    pub(crate) offset: u64,
    pub(crate) len: usize,
    pub(crate) mapping: Option<Arc<Mapping>>,
}

/// The need of the next slice.
#[derive(Debug)]
pub(crate) enum Want {
    /// Everything is sent.
    Done,
    /// Credit.
    Wait,
    /// A read that is under way.
    Reading,
    /// Nothing: [`Transfer::cut`] gives it.
    Ready,
    /// This part of the file.
    File(FileRange),
}

impl Transfer {
    pub(crate) fn new(
        id: u64,
        carries: Carries,
        source: ManagedBuffer,
        slice_max: u32,
        credit: u64,
        deadline_ns: u64,
    ) -> Self {
        let total = source.len();
        let slicer = match carries {
            Carries::Chunk { .. } => Slicer::chunk(total, slice_max, credit),
            Carries::Stream => Slicer::stream(total, slice_max, credit),
            Carries::Upload => Slicer::upload(total, slice_max, credit),
            _ => Slicer::rpc(total, slice_max, credit),
        };
        Self {
            id,
            carries,
            deadline_ns,
            slicer,
            source,
            total,
            slice_max,
            summed: false,
            load: Load::Idle,
            ticket: None,
            frames: Frames::Slices,
        }
    }

    /// The same body, with a CRC32C on its slices.
    pub(crate) fn with_sums(mut self) -> Self {
        self.summed = true;
        self
    }

    /// A body of Spark's protocol: whole behind `lead`, without headers between its parts.
    pub(crate) fn plain(
        id: u64,
        carries: Carries,
        source: ManagedBuffer,
        part_max: u32,
        lead: Lead,
    ) -> Self {
        let total = source.len();
        Self {
            id,
            carries,
            deadline_ns: u64::MAX,
            slicer: Slicer::upload(total, part_max, u64::MAX),
            source,
            total,
            slice_max: part_max,
            summed: false,
            load: Load::Idle,
            ticket: None,
            frames: Frames::Led(lead),
        }
    }

    /// True where its slices carry a CRC32C.
    pub(crate) fn is_summed(&self) -> bool {
        self.summed
    }

    /// True where its parts have no headers.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        !matches!(self.frames, Frames::Slices)
    }

    /// True where nothing else may be sent before it is through.
    pub(crate) fn has_begun(&self) -> bool {
        matches!(self.frames, Frames::Running)
    }

    /// Writes what goes in front of a plain body, once.
    pub(crate) fn begin(&mut self, gather: &mut Gather) {
        if let Frames::Led(_) = self.frames
            && let Frames::Led(lead) = std::mem::replace(&mut self.frames, Frames::Running)
        {
            match lead {
                Lead::Fixed(head) => gather.put(&head),
                Lead::Long(head) => gather.put_body(Body::Bytes(head)),
            }
        }
    }

    pub(crate) fn grant(&mut self, bytes: u64) {
        self.slicer.grant(bytes);
    }

    /// The stream of a chunk.
    pub(crate) fn stream(&self) -> Option<u64> {
        match self.carries {
            Carries::Chunk { stream } => Some(stream),
            _ => None,
        }
    }

    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    pub(crate) fn key(&self) -> TransferKey {
        TransferKey {
            id: self.id,
            response: TransferKey::answers(self.carries),
        }
    }

    pub(crate) fn is_chunk(&self) -> bool {
        matches!(self.carries, Carries::Chunk { .. })
    }

    /// The need of the next slice, looking no further than `slice_max` bytes.
    pub(crate) fn want(&self, slice_max: u32) -> Want {
        let mut probe = self.slicer;
        let slice = match probe.next(self.slice_len(slice_max)) {
            Next::Done => return Want::Done,
            Next::Blocked => return Want::Wait,
            Next::Slice(slice) => slice,
        };
        match (&self.source, &self.load) {
            _ if slice.len == 0 => Want::Ready,
            (ManagedBuffer::Memory(_) | ManagedBuffer::Summed(_), _) => Want::Ready,
            (_, Load::Ready(_)) => Want::Ready,
            (_, Load::Reading) => Want::Reading,
            (ManagedBuffer::File(segment), Load::Idle) => Want::File(FileRange {
                file: Arc::clone(&segment.file),
                offset: segment.offset + slice.offset,
                len: slice.len as usize,
                mapping: segment.mapping.clone(),
            }),
        }
    }

    /// The next slice from memory, of at most `slice_max` bytes: header (without checksum) and body.
    pub(crate) fn cut(&mut self, slice_max: u32) -> Option<(Header, Option<Body>)> {
        let ready = match &self.load {
            Load::Ready(lease) => slice_max.min(lease.len() as u32),
            _ => self.slice_len(slice_max),
        };
        let Next::Slice(slice) = self.slicer.next(ready) else {
            return None;
        };
        let body = if slice.len == 0 {
            None
        } else {
            Some(self.body_of(&slice))
        };
        Some((self.header(&slice), body))
    }

    /// The next slice, of `len` bytes, whose body is sent from the file itself.
    pub(crate) fn cut_file(&mut self, len: usize) -> Option<Header> {
        match self.slicer.next(len as u32) {
            Next::Slice(slice) => Some(self.header(&slice)),
            _ => None,
        }
    }

    fn body_of(&mut self, slice: &Slice) -> Body {
        let len = slice.len as usize;
        match &self.source {
            ManagedBuffer::Memory(body) => {
                let start = slice.offset as usize;
                return body.slice(start..start + len);
            }
            ManagedBuffer::Summed(summed) => return summed.part(slice.offset, len as u64),
            ManagedBuffer::File(_) => {}
        }
        let Load::Ready(mut lease) = std::mem::replace(&mut self.load, Load::Idle) else {
            unreachable!("a file's slice is cut when it has been read");
        };
        if lease.len() > len {
            self.load = Load::Ready(lease.slice(len..));
            lease.truncate(len);
        }
        Body::Lease(lease)
    }

    /// Bytes of the next slice at most, where it may have `slice_max`.
    fn slice_len(&self, slice_max: u32) -> u32 {
        let base = match &self.source {
            ManagedBuffer::Summed(summed) => summed.offset(),
            ManagedBuffer::File(segment) => segment.offset,
            ManagedBuffer::Memory(_) => return slice_max,
        };
        // Slices are multiples of 16 bytes, but for the last.
        if !self.summed || !base.is_multiple_of(ALIGN as u64) {
            return slice_max;
        }
        let sent = self.slicer.sent();
        let most = u64::from(slice_max.min(self.slice_max));
        let len = granular_len(base.saturating_add(sent), self.total - sent, most);
        // No slice of bytes is empty.
        u32::try_from(len).map_or(slice_max, |len| len.max(1))
    }

    /// The sum of the slice that was cut last, of memory.
    pub(crate) fn sum_of_cut(&self, bytes: &[u8]) -> Summed {
        match &self.source {
            ManagedBuffer::Summed(summed) => {
                summed.sum(self.slicer.sent() - bytes.len() as u64, bytes)
            }
            _ => Summed::whole(bytes),
        }
    }

    /// The file of a slice that has been read, and whose sums are to be kept.
    pub(crate) fn file_to_sum(&self) -> Option<Arc<File>> {
        self.ticket?;
        match &self.source {
            ManagedBuffer::File(segment) if self.summed => Some(Arc::clone(&segment.file)),
            _ => None,
        }
    }

    /// The ticket under which the sums of the slice of `len` bytes are kept that was cut last, and where in its
    /// file it begins; given out once.
    pub(crate) fn take_ticket(&mut self, len: usize) -> Option<(SumTicket, u64)> {
        let ticket = self.ticket.take()?;
        let ManagedBuffer::File(segment) = &self.source else {
            return None;
        };
        let at = segment.offset + self.slicer.sent() - len as u64;
        Some((ticket, at))
    }

    /// The sums of the next slice, which is to be read, are kept under this ticket, or not at all.
    pub(crate) fn set_ticket(&mut self, ticket: Option<SumTicket>) {
        self.ticket = ticket;
    }

    fn header(&self, slice: &Slice) -> Header {
        let (id, len, seq, more) = (self.id, slice.len, slice.seq, slice.more);
        let total_len = self.total;
        let of = match self.carries {
            Carries::Chunk { .. } => {
                return ChunkData {
                    id,
                    total_len,
                    seq,
                    more,
                }
                .header(len);
            }
            Carries::Stream => return StreamData { id, total_len, seq }.header(len),
            Carries::Upload => {
                let offset = slice.offset;
                return UploadData { id, offset, seq }.header(len);
            }
            Carries::Request { deadline_us } if seq == 0 => {
                return RpcRequest {
                    id,
                    total_len,
                    deadline_us,
                }
                .header(len);
            }
            Carries::Reply if seq == 0 => return RpcReply { id, total_len }.header(len),
            Carries::OneWay if seq == 0 => return OneWay { id, total_len }.header(len),
            Carries::Request { .. } => SliceOf::Request,
            // The last two are of Spark's protocol, which has no headers of slices.
            Carries::Reply | Carries::Merged | Carries::Refusal => SliceOf::Reply,
            Carries::OneWay => SliceOf::OneWay,
        };
        RpcSlice {
            id,
            of,
            offset: slice.offset,
            seq,
            more,
        }
        .header(len)
    }

    /// A read of the next slice has been posted.
    pub(crate) fn reading(&mut self) {
        self.load = Load::Reading;
    }

    /// The read came to nothing and is to be repeated.
    pub(crate) fn unread(&mut self) {
        self.load = Load::Idle;
    }

    /// The read has ended.
    ///
    /// # Errors
    /// If the file ended before the transfer's length, or could not be read.
    pub(crate) fn loaded(&mut self, read: std::io::Result<Lease>) -> Result<(), RpcFailure> {
        self.load = Load::Idle;
        match read {
            Ok(lease) if lease.is_empty() => Err(self.truncated()),
            Ok(lease) => {
                self.load = Load::Ready(lease);
                Ok(())
            }
            Err(error) => Err(RpcFailure::new(
                FailureCode::SourceIo,
                format!("reading the file at byte {}: {error}", self.slicer.sent()),
            )),
        }
    }

    /// The failure of a file that ends before the transfer does.
    pub(crate) fn truncated(&self) -> RpcFailure {
        RpcFailure::new(
            FailureCode::SourceTruncated,
            format!(
                "the file ended {} bytes into a body of {}: it was shortened meanwhile",
                self.slicer.sent(),
                self.total
            ),
        )
    }
}
