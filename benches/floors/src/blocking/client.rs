//! The blocking client: a thread per connection that keeps its requests in flight.
//!
//! Small answers are received in pieces of any size and checked in place; bodies of
//! [`EXACT_LEN`](crate::frame::EXACT_LEN) and more are received exactly ([`super::chunk_client`]).

use super::chunk_client;
use super::socket::{self, Can, May};
use crate::frame::{Shape, Walker};
use crate::meter::{Meter, Metered, SendLog};
use crate::net;
use crate::outgoing::Outgoing;
use crate::usage::Who;
use crate::workload::{Length, Workload};
use anyhow::{Context, Result, bail};
use std::io::{ErrorKind, IoSlice};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Instant;

/// Length of the receive buffer in bytes.
const RECV_LEN: usize = 256 << 10;

/// Runs the workload against `addr` and returns what was measured.
pub(crate) fn run(workload: &Workload, addr: SocketAddr) -> Result<Metered> {
    let streams = (0..workload.conns)
        .map(|_| net::connect(addr))
        .collect::<Result<Vec<_>>>()?;
    let start = Instant::now();
    thread::scope(|scope| {
        let threads: Vec<_> = streams
            .iter()
            .zip(0..)
            .map(|(stream, index)| scope.spawn(move || connection(workload, stream, index, start)))
            .collect();
        let mut total: Option<Metered> = None;
        for thread in threads {
            let Ok(metered) = thread.join() else {
                bail!("a client thread panicked")
            };
            match &mut total {
                None => total = Some(metered?),
                Some(total) => total.merge(&metered?)?,
            }
        }
        total.context("a workload has at least one connection")
    })
}

/// State of one connection's loop.
pub(super) struct Link<'a> {
    pub(super) workload: &'a Workload,
    pub(super) stream: &'a TcpStream,
    pub(super) first_id: u64,
    pub(super) requests: Outgoing,
    pub(super) sent: SendLog,
    pub(super) meter: Meter,
}

fn connection(
    workload: &Workload,
    stream: &TcpStream,
    index: u32,
    start: Instant,
) -> Result<Metered> {
    let length = match workload.length {
        Length::Ops(ops) => Length::Ops(ops.div_ceil(workload.conns.into())),
        seconds @ Length::Seconds(_) => seconds,
    };
    let first_id = workload.first_id(index);
    let link = Link {
        workload,
        stream,
        first_id,
        requests: Outgoing::new(Shape::request(workload), workload.in_flight, first_id),
        sent: SendLog::new(workload.in_flight),
        meter: Meter::new(length, Who::Thread, start)?,
    };
    if workload.receives_exactly() {
        chunk_client::run(link)
    } else {
        stream_answers(link)
    }
}

fn stream_answers(mut link: Link<'_>) -> Result<Metered> {
    let mut walker = Walker::new(Shape::answer(link.workload), Some(link.first_id));
    let mut buf = vec![0; RECV_LEN];
    link.issue(Instant::now());
    while link.requests.outstanding() > 0 {
        link.flush()?;
        let got = socket::recv(link.stream, &mut buf)?;
        if got == 0 {
            bail!(
                "the server closed with {} requests in flight",
                link.requests.outstanding()
            );
        }
        let answers = walker.absorb(&buf[..got])?;
        link.answered(answers)?;
    }
    Ok(link.meter.finish())
}

impl Link<'_> {
    /// Issues requests up to the limit in flight, unless the window has ended.
    pub(super) fn issue(&mut self, now: Instant) {
        let room = self.requests.room();
        if room > 0 && !self.meter.is_done() {
            self.requests.issue(room);
            self.sent.push(room, now);
        }
    }

    /// Counts answers and asks for as many more.
    pub(super) fn answered(&mut self, answers: u64) -> Result<()> {
        if answers > 0 {
            let now = Instant::now();
            self.requests.release(answers)?;
            self.meter.answered(answers, now, &mut self.sent);
            self.issue(now);
        }
        Ok(())
    }

    /// Sends what has been issued. If the socket is full, returns as soon as there is something to
    /// receive: the server could be asleep itself, for room to send answers that nobody here
    /// receives.
    pub(super) fn flush(&mut self) -> Result<()> {
        loop {
            let [first, second] = self.requests.unsent();
            if first.is_empty() {
                return Ok(());
            }
            let pieces = [IoSlice::new(first), IoSlice::new(second)];
            let count = if second.is_empty() { 1 } else { 2 };
            match socket::send(self.stream, &pieces[..count], May::NotSleep) {
                Ok(sent) => self.requests.sent(sent),
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    if socket::wait(self.stream).context("waiting for the server")? == Can::Receive
                    {
                        return Ok(());
                    }
                }
                Err(e) => return Err(e).context("sending requests"),
            }
        }
    }
}
