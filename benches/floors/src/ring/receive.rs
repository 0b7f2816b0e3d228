//! The two ways in which the client receives answers: small ones as a stream through provided
//! buffers, large bodies exactly, each straight into memory of its own.

use super::buffers::{self, Buffers};
use super::event::{Event, Op};
use super::uring::Ring;
use crate::frame::{self, HEADER_LEN, Shape, Walker};
use crate::pattern;
use crate::region::Region;
use crate::workload::Workload;
use anyhow::{Context, Result, bail, ensure};
use io_uring::{opcode, types};
use std::net::TcpStream;
use std::os::fd::AsRawFd;

/// One connection's receiving end.
pub(super) trait Receive: Sized {
    /// Nothing received yet; the first answer will be `first_id`'s.
    ///
    /// # Errors
    /// No memory for the body.
    fn new(workload: &Workload, first_id: u64) -> Result<Self>;

    /// Posts the first receive.
    ///
    /// # Errors
    /// The ring's.
    fn start(&mut self, ring: &mut Ring<'_>, stream: &TcpStream, conn: usize) -> Result<()>;

    /// Handles the completion of a receive, posts the next, and returns how many answers are
    /// complete.
    ///
    /// # Errors
    /// An answer is wrong, or the server closed.
    fn received(
        &mut self,
        ring: &mut Ring<'_>,
        buffers: &mut Buffers,
        stream: &TcpStream,
        event: Event,
    ) -> Result<u64>;
}

/// Answers checked where a multishot receive put them.
pub(super) struct Stream {
    walker: Walker,
}

impl Receive for Stream {
    fn new(workload: &Workload, first_id: u64) -> Result<Self> {
        Ok(Self {
            walker: Walker::new(Shape::answer(workload), Some(first_id)),
        })
    }

    fn start(&mut self, ring: &mut Ring<'_>, stream: &TcpStream, conn: usize) -> Result<()> {
        let recv = opcode::RecvMulti::new(types::Fd(stream.as_raw_fd()), buffers::GROUP).build();
        // SAFETY: it writes to provided buffers only, which outlive the ring.
        unsafe { ring.post(recv, Op::Recv, conn) }
    }

    #[inline]
    fn received(
        &mut self,
        ring: &mut Ring<'_>,
        buffers: &mut Buffers,
        stream: &TcpStream,
        event: Event,
    ) -> Result<u64> {
        let answers = match event.buffer {
            Some(id) => {
                let len = event.count().context("receiving answers")?;
                let answers = self.walker.absorb(buffers.received(id, len))?;
                buffers.recycle(id);
                answers
            }
            // The client recycles before it receives again, so there are buffers by the time this
            // is submitted.
            None if event.result == -libc::ENOBUFS => 0,
            None => bail!("the server closed the connection"),
        };
        if !event.more {
            self.start(ring, stream, event.conn)?;
        }
        Ok(answers)
    }
}

/// Chunks of [`EXACT_LEN`](frame::EXACT_LEN) and more: a header, then a body, by one exact receive
/// each.
pub(super) struct Exact {
    header: Box<[u8; HEADER_LEN]>,
    body: Region,
    next_id: u64,
    chunks: u64,
}

impl Exact {
    fn post(
        ring: &mut Ring<'_>,
        stream: &TcpStream,
        buf: &mut [u8],
        op: Op,
        conn: usize,
    ) -> Result<()> {
        let fd = types::Fd(stream.as_raw_fd());
        let recv = opcode::Recv::new(fd, buf.as_mut_ptr(), buf.len() as u32)
            .flags(libc::MSG_WAITALL)
            .build();
        // SAFETY: header and body are boxed and mapped, are not touched before this receive
        // completes, and outlive the ring.
        unsafe { ring.post(recv, op, conn) }
    }

    fn check_header(&self) -> Result<()> {
        let (id, len) = frame::decode(&self.header);
        let size = self.body.bytes().len();
        ensure!(
            id == self.next_id && len == size as u64,
            "expected chunk {} of {size} bytes, got chunk {id} of {len} bytes",
            self.next_id
        );
        Ok(())
    }

    fn check_body(&self) -> Result<()> {
        let bytes = self.body.bytes();
        let offset = pattern::chunk_offset(self.next_id, self.chunks, bytes.len() as u64);
        ensure!(
            pattern::spot_check(offset, bytes, self.next_id),
            "chunk {} is not what was stored at {offset}",
            self.next_id
        );
        Ok(())
    }
}

impl Receive for Exact {
    fn new(workload: &Workload, first_id: u64) -> Result<Self> {
        Ok(Self {
            header: Box::new([0; HEADER_LEN]),
            body: Region::new(workload.size() as usize)?,
            next_id: first_id,
            chunks: workload.source_chunks(),
        })
    }

    fn start(&mut self, ring: &mut Ring<'_>, stream: &TcpStream, conn: usize) -> Result<()> {
        Self::post(ring, stream, &mut self.header[..], Op::Header, conn)
    }

    fn received(
        &mut self,
        ring: &mut Ring<'_>,
        _: &mut Buffers,
        stream: &TcpStream,
        event: Event,
    ) -> Result<u64> {
        let len = event.count().context("receiving a chunk")?;
        if event.op == Op::Header {
            ensure!(len == HEADER_LEN, "the server closed the connection");
            self.check_header()?;
            Self::post(ring, stream, self.body.bytes_mut(), Op::Body, event.conn)?;
            return Ok(0);
        }
        ensure!(
            len == self.body.bytes().len(),
            "the server closed the connection within a chunk"
        );
        self.check_body()?;
        self.next_id += 1;
        self.start(ring, stream, event.conn)?;
        Ok(1)
    }
}
