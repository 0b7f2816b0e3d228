//! A peer that speaks Spark's frames over a plain socket, written for these tests alone.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

pub(crate) struct Raw {
    pub(crate) socket: TcpStream,
}

/// A frame: type, what follows the type, and the body behind the frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Got {
    pub(crate) kind: u8,
    pub(crate) rest: Vec<u8>,
    pub(crate) behind: Vec<u8>,
}

/// Writes a frame: `fields` are what lies between type and body.
pub(crate) fn frame(kind: u8, fields: &[u8], body: &[u8]) -> Vec<u8> {
    let len = 9 + fields.len() + body.len();
    let mut out = (len as i64).to_be_bytes().to_vec();
    out.push(kind);
    out.extend_from_slice(fields);
    out.extend_from_slice(body);
    out
}

pub(crate) fn text(text: &str) -> Vec<u8> {
    let mut out = (text.len() as i32).to_be_bytes().to_vec();
    out.extend_from_slice(text.as_bytes());
    out
}

pub(crate) fn rpc(id: i64, body: &[u8]) -> Vec<u8> {
    let fields = [&id.to_be_bytes()[..], &(body.len() as i32).to_be_bytes()].concat();
    frame(3, &fields, body)
}

pub(crate) fn one_way(body: &[u8]) -> Vec<u8> {
    frame(9, &(body.len() as i32).to_be_bytes(), body)
}

pub(crate) fn chunk(stream: i64, index: i32) -> Vec<u8> {
    let fields = [&stream.to_be_bytes()[..], &index.to_be_bytes()].concat();
    frame(0, &fields, &[])
}

pub(crate) fn stream(name: &str) -> Vec<u8> {
    frame(6, &text(name), &[])
}

pub(crate) fn upload(id: i64, meta: &[u8], data: &[u8]) -> Vec<u8> {
    let mut fields = id.to_be_bytes().to_vec();
    fields.extend_from_slice(&(meta.len() as i32).to_be_bytes());
    fields.extend_from_slice(meta);
    fields.extend_from_slice(&(data.len() as i64).to_be_bytes());
    let mut out = frame(10, &fields, &[]);
    out.extend_from_slice(data);
    out
}

impl Raw {
    pub(crate) fn connect(port: u16) -> Self {
        let socket = TcpStream::connect(("127.0.0.1", port)).expect("connected");
        let limit = Some(Duration::from_secs(20));
        socket.set_read_timeout(limit).expect("a timeout");
        socket.set_nodelay(true).expect("no delay");
        Self { socket }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).expect("sent");
    }

    pub(crate) fn ask(&mut self, bytes: &[u8]) -> Got {
        self.send(bytes);
        self.get()
    }

    /// The next frame, with the body behind it where it has one.
    pub(crate) fn get(&mut self) -> Got {
        let head: [u8; 9] = self.take();
        let len = i64::from_be_bytes(head[..8].try_into().expect("8 bytes"));
        let mut rest = vec![0; usize::try_from(len - 9).expect("a length")];
        self.socket.read_exact(&mut rest).expect("a whole frame");
        let mut behind = Vec::new();
        if head[8] == 7 {
            let len = rest.last_chunk::<8>().expect("a length");
            behind = vec![0; i64::from_be_bytes(*len) as usize];
            self.socket.read_exact(&mut behind).expect("a whole body");
        }
        Got {
            kind: head[8],
            rest,
            behind,
        }
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.socket.read_exact(&mut bytes).expect("more bytes");
        bytes
    }

    /// Nothing more comes, not even a byte, before the connection ends.
    pub(crate) fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        // A reset is an end as well.
        let _ = self.socket.read_to_end(&mut rest);
        rest.is_empty()
    }
}

impl Got {
    pub(crate) fn rpc_reply(id: i64, body: &[u8]) -> Self {
        let len = (body.len() as i32).to_be_bytes();
        Self {
            kind: 4,
            rest: [&id.to_be_bytes()[..], &len, body].concat(),
            behind: Vec::new(),
        }
    }

    pub(crate) fn rpc_failure(id: i64, error: &str) -> Self {
        Self {
            kind: 5,
            rest: [&id.to_be_bytes()[..], &text(error)].concat(),
            behind: Vec::new(),
        }
    }

    pub(crate) fn chunk(stream: i64, index: i32, body: &[u8]) -> Self {
        Self {
            kind: 1,
            rest: [&stream.to_be_bytes()[..], &index.to_be_bytes(), body].concat(),
            behind: Vec::new(),
        }
    }

    pub(crate) fn stream(name: &str, body: &[u8]) -> Self {
        let len = (body.len() as i64).to_be_bytes();
        Self {
            kind: 7,
            rest: [&text(name)[..], &len].concat(),
            behind: body.to_vec(),
        }
    }

    pub(crate) fn stream_failure(name: &str, error: &str) -> Self {
        Self {
            kind: 8,
            rest: [text(name), text(error)].concat(),
            behind: Vec::new(),
        }
    }
}
