//! The floor for files: a header held back with MSG_MORE, then `sendfile` for the body, so that no
//! byte of the file is copied on the server. Two calls per chunk, which is what small chunks pay
//! for it.
//!
//! Connections and the client are the blocking floor's.

use crate::blocking::{self, again};
use crate::frame;
use crate::pattern;
use crate::role::{Served, Serving};
use anyhow::{Context, Result, bail, ensure};
use std::fs::File;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Serves chunks of the workload's file on `listener` until the other end of `stop` is closed.
pub(crate) fn serve(
    serving: &Serving<'_>,
    listener: &TcpListener,
    stop: BorrowedFd<'_>,
) -> Result<Served> {
    let Some(file) = serving.file() else {
        bail!("only chunks of a file can be sent by sendfile")
    };
    blocking::accept_each(listener, stop, |stream, served| {
        blocking::each_batch(serving, stream, |ids| {
            for id in ids {
                send_chunk(serving, file, stream, id)?;
                served.count(1, serving.workload.size());
            }
            Ok(())
        })
    })
}

fn send_chunk(serving: &Serving<'_>, file: &File, stream: &TcpStream, id: u64) -> Result<()> {
    let size = u64::from(serving.workload.size());
    let start = pattern::chunk_offset(id, serving.workload.source_chunks(), size);
    send_more(stream, &frame::encode(id, size)).context("sending a header")?;
    let (mut at, end) = (start, start + size);
    while at < end {
        let sent = sendfile(stream, file, at, (end - at) as usize).context("sendfile")?;
        ensure!(sent > 0, "the file ended at byte {at}, before byte {end}");
        at += sent as u64;
    }
    Ok(())
}

/// Sends a few bytes that shall leave together with what follows.
fn send_more(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    let flags = libc::MSG_MORE | libc::MSG_NOSIGNAL;
    while !bytes.is_empty() {
        // SAFETY: the slice is live and as long as stated for the whole call.
        let sent = again(|| unsafe {
            libc::send(
                stream.as_raw_fd(),
                bytes.as_ptr().cast(),
                bytes.len(),
                flags,
            )
        })?;
        bytes = &bytes[sent..];
    }
    Ok(())
}

/// One sendfile call. Returns the bytes taken; 0 means that the file ends at `at`.
fn sendfile(stream: &TcpStream, file: &File, at: u64, len: usize) -> io::Result<usize> {
    let mut offset = libc::off_t::try_from(at).map_err(io::Error::other)?;
    // SAFETY: the offset is live and ours for the whole call.
    again(|| unsafe { libc::sendfile(stream.as_raw_fd(), file.as_raw_fd(), &raw mut offset, len) })
}
