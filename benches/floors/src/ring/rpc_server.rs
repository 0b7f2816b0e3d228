//! Answering RPCs on the ring: requests are checked where they were received, answers of a batch leave in one send.

use super::buffers::{self, Buffers};
use super::event::{Event, Op};
use super::uring::{self, Ring};
use crate::frame::{Shape, Walker};
use crate::role::{Served, Serving};
use crate::workload::Workload;
use anyhow::{Context, Result, ensure};
use io_uring::{opcode, types};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd};

/// Serves RPCs on `listener` until the other end of `stop` is closed.
pub(crate) fn serve(
    serving: &Serving<'_>,
    listener: &TcpListener,
    stop: BorrowedFd<'_>,
) -> Result<Served> {
    let mut io = uring::build()?;
    let ring = Ring::new(&mut io, serving.workload.wait)?;
    // SAFETY: `Server` drops its ring before its buffers.
    let buffers = unsafe { Buffers::register(&ring) }?;
    let mut server = Server {
        ring,
        conns: Vec::new(),
        buffers,
        dirty: Vec::new(),
        workload: serving.workload,
        served: Served::default(),
    };
    server.run(listener, stop)?;
    Ok(server.served)
}

/// Fields drop in this order: the ring ends before the memory that its operations use.
struct Server<'a> {
    ring: Ring<'a>,
    conns: Vec<Conn>,
    buffers: Buffers,
    /// Connections with answers to send.
    dirty: Vec<usize>,
    workload: &'a Workload,
    served: Served,
}

struct Conn {
    stream: TcpStream,
    walker: Walker,
    /// Answers being gathered; the last may still lack its end.
    gathering: Vec<u8>,
    /// Answers that a send is reading.
    sending: Vec<u8>,
    sent: usize,
    is_sending: bool,
    is_dirty: bool,
    unsent_answers: u64,
}

impl Server<'_> {
    fn run(&mut self, listener: &TcpListener, stop: BorrowedFd<'_>) -> Result<()> {
        let accept = opcode::AcceptMulti::new(types::Fd(listener.as_raw_fd())).build();
        let ended = opcode::PollAdd::new(types::Fd(stop.as_raw_fd()), libc::POLLIN as u32).build();
        // SAFETY: neither points to memory.
        unsafe {
            self.ring.post(accept, Op::Accept, 0)?;
            self.ring.post(ended, Op::Stop, 0)?;
        }
        let mut events = Vec::new();
        loop {
            self.ring.turn(&mut events)?;
            for event in events.drain(..) {
                match event.op {
                    Op::Accept => self.accepted(event)?,
                    Op::Recv => self.received(event)?,
                    Op::Send => self.sent(event)?,
                    Op::Stop => return Ok(()),
                    other => unreachable!("{other:?} is never posted here"),
                }
            }
            self.buffers.publish();
            self.flush()?;
        }
    }

    fn accepted(&mut self, event: Event) -> Result<()> {
        let fd = result(event).context("accepting a connection")?;
        ensure!(event.more, "the kernel stopped accepting connections");
        // SAFETY: the completion hands over a descriptor that nobody else owns.
        let stream = unsafe { TcpStream::from_raw_fd(fd as i32) };
        let room = self.workload.in_flight as usize * Shape::rpc(self.workload).frame_len();
        self.conns.push(Conn {
            stream,
            walker: Walker::new(Shape::rpc(self.workload), Some(0)),
            gathering: Vec::with_capacity(room),
            sending: Vec::with_capacity(room),
            sent: 0,
            is_sending: false,
            is_dirty: false,
            unsent_answers: 0,
        });
        self.receive(self.conns.len() - 1)
    }

    fn receive(&mut self, conn: usize) -> Result<()> {
        let fd = types::Fd(self.conns[conn].stream.as_raw_fd());
        let recv = opcode::RecvMulti::new(fd, buffers::GROUP).build();
        // SAFETY: it writes to provided buffers only, which outlive the ring.
        unsafe { self.ring.post(recv, Op::Recv, conn) }
    }

    fn received(&mut self, event: Event) -> Result<()> {
        let Some(id) = event.buffer else {
            return if event.result == -libc::ENOBUFS {
                self.receive(event.conn)
            } else {
                Ok(())
            };
        };
        let len = result(event).context("receiving")?;
        let conn = &mut self.conns[event.conn];
        let bytes = self.buffers.received(id, len);
        conn.unsent_answers += conn.walker.absorb(bytes)?;
        conn.gathering.extend_from_slice(bytes);
        if conn.unsent_answers > 0 && !conn.is_dirty {
            conn.is_dirty = true;
            self.dirty.push(event.conn);
        }
        self.buffers.recycle(id);
        if event.more {
            Ok(())
        } else {
            self.receive(event.conn)
        }
    }

    fn sent(&mut self, event: Event) -> Result<()> {
        let len = result(event).context("sending answers")?;
        let conn = &mut self.conns[event.conn];
        conn.sent += len;
        if conn.sent < conn.sending.len() {
            return self.send_rest(event.conn);
        }
        conn.is_sending = false;
        if conn.unsent_answers > 0 && !conn.is_dirty {
            conn.is_dirty = true;
            self.dirty.push(event.conn);
        }
        Ok(())
    }

    /// Posts one send for every connection that has answers and none on the way.
    fn flush(&mut self) -> Result<()> {
        while let Some(index) = self.dirty.pop() {
            let conn = &mut self.conns[index];
            conn.is_dirty = false;
            if conn.is_sending {
                continue;
            }
            conn.is_sending = true;
            let whole = conn.gathering.len() - conn.walker.partial();
            conn.sending.clear();
            std::mem::swap(&mut conn.sending, &mut conn.gathering);
            conn.gathering.extend_from_slice(&conn.sending[whole..]);
            conn.sending.truncate(whole);
            conn.sent = 0;
            self.served.count(conn.unsent_answers, self.workload.size());
            conn.unsent_answers = 0;
            self.send_rest(index)?;
        }
        Ok(())
    }

    fn send_rest(&mut self, index: usize) -> Result<()> {
        let conn = &self.conns[index];
        let rest = &conn.sending[conn.sent..];
        let send = opcode::Send::new(
            types::Fd(conn.stream.as_raw_fd()),
            rest.as_ptr(),
            rest.len() as u32,
        )
        .flags(libc::MSG_WAITALL | libc::MSG_NOSIGNAL)
        .build();
        // SAFETY: `sending` is not touched before this send's completion, and outlives the ring.
        unsafe { self.ring.post(send, Op::Send, index) }
    }
}

/// The count in a completion, or its error.
fn result(event: Event) -> std::io::Result<usize> {
    usize::try_from(event.result).map_err(|_| std::io::Error::from_raw_os_error(-event.result))
}
