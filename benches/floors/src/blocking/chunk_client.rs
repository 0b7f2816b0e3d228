//! Receiving large chunks: header, then the body straight into its own memory, each by one exact
//! receive.

use super::client::Link;
use super::socket;
use crate::frame::{self, HEADER_LEN};
use crate::meter::Metered;
use crate::pattern;
use crate::region::Region;
use anyhow::{Context, Result, ensure};
use std::io::IoSliceMut;
use std::time::Instant;

/// Receives until the window has ended and all requests in flight are answered.
pub(super) fn run(mut link: Link<'_>) -> Result<Metered> {
    let size = link.workload.size() as usize;
    let chunks = link.workload.source_chunks();
    let mut body = Region::new(size)?;
    let mut header = [0; HEADER_LEN];
    let mut id = link.first_id;
    link.issue(Instant::now());
    while link.requests.outstanding() > 0 {
        link.flush()?;
        socket::recv_exact(link.stream, &mut [IoSliceMut::new(&mut header)])
            .context("receiving a header")?;
        let (got_id, got_len) = frame::decode(&header);
        ensure!(
            got_id == id && got_len == size as u64,
            "expected chunk {id} of {size} bytes, got chunk {got_id} of {got_len} bytes"
        );
        socket::recv_exact(link.stream, &mut [IoSliceMut::new(body.bytes_mut())])
            .context("receiving a body")?;
        let offset = pattern::chunk_offset(id, chunks, size as u64);
        ensure!(
            pattern::spot_check(offset, body.bytes_mut(), id),
            "chunk {id} is not what was stored at {offset}"
        );
        id += 1;
        link.answered(1)?;
    }
    Ok(link.meter.finish())
}
