//! The client's loop: keep the requests of all connections in flight, count what [`Receive`] has
//! checked, ask for as much again.

use super::buffers::Buffers;
use super::event::{Event, Op};
use super::gather::Gather;
use super::receive::{Exact, Receive, Stream};
use super::uring::{self, Ring};
use crate::frame::Shape;
use crate::meter::{Meter, Metered, SendLog};
use crate::net;
use crate::outgoing::Outgoing;
use crate::usage::Who;
use crate::workload::Workload;
use anyhow::{Context, Result};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

/// Runs the workload against `addr` and returns what was measured.
pub(crate) fn run(workload: &Workload, addr: SocketAddr) -> Result<Metered> {
    if workload.receives_exactly() {
        run_with::<Exact>(workload, addr)
    } else {
        run_with::<Stream>(workload, addr)
    }
}

fn run_with<R: Receive>(workload: &Workload, addr: SocketAddr) -> Result<Metered> {
    let conns = (0..workload.conns)
        .map(|index| Conn::<R>::connect(workload, addr, index))
        .collect::<Result<Vec<_>>>()?;
    let mut io = uring::build()?;
    let window = Shape::request(workload).window(workload);
    let ring = Ring::new(&mut io, workload.wait, window)?;
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
struct Client<'a, R> {
    ring: Ring<'a>,
    conns: Vec<Conn<R>>,
    buffers: Buffers,
    /// Connections that may have room for more requests.
    dirty: Vec<usize>,
    meter: Meter,
    outstanding: u64,
}

struct Conn<R> {
    stream: TcpStream,
    receive: R,
    requests: Outgoing,
    sent: SendLog,
    sending: Gather,
    is_dirty: bool,
}

impl<R: Receive> Conn<R> {
    fn connect(workload: &Workload, addr: SocketAddr, index: u32) -> Result<Self> {
        let first_id = workload.first_id(index);
        Ok(Self {
            stream: net::connect(addr)?,
            receive: R::new(workload, first_id)?,
            requests: Outgoing::new(Shape::request(workload), workload.in_flight, first_id),
            sent: SendLog::new(workload.in_flight),
            sending: Gather::new(),
            is_dirty: true,
        })
    }
}

impl<R: Receive> Client<'_, R> {
    fn run(&mut self) -> Result<()> {
        for (index, conn) in self.conns.iter_mut().enumerate() {
            conn.receive.start(&mut self.ring, &conn.stream, index)?;
        }
        self.flush(Instant::now())?;
        let mut events = Vec::new();
        while self.outstanding > 0 {
            self.ring.turn(&mut events)?;
            let now = Instant::now();
            for event in events.drain(..) {
                match event.op {
                    Op::Recv | Op::Header | Op::Body => self.received(event, now)?,
                    Op::Send => self.sent(event)?,
                    other => unreachable!("{other:?} is never posted here"),
                }
            }
            self.buffers.publish();
            self.flush(now)?;
        }
        Ok(())
    }

    fn received(&mut self, event: Event, now: Instant) -> Result<()> {
        let conn = &mut self.conns[event.conn];
        let answers = conn
            .receive
            .received(&mut self.ring, &mut self.buffers, &conn.stream, event)
            .with_context(|| format!("with {} requests in flight", self.outstanding))?;
        if answers > 0 {
            conn.requests.release(answers)?;
            self.outstanding -= answers;
            self.meter.answered(answers, now, &mut conn.sent);
            self.mark(event.conn);
        }
        Ok(())
    }

    fn sent(&mut self, event: Event) -> Result<()> {
        let len = event.count().context("sending requests")?;
        let conn = &mut self.conns[event.conn];
        conn.requests.sent(len);
        conn.sending.advance(len);
        if !conn.sending.is_empty() {
            return self.send(event.conn);
        }
        self.mark(event.conn);
        Ok(())
    }

    fn mark(&mut self, index: usize) {
        let conn = &mut self.conns[index];
        if !conn.is_dirty {
            conn.is_dirty = true;
            self.dirty.push(index);
        }
    }

    /// Issues as many requests as there is room for, one send per connection.
    fn flush(&mut self, now: Instant) -> Result<()> {
        while let Some(index) = self.dirty.pop() {
            let conn = &mut self.conns[index];
            conn.is_dirty = false;
            let room = conn.requests.room();
            if room == 0 || self.meter.is_done() || !conn.sending.is_empty() {
                continue;
            }
            conn.requests.issue(room);
            conn.sent.push(room, now);
            self.outstanding += room;
            conn.sending.clear();
            for piece in conn.requests.unsent() {
                if !piece.is_empty() {
                    conn.sending.push(piece);
                }
            }
            self.send(index)?;
        }
        Ok(())
    }

    fn send(&mut self, index: usize) -> Result<()> {
        let conn = &mut self.conns[index];
        let send = conn.sending.entry(&conn.stream);
        // SAFETY: slots of requests in flight do not change, the gathered pieces neither before
        // this send's completion, and both outlive the ring.
        unsafe { self.ring.post(send, Op::Send, index) }
    }
}
