//! Answering RPCs: every whole request of a receive is answered out of the receive buffer in one send.

use super::socket;
use crate::frame::{Shape, Walker};
use crate::role::Served;
use crate::workload::Workload;
use anyhow::Result;
use std::io::IoSlice;
use std::net::TcpStream;

/// Length of the receive buffer in bytes, unless one request is longer.
const RECV_LEN: usize = 256 << 10;

/// Answers until the client closes.
pub(super) fn answer(workload: &Workload, stream: &TcpStream, served: &mut Served) -> Result<()> {
    let shape = Shape::rpc(workload);
    let mut walker = Walker::new(shape, Some(0));
    let mut buf = vec![0; RECV_LEN.max(shape.frame_len())];
    let mut held = 0;
    loop {
        let got = socket::recv(stream, &mut buf[held..])?;
        if got == 0 {
            return Ok(());
        }
        let requests = walker.absorb(&buf[held..held + got])?;
        let end = held + got;
        let whole = end - walker.partial();
        if whole > 0 {
            socket::send_all(stream, &mut [IoSlice::new(&buf[..whole])])?;
            served.count(requests, workload.size());
        }
        buf.copy_within(whole..end, 0);
        held = end - whole;
    }
}
