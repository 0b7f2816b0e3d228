//! The floors' client: a thread per connection that keeps its requests in flight. A chunk is received
//! by one call, together with the header of the next.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Instant;

use anyhow::{Context, anyhow, ensure};
use ringrail_floors::meter::{Meter, Metered, SendLog};
use ringrail_floors::pattern;
use ringrail_floors::report::ClientReport;
use ringrail_floors::usage::Who;
use ringrail_floors::workload::{Work, Workload};
use rustix::net::{RecvFlags, recv};

use super::{CHUNK_REQUEST, CHUNK_SUCCESS, HEADER_LEN, RPC_REQUEST, RPC_RESPONSE, header, parse};

/// Length of the receive buffer for small answers.
const RECV_LEN: usize = 256 << 10;

/// Does the workload and prints what came of it.
pub(super) fn run(workload: &Workload, addr: SocketAddr) -> anyhow::Result<()> {
    let start = Instant::now();
    let metered = thread::scope(|scope| {
        let threads: Vec<_> = (0..workload.conns)
            .map(|index| scope.spawn(move || connection(workload, addr, index, start)))
            .collect();
        let mut total: Option<Metered> = None;
        for thread in threads {
            let metered = thread.join().map_err(|_| anyhow!("a thread panicked"))??;
            match &mut total {
                None => total = Some(metered),
                Some(total) => total.merge(&metered)?,
            }
        }
        total.context("a workload has at least one connection")
    })?;
    let report = ClientReport::checked(&metered, workload.answer_size());
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(&report)?)?;
    Ok(out.flush()?)
}

/// One connection's requests.
struct Link<'a> {
    workload: &'a Workload,
    stream: TcpStream,
    payload: Vec<u8>,
    unsent: Vec<u8>,
    sent: SendLog,
    meter: Meter,
    next: u64,
    due: u64,
}

fn connection(
    workload: &Workload,
    addr: SocketAddr,
    index: u32,
    start: Instant,
) -> anyhow::Result<Metered> {
    let stream = TcpStream::connect(addr).context("connecting")?;
    stream.set_nodelay(true)?;
    let first = workload.first_id(index);
    let mut payload = Vec::new();
    if let Work::Rpc { size, .. } = workload.work {
        payload.resize(size as usize, 0);
        pattern::fill(0, &mut payload);
    }
    let mut link = Link {
        workload,
        stream,
        payload,
        unsent: Vec::new(),
        sent: SendLog::new(workload.in_flight),
        meter: Meter::new(workload.length, Who::Thread, start)?,
        next: first,
        due: first,
    };
    link.ask(u64::from(workload.in_flight))?;
    match workload.work {
        Work::Rpc { .. } => link.replies()?,
        Work::Chunks { size, .. } => link.chunks(size as usize)?,
    }
    Ok(link.meter.finish())
}

impl Link<'_> {
    fn outstanding(&self) -> u64 {
        self.next - self.due
    }

    /// Sends `count` requests in one go, unless the window has ended.
    fn ask(&mut self, count: u64) -> anyhow::Result<()> {
        if self.meter.is_done() {
            return Ok(());
        }
        for id in self.next..self.next + count {
            let len = self.payload.len();
            let header = match self.workload.work {
                Work::Rpc { .. } => header(RPC_REQUEST, id, len as u32, len),
                Work::Chunks { .. } => header(CHUNK_REQUEST, id, 0, 0),
            };
            self.unsent.extend_from_slice(&header);
            self.unsent.extend_from_slice(&self.payload);
        }
        self.next += count;
        self.sent.push(count, Instant::now());
        self.stream.write_all(&self.unsent)?;
        self.unsent.clear();
        Ok(())
    }

    fn answered(&mut self, count: u64) -> anyhow::Result<()> {
        self.due += count;
        self.meter.answered(count, Instant::now(), &mut self.sent);
        self.ask(count)
    }

    /// Takes replies in pieces of any size.
    fn replies(&mut self) -> anyhow::Result<()> {
        let frame = HEADER_LEN + self.payload.len();
        let mut buf = vec![0; RECV_LEN];
        let mut have = 0;
        while self.outstanding() > 0 {
            have += self.receive(&mut buf[have..], RecvFlags::empty())?;
            let whole = have / frame;
            for (id, reply) in (self.due..).zip(buf[..whole * frame].chunks_exact(frame)) {
                let header = parse(reply);
                ensure!(
                    header.kind == RPC_RESPONSE && header.id == id,
                    "{header:?}, {id} due"
                );
                ensure!(header.in_frame == self.payload.len(), "{header:?}");
                let right = pattern::spot_check(0, &reply[HEADER_LEN..], id);
                ensure!(right, "reply {id} has another content");
            }
            buf.copy_within(whole * frame..have, 0);
            have -= whole * frame;
            self.answered(whole as u64)?;
        }
        Ok(())
    }

    fn chunks(&mut self, size: usize) -> anyhow::Result<()> {
        let chunks = self.workload.source_chunks();
        // The body and, behind it, the next header.
        let mut buf = vec![0; size + HEADER_LEN];
        self.exactly(&mut buf[size..])?;
        while self.outstanding() > 0 {
            let header = parse(&buf[size..]);
            let id = self.due;
            ensure!(
                header.kind == CHUNK_SUCCESS && header.id == id,
                "{header:?}, {id} due"
            );
            ensure!(header.in_frame == size, "{header:?}");
            let more = if self.outstanding() > 1 {
                HEADER_LEN
            } else {
                0
            };
            self.exactly(&mut buf[..size + more])?;
            let offset = pattern::chunk_offset(id, chunks, size as u64);
            let right = pattern::spot_check(offset, &buf[..size], id);
            ensure!(right, "chunk {id} has another content");
            self.answered(1)?;
            if more == 0 && self.outstanding() > 0 {
                self.exactly(&mut buf[size..])?;
            }
        }
        Ok(())
    }

    fn exactly(&self, mut into: &mut [u8]) -> anyhow::Result<()> {
        while !into.is_empty() {
            let got = self.receive(into, RecvFlags::WAITALL)?;
            into = &mut into[got..];
        }
        Ok(())
    }

    fn receive(&self, into: &mut [u8], flags: RecvFlags) -> anyhow::Result<usize> {
        let (got, _) = recv(&self.stream, into, flags).context("receiving")?;
        ensure!(
            got > 0,
            "the server closed with {} in flight",
            self.outstanding()
        );
        Ok(got)
    }
}
