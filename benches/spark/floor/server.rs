//! The floors' server: a thread per connection. All requests of one receive are answered in one send;
//! bodies leave by a gathered send, or by `sendfile`.

use std::fs::File;
use std::io::{IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, bail};
use ringrail_floors::pattern;
use ringrail_floors::workload::{Source, Work, Workload};
use rustix::fs::sendfile;
use rustix::net::{SendFlags, send};

use super::{CHUNK_REQUEST, CHUNK_SUCCESS, HEADER_LEN, RPC_REQUEST, RPC_RESPONSE, header, parse};

/// Length of the receive buffer.
const RECV_LEN: usize = 256 << 10;

/// The source of chunks.
struct Chunks {
    bytes: Mapped,
    file: Option<File>,
    size: u64,
    count: u64,
}

/// Listens until stdin ends.
pub(super) fn run(workload: &Workload, by_sendfile: bool) -> anyhow::Result<()> {
    let chunks = match &workload.work {
        Work::Rpc { .. } => None,
        Work::Chunks { size, source } => Some(Arc::new(Chunks::open(*size, source, by_sendfile)?)),
    };
    let listener = TcpListener::bind("127.0.0.1:0").context("a port")?;
    println_flushed(&format!("ready {}", listener.local_addr()?))?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let chunks = chunks.clone();
            thread::spawn(move || {
                // A client that has what it wanted closes; that is no failure.
                let _ = connection(stream, chunks.as_deref());
            });
        }
    });
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn println_flushed(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

fn connection(mut stream: TcpStream, chunks: Option<&Chunks>) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut buf = vec![0; RECV_LEN];
    let mut answers = Vec::with_capacity(RECV_LEN);
    let mut have = 0;
    loop {
        let got = stream.read(&mut buf[have..])?;
        if got == 0 {
            return Ok(());
        }
        have += got;
        let mut at = 0;
        let mut asked = Vec::new();
        while have - at >= HEADER_LEN {
            let request = parse(&buf[at..]);
            let end = at + HEADER_LEN + request.in_frame;
            if end > have {
                break;
            }
            match request.kind {
                RPC_REQUEST => {
                    let body = &buf[at + HEADER_LEN..end];
                    let len = body.len();
                    answers.extend_from_slice(&header(RPC_RESPONSE, request.id, len as u32, len));
                    answers.extend_from_slice(body);
                }
                CHUNK_REQUEST => asked.push(request.id),
                kind => bail!("a request of type {kind}"),
            }
            at = end;
        }
        buf.copy_within(at..have, 0);
        have -= at;
        if !answers.is_empty() {
            stream.write_all(&answers)?;
            answers.clear();
        }
        if let Some(chunks) = chunks {
            chunks.send(&mut stream, &asked)?;
        }
    }
}

impl Chunks {
    fn open(size: u32, source: &Source, by_sendfile: bool) -> anyhow::Result<Self> {
        let (bytes, file) = match source {
            Source::Memory { bytes } => {
                let mut memory = Mapped::anonymous(*bytes as usize)?;
                pattern::fill(0, memory.bytes_mut());
                (memory, None)
            }
            Source::File { path, bytes } => {
                let file = File::open(path).with_context(|| path.display().to_string())?;
                let mapped = Mapped::file(&file, *bytes as usize)?;
                (mapped, by_sendfile.then_some(file))
            }
        };
        let size = u64::from(size);
        Ok(Self {
            bytes,
            file,
            size,
            count: source.bytes() / size,
        })
    }

    fn send(&self, stream: &mut TcpStream, asked: &[u64]) -> anyhow::Result<()> {
        let size = self.size as usize;
        let headers: Vec<_> = asked
            .iter()
            .map(|&id| header(CHUNK_SUCCESS, id, 0, size))
            .collect();
        let offsets = asked
            .iter()
            .map(|&id| pattern::chunk_offset(id, self.count, self.size));
        if let Some(file) = &self.file {
            for (header, offset) in headers.iter().zip(offsets) {
                send_all(stream, header)?;
                let (mut from, end) = (offset, offset + self.size);
                while from < end {
                    let left = (end - from) as usize;
                    sendfile(stream.as_fd(), file, Some(&mut from), left)?;
                }
            }
            return Ok(());
        }
        let mut pieces: Vec<_> = headers
            .iter()
            .zip(offsets)
            .flat_map(|(header, at)| {
                let body = &self.bytes.bytes()[at as usize..at as usize + size];
                [IoSlice::new(header), IoSlice::new(body)]
            })
            .collect();
        let mut rest = &mut pieces[..];
        while !rest.is_empty() {
            let sent = stream.write_vectored(rest)?;
            IoSlice::advance_slices(&mut rest, sent);
        }
        Ok(())
    }
}

/// A header that more follows, so that both leave in one segment.
fn send_all(stream: &TcpStream, mut bytes: &[u8]) -> anyhow::Result<()> {
    while !bytes.is_empty() {
        let sent = send(stream, bytes, SendFlags::MORE)?;
        bytes = &bytes[sent..];
    }
    Ok(())
}

/// Memory of its own pages: the file's, or anonymous.
struct Mapped {
    at: *mut u8,
    len: usize,
}

// SAFETY: the mapping belongs to this value and is only read once it is shared.
unsafe impl Send for Mapped {}
// SAFETY: as above.
unsafe impl Sync for Mapped {}

impl Mapped {
    fn anonymous(len: usize) -> anyhow::Result<Self> {
        use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses.
        let at =
            unsafe { mmap_anonymous(std::ptr::null_mut(), len, protection, MapFlags::PRIVATE) }?;
        Ok(Self { at: at.cast(), len })
    }

    /// The benchmark's own file, which no process truncates.
    fn file(file: &File, len: usize) -> anyhow::Result<Self> {
        use rustix::mm::{MapFlags, ProtFlags, mmap};
        let flags = MapFlags::SHARED | MapFlags::POPULATE;
        // SAFETY: a new mapping at an address that the kernel chooses.
        let at = unsafe { mmap(std::ptr::null_mut(), len, ProtFlags::READ, flags, file, 0) }?;
        Ok(Self { at: at.cast(), len })
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping is that long and lives as long as this value.
        unsafe { std::slice::from_raw_parts(self.at, self.len) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above; it is anonymous, hence writable, and borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.at, self.len) }
    }
}
