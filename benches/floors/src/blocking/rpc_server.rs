//! Answering RPCs: every whole request of a receive is answered, all of them in one send.

use super::socket;
use crate::frame::{Shape, Walker};
use crate::outgoing::Outgoing;
use crate::role::Served;
use crate::workload::Workload;
use anyhow::Result;
use std::io::IoSlice;
use std::net::TcpStream;

/// Length of the receive buffer in bytes.
const RECV_LEN: usize = 256 << 10;

/// Answers until the client closes.
pub(super) fn answer(workload: &Workload, stream: &TcpStream, served: &mut Served) -> Result<()> {
    let mut walker = Walker::new(Shape::request(workload), Some(0));
    let mut answers = Outgoing::new(Shape::answer(workload), workload.in_flight, 0);
    let mut buf = vec![0; RECV_LEN];
    loop {
        let got = socket::recv(stream, &mut buf)?;
        if got == 0 {
            return Ok(());
        }
        let mut requests = walker.absorb(&buf[..got])?;
        served.count(requests, workload.answer_size());
        while requests > 0 {
            let batch = requests.min(answers.room());
            answers.issue(batch);
            let [first, second] = answers.unsent();
            let count = if second.is_empty() { 1 } else { 2 };
            socket::send_all(
                stream,
                &mut [IoSlice::new(first), IoSlice::new(second)][..count],
            )?;
            answers.all_left();
            requests -= batch;
        }
    }
}
