//! The ring's client: one loop keeps the requests of all connections in flight and checks every answer where it was received.

use super::buffers::{self, Buffers};
use super::event::{Event, Op};
use super::uring::{self, Ring};
use crate::frame::{Shape, Walker};
use crate::meter::{Meter, Metered, SendLog};
use crate::net;
use crate::requests::Requests;
use crate::usage::Who;
use crate::workload::Workload;
use anyhow::{Context, Result, bail};
use io_uring::{opcode, types};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Instant;

/// Runs the workload against `addr` and returns what was measured.
pub(crate) fn run(workload: &Workload, addr: SocketAddr) -> Result<Metered> {
    let conns = (0..workload.conns)
        .map(|index| Conn::connect(workload, addr, index))
        .collect::<Result<Vec<_>>>()?;
    let mut io = uring::build()?;
    let ring = Ring::new(&mut io, workload.wait)?;
    // SAFETY: `Client` drops its ring before its buffers.
    let buffers = unsafe { Buffers::register(&ring) }?;
    let mut client = Client {
        ring,
        dirty: (0..conns.len()).collect(),
        conns,
        buffers,
        meter: Meter::new(workload.length, Who::Process, Instant::now())?,
        outstanding: 0,
    };
    client.run()?;
    Ok(client.meter.finish())
}

/// Fields drop in this order: the ring ends before the memory that its operations use.
struct Client<'a> {
    ring: Ring<'a>,
    conns: Vec<Conn>,
    buffers: Buffers,
    /// Connections with room for more requests.
    dirty: Vec<usize>,
    meter: Meter,
    outstanding: u64,
}

struct Conn {
    stream: TcpStream,
    walker: Walker,
    requests: Requests,
    sent: SendLog,
    is_sending: bool,
    is_dirty: bool,
    pieces: Box<Gather>,
}

/// The memory of a gathered send, at an address that does not move.
struct Gather {
    pieces: [libc::iovec; 2],
    message: libc::msghdr,
}

impl Conn {
    fn connect(workload: &Workload, addr: SocketAddr, index: u32) -> Result<Self> {
        let first_id = workload.first_id(index);
        Ok(Self {
            stream: net::connect(addr)?,
            walker: Walker::new(Shape::answer(workload), Some(first_id)),
            requests: Requests::new(Shape::request(workload), workload.in_flight, first_id),
            sent: SendLog::new(workload.in_flight),
            is_sending: false,
            is_dirty: true,
            // SAFETY: all-zero is a valid msghdr and a valid iovec.
            pieces: Box::new(unsafe { std::mem::zeroed() }),
        })
    }
}

impl Client<'_> {
    fn run(&mut self) -> Result<()> {
        for conn in 0..self.conns.len() {
            self.receive(conn)?;
        }
        self.flush(Instant::now())?;
        let mut events = Vec::new();
        while self.outstanding > 0 {
            self.ring.turn(&mut events)?;
            let now = Instant::now();
            for event in events.drain(..) {
                match event.op {
                    Op::Recv => self.received(event, now)?,
                    Op::Send => self.sent(event)?,
                    other => unreachable!("{other:?} is never posted here"),
                }
            }
            self.buffers.publish();
            self.flush(now)?;
        }
        Ok(())
    }

    fn receive(&mut self, conn: usize) -> Result<()> {
        let fd = types::Fd(self.conns[conn].stream.as_raw_fd());
        let recv = opcode::RecvMulti::new(fd, buffers::GROUP).build();
        // SAFETY: it writes to provided buffers only, which outlive the ring.
        unsafe { self.ring.post(recv, Op::Recv, conn) }
    }

    fn received(&mut self, event: Event, now: Instant) -> Result<()> {
        let Some(id) = event.buffer else {
            if event.result == -libc::ENOBUFS {
                return self.receive(event.conn);
            }
            bail!(
                "the server closed with {} requests in flight",
                self.outstanding
            );
        };
        let len = result(event).context("receiving answers")?;
        let conn = &mut self.conns[event.conn];
        let answers = conn.walker.absorb(self.buffers.received(id, len))?;
        self.buffers.recycle(id);
        if answers > 0 {
            conn.requests.answered(answers)?;
            self.outstanding -= answers;
            self.meter.answered(answers, now, &mut conn.sent);
            if !conn.is_dirty {
                conn.is_dirty = true;
                self.dirty.push(event.conn);
            }
        }
        if event.more {
            Ok(())
        } else {
            self.receive(event.conn)
        }
    }

    fn sent(&mut self, event: Event) -> Result<()> {
        let len = result(event).context("sending requests")?;
        let conn = &mut self.conns[event.conn];
        conn.requests.sent(len);
        conn.is_sending = false;
        if !conn.is_dirty && !conn.requests.unsent()[0].is_empty() {
            conn.is_dirty = true;
            self.dirty.push(event.conn);
        }
        Ok(())
    }

    /// Issues as many requests as there is room for, one send per connection.
    fn flush(&mut self, now: Instant) -> Result<()> {
        while let Some(index) = self.dirty.pop() {
            let conn = &mut self.conns[index];
            conn.is_dirty = false;
            let room = conn.requests.room();
            if room > 0 && !self.meter.is_done() {
                conn.requests.issue(room);
                conn.sent.push(room, now);
                self.outstanding += room;
            }
            if !conn.is_sending && !conn.requests.unsent()[0].is_empty() {
                conn.is_sending = true;
                self.send(index)?;
            }
        }
        Ok(())
    }

    fn send(&mut self, index: usize) -> Result<()> {
        let conn = &mut self.conns[index];
        let fd = types::Fd(conn.stream.as_raw_fd());
        let [first, second] = conn.requests.unsent();
        let flags = libc::MSG_WAITALL | libc::MSG_NOSIGNAL;
        let entry = if second.is_empty() {
            opcode::Send::new(fd, first.as_ptr(), first.len() as u32)
                .flags(flags)
                .build()
        } else {
            conn.pieces.pieces = [first, second].map(|piece| libc::iovec {
                iov_base: piece.as_ptr().cast_mut().cast(),
                iov_len: piece.len(),
            });
            conn.pieces.message.msg_iov = conn.pieces.pieces.as_mut_ptr();
            conn.pieces.message.msg_iovlen = 2;
            opcode::SendMsg::new(fd, &raw const conn.pieces.message)
                .flags(flags as u32)
                .build()
        };
        // SAFETY: slots of requests in flight do not change, the message neither while `is_sending`, and both outlive the ring.
        unsafe { self.ring.post(entry, Op::Send, index) }
    }
}

/// The count in a completion, or its error.
fn result(event: Event) -> std::io::Result<usize> {
    usize::try_from(event.result).map_err(|_| std::io::Error::from_raw_os_error(-event.result))
}
