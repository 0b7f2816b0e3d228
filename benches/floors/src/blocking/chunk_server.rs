//! Serving chunks: header and body of every request at hand leave in one gathered send.

use super::socket;
use crate::frame::{self, HEADER_LEN, Shape, Walker};
use crate::pattern;
use crate::role::{Served, Serving};
use anyhow::Result;
use std::io::IoSlice;
use std::net::TcpStream;
use std::ops::Range;

/// Most chunks that leave in one gathered send.
const GATHER: usize = 64;

/// Serves until the client closes.
pub(super) fn answer(serving: &Serving<'_>, stream: &TcpStream, served: &mut Served) -> Result<()> {
    each_batch(serving, stream, |ids| {
        let count = ids.end - ids.start;
        send_gathered(serving, stream, ids)?;
        served.count(count, serving.workload.size());
        Ok(())
    })
}

/// Reads the requests that have arrived and hands their ids to `batch`, until the client closes.
pub(crate) fn each_batch(
    serving: &Serving<'_>,
    stream: &TcpStream,
    mut batch: impl FnMut(Range<u64>) -> Result<()>,
) -> Result<()> {
    let mut walker = Walker::new(Shape::request(serving.workload), None);
    let mut buf = vec![0; serving.workload.in_flight as usize * HEADER_LEN];
    loop {
        let got = socket::recv(stream, &mut buf)?;
        if got == 0 {
            return Ok(());
        }
        let count = walker.absorb(&buf[..got])?;
        batch(walker.next_id() - count..walker.next_id())?;
    }
}

fn send_gathered(serving: &Serving<'_>, stream: &TcpStream, mut ids: Range<u64>) -> Result<()> {
    let (size, chunks) = (
        serving.workload.size() as usize,
        serving.workload.source_chunks(),
    );
    let bytes = serving.bytes();
    let mut headers = [[0; HEADER_LEN]; GATHER];
    while !ids.is_empty() {
        let last = ids.end.min(ids.start + GATHER as u64);
        let mut pieces = [IoSlice::new(&[]); 2 * GATHER];
        let mut count = 0;
        for (id, header) in (ids.start..last).zip(&mut headers) {
            *header = frame::encode(id, size as u64);
            let at = pattern::chunk_offset(id, chunks, size as u64) as usize;
            pieces[count] = IoSlice::new(header);
            pieces[count + 1] = IoSlice::new(&bytes[at..at + size]);
            count += 2;
        }
        socket::send_all(stream, &mut pieces[..count])?;
        ids.start = last;
    }
    Ok(())
}
