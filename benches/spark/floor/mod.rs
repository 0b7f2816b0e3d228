//! Floors in Spark's protocol: blocking sockets and just enough of its frames to be understood.
//!
//! Started as `--floor serve WORKLOAD gather|sendfile` or `--floor load WORKLOAD ADDR`. A server says
//! `ready ADDR` and serves until its stdin ends; a client prints one line of JSON. Every answer's id,
//! order and length is checked, and its content in a few places.

mod client;
mod server;

use anyhow::{Context, bail};
use ringrail_floors::workload::Workload;

/// Type bytes of Spark's frames.
const CHUNK_REQUEST: u8 = 0;
const CHUNK_SUCCESS: u8 = 1;
const RPC_REQUEST: u8 = 3;
const RPC_RESPONSE: u8 = 4;
/// Bytes of the header of each of these four: length, type, id, and a chunk's index or the length of
/// an RPC's body.
const HEADER_LEN: usize = 21;

/// Does what the words say.
pub(crate) fn run(words: &[String]) -> anyhow::Result<()> {
    let [role, workload, with] = words else {
        bail!("a floor needs a role, a workload and one word more");
    };
    let workload: Workload = serde_json::from_str(workload).context("reading the workload")?;
    workload.validate()?;
    match role.as_str() {
        "serve" => server::run(&workload, with == "sendfile"),
        "load" => client::run(&workload, with.parse()?),
        other => bail!("a floor cannot {other}"),
    }
}

/// A header; `rest` is its last field, `in_frame` the bytes that follow it.
fn header(kind: u8, id: u64, rest: u32, in_frame: usize) -> [u8; HEADER_LEN] {
    let mut bytes = [0; HEADER_LEN];
    bytes[..8].copy_from_slice(&((HEADER_LEN + in_frame) as u64).to_be_bytes());
    bytes[8] = kind;
    bytes[9..17].copy_from_slice(&id.to_be_bytes());
    bytes[17..].copy_from_slice(&rest.to_be_bytes());
    bytes
}

/// The fields of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    kind: u8,
    id: u64,
    /// Number of bytes that follow in the frame.
    in_frame: usize,
}

/// Reads the header at the start of `bytes`.
///
/// # Panics
/// There are fewer than [`HEADER_LEN`] bytes.
fn parse(bytes: &[u8]) -> Header {
    let field = |at: usize| {
        let mut raw = [0; 8];
        raw.copy_from_slice(&bytes[at..at + 8]);
        u64::from_be_bytes(raw)
    };
    Header {
        kind: bytes[8],
        id: field(9),
        in_frame: (field(0) as usize).saturating_sub(HEADER_LEN),
    }
}
