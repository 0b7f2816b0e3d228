//! The crowd: a process with many plain sockets, at idle priority, so that it takes no time from the
//! honest peer beside it.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use ringrail_codec::native::{ChunkRequest, Hello, Limits, OneWay, Terms};

/// Rounds of slow peers; each writes a byte, or reads a little, once in a round.
const ROUND: Duration = Duration::from_secs(1);

/// Slow peers served between two pauses, so that a round is spread over its second.
const PORTION: usize = 100;

/// Bytes that a slow reader takes per round.
const SIP: usize = 512;

/// The crowd as the measuring process sees it; ended when dropped.
pub(crate) struct Crowd(Child);

impl Crowd {
    /// `count` connections, `slow` of them slow, and a flood on one of them if `floods`.
    pub(crate) fn start(
        addr: &str,
        count: usize,
        slow: usize,
        floods: bool,
    ) -> anyhow::Result<Self> {
        // Idle priority: the kernel lets a woken thread of the honest peer or of the server run at once,
        // which it does not where the crowd has a time slice of its own, however small.
        let mut command = Command::new("chrt");
        command.args(["--idle", "0"]).arg(std::env::current_exe()?);
        let numbers = [count, slow, usize::from(floods)].map(|number| number.to_string());
        command.arg("crowd").arg(addr).args(numbers);
        command.stdin(Stdio::null());
        Ok(Self(
            command
                .spawn()
                .context("starting the crowd by chrt, of util-linux")?,
        ))
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Opens the connections and behaves badly until it is killed.
pub(crate) fn run(args: &[String]) -> anyhow::Result<()> {
    let [addr, count, slow, floods] = args else {
        anyhow::bail!("crowd wants an address and three numbers");
    };
    let (count, slow): (usize, usize) = (count.parse()?, slow.parse()?);
    let mut streams = Vec::with_capacity(count);
    for at in 0..count {
        streams.push(open(addr).with_context(|| {
            format!("connection {at} of {count} (each side needs as many descriptors: ulimit -n)")
        })?);
    }
    if floods == "1" {
        let victim = open(addr)?;
        std::thread::spawn(move || flood(victim));
    }
    let (writers, readers) = streams[..slow].split_at(slow / 2);
    writers.iter().try_for_each(begin_message)?;
    readers.iter().try_for_each(ask_for_chunks)?;
    // The server may have ended a connection, which is its right.
    let one_byte = |mut stream: &TcpStream| drop(stream.write(&[0]));
    let a_sip = |mut stream: &TcpStream| drop(stream.read(&mut [0; SIP]));
    loop {
        if slow == 0 {
            std::thread::sleep(ROUND);
        }
        let pause = ROUND / (slow.max(1).div_ceil(PORTION) as u32);
        for (writers, readers) in writers.chunks(PORTION / 2).zip(readers.chunks(PORTION / 2)) {
            writers.iter().for_each(one_byte);
            readers.iter().for_each(a_sip);
            std::thread::sleep(pause);
        }
    }
}

/// A connection behind its handshake, not blocking.
fn open(addr: &str) -> anyhow::Result<TcpStream> {
    let mut hello = [0; 4096];
    let terms = Terms::new(&Limits::DEFAULT);
    let len = Hello { terms, ext: &[] }.encode(&mut hello)?;
    let mut stream = TcpStream::connect(addr)?;
    stream.write_all(&hello[..len])?;
    stream.read_exact(&mut hello[..len])?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// The head of a message of 64 KiB whose body comes a byte at a time.
fn begin_message(mut stream: &TcpStream) -> anyhow::Result<()> {
    let total_len = 64 << 10;
    let header = OneWay { id: 1, total_len }.header(total_len as u32);
    stream.write_all(&header.encode())?;
    Ok(())
}

/// Asks for 1 MiB of chunks, which it will read slowly.
fn ask_for_chunks(mut stream: &TcpStream) -> anyhow::Result<()> {
    for id in 1..=16 {
        let request = ChunkRequest {
            id,
            stream_id: 1,
            chunk_index: id as u32,
            offset: 0,
            max_len: ChunkRequest::TO_THE_END,
            credit: 64 << 10,
            unsummed: false,
            deadline_us: 0,
        };
        stream.write_all(&request.encode())?;
    }
    Ok(())
}

/// Sends messages as fast as the socket takes them.
fn flood(stream: TcpStream) {
    let header = OneWay {
        id: 1,
        total_len: 64,
    }
    .header(64);
    let mut frame = header.encode().to_vec();
    frame.extend([3; 64]);
    let many = frame.repeat(64);
    let _ = stream.set_nonblocking(false);
    loop {
        match (&stream).write_all(&many) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}
