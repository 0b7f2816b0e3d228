//! The server's loop: accept, receive, let [`Answers`] do its work, and send what it gathers, one
//! send per connection at a time.

use super::answers::Answers;
use super::buffers::{self, Buffers};
use super::chunks::ChunkAnswers;
use super::echo::Echo;
use super::event::{Event, Op};
use super::gather::Gather;
use super::rpc::RpcAnswers;
use super::uring::{self, Ring};
use crate::frame::Shape;
use crate::net;
use crate::role::{Served, Serving};
use crate::workload::Work;
use anyhow::{Context, Result, ensure};
use io_uring::{opcode, types};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd};

/// The processing of a request's bytes by the RPC server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Finds every request, checks its id and length, and answers it when it is whole.
    Checked,
    /// Sends all received bytes back, unread.
    Unparsed,
}

/// Serves the workload on `listener` until the other end of `stop` is closed.
pub(crate) fn serve(
    serving: &Serving<'_>,
    reading: Reading,
    listener: &TcpListener,
    stop: BorrowedFd<'_>,
) -> Result<Served> {
    let workload = serving.workload;
    match (&workload.work, reading) {
        (Work::Rpc { .. }, Reading::Checked) => {
            run(serving, listener, stop, || RpcAnswers::new(workload))
        }
        (Work::Rpc { .. }, Reading::Unparsed) => {
            run(serving, listener, stop, || Echo::new(workload))
        }
        (Work::Chunks { .. }, _) => run(serving, listener, stop, || ChunkAnswers::new(serving)),
    }
}

fn run<A: Answers>(
    serving: &Serving<'_>,
    listener: &TcpListener,
    stop: BorrowedFd<'_>,
    answers: impl Fn() -> A,
) -> Result<Served> {
    let mut io = uring::build()?;
    let window = Shape::answer(serving.workload).window(serving.workload);
    let ring = Ring::new(&mut io, serving.workload.wait, window)?;
    // SAFETY: `Server` drops its ring before its buffers.
    let buffers = unsafe { Buffers::register(&ring) }?;
    let mut server = Server {
        ring,
        conns: Vec::new(),
        buffers,
        dirty: Vec::new(),
        starved: Vec::new(),
        answers,
    };
    server.run(listener, stop)?;
    let mut total = Served::default();
    server
        .conns
        .iter()
        .for_each(|conn| total.add(&conn.answers.served()));
    Ok(total)
}

/// Fields drop in this order: the ring ends before the memory that its operations use.
struct Server<'a, A, F> {
    ring: Ring<'a>,
    conns: Vec<Conn<A>>,
    buffers: Buffers,
    /// Connections that may have answers to send.
    dirty: Vec<usize>,
    /// Connections whose receive ended because all buffers were taken.
    starved: Vec<usize>,
    answers: F,
}

struct Conn<A> {
    stream: TcpStream,
    answers: A,
    sending: Gather,
    is_dirty: bool,
    is_open: bool,
}

impl<A> Conn<A> {
    /// Ends the connection of a client that broke the rules or went away; the others do not notice.
    fn end(&mut self, error: &anyhow::Error) {
        eprintln!("a connection ended early: {error:#}");
        net::shut_down(&self.stream);
        self.is_open = false;
    }
}

impl<A: Answers, F: Fn() -> A> Server<'_, A, F> {
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
            self.flush()?;
            if self.buffers.publish() {
                while let Some(conn) = self.starved.pop() {
                    self.receive(conn)?;
                }
            }
        }
    }

    fn accepted(&mut self, event: Event) -> Result<()> {
        let fd = event.count().context("accepting a connection")?;
        ensure!(event.more, "the kernel stopped accepting connections");
        // SAFETY: the completion hands over a descriptor that no other code owns.
        let stream = unsafe { TcpStream::from_raw_fd(fd as i32) };
        self.conns.push(Conn {
            stream,
            answers: (self.answers)(),
            sending: Gather::new(),
            is_dirty: false,
            is_open: true,
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
            if event.result == -libc::ENOBUFS {
                self.starved.push(event.conn);
            }
            return Ok(());
        };
        let len = event.count().context("receiving requests")?;
        let conn = &mut self.conns[event.conn];
        if let Err(error) = conn.answers.take(&mut self.buffers, id, len) {
            conn.end(&error);
        }
        self.mark(event.conn);
        if event.more {
            Ok(())
        } else {
            self.receive(event.conn)
        }
    }

    fn mark(&mut self, index: usize) {
        let conn = &mut self.conns[index];
        if !conn.is_dirty {
            conn.is_dirty = true;
            self.dirty.push(index);
        }
    }

    fn sent(&mut self, event: Event) -> Result<()> {
        let conn = &mut self.conns[event.conn];
        match event.count().context("sending answers") {
            Ok(sent) => conn.sending.advance(sent),
            Err(error) => conn.end(&error),
        }
        if conn.is_open && !conn.sending.is_empty() {
            return self.send(event.conn);
        }
        conn.answers.left(&mut self.buffers);
        conn.sending.clear();
        self.mark(event.conn);
        Ok(())
    }

    /// Posts one send for every connection that has answers and none on the way.
    fn flush(&mut self) -> Result<()> {
        while let Some(index) = self.dirty.pop() {
            let conn = &mut self.conns[index];
            conn.is_dirty = false;
            if conn.is_open && conn.sending.is_empty() {
                conn.answers.gather(&mut self.buffers, &mut conn.sending);
                if !conn.sending.is_empty() {
                    self.send(index)?;
                }
            }
        }
        Ok(())
    }

    fn send(&mut self, index: usize) -> Result<()> {
        let conn = &mut self.conns[index];
        let send = conn.sending.entry(&conn.stream);
        // SAFETY: the gathered pieces and what they point to are not touched before this send's
        // completion, and outlive the ring.
        unsafe { self.ring.post(send, Op::Send, index) }
    }
}
