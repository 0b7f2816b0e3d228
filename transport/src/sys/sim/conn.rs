//! Sockets and connections as the simulated network keeps them.

use std::collections::VecDeque;

use crate::sys::driver::{OpKey, Sock};
use crate::sys::socket::{Addr, Listener, SocketSpec};

use super::faults::{Direction, Injury, Script, When};
use super::host::HostId;
use super::pipe::Pipe;

/// How a connection carries bytes, each way.
///
/// ```
/// use ringrail_transport::sys::sim::Link;
///
/// let slow = Link { bytes_per_sec: Some(1_000_000), ..Link::default() };
/// assert_eq!(slow.delay_ns, 50_000);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Time from one end to the other, in nanoseconds.
    pub delay_ns: u64,
    /// Random time added to each segment, in nanoseconds, at most; segments stay in order.
    pub jitter_ns: u64,
    /// Bandwidth; `None` is without bound.
    pub bytes_per_sec: Option<u64>,
    /// Bytes that a socket takes before they have reached the other end, unless its
    /// [`SocketSpec`] says otherwise.
    pub send_buffer_len: usize,
    /// Bytes that wait to be received, unless the [`SocketSpec`] says otherwise.
    pub recv_buffer_len: usize,
    /// Bytes that travel together at most.
    pub segment_len: usize,
}

impl Default for Link {
    /// 50 µs, no bound on the bandwidth, buffers of 256 KiB, segments of 64 KiB.
    fn default() -> Self {
        Self {
            delay_ns: 50_000,
            jitter_ns: 0,
            bytes_per_sec: None,
            send_buffer_len: 256 << 10,
            recv_buffer_len: 256 << 10,
            segment_len: 64 << 10,
        }
    }
}

/// An end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The one that connected.
    Client = 0,
    /// The one that accepted.
    Server = 1,
}

impl Side {
    pub(super) fn other(self) -> Self {
        match self {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }

    fn sends(self) -> Direction {
        match self {
            Side::Client => Direction::ToServer,
            Side::Server => Direction::ToClient,
        }
    }
}

#[derive(Debug)]
pub(super) struct End {
    /// `None` before the connection is accepted and after it is closed.
    pub(super) sock: Option<Sock>,
    pub(super) host: Option<HostId>,
    pub(super) local: Addr,
    pub(super) closed: bool,
    /// Receiving was shut down.
    pub(super) deaf: bool,
    /// Sending was shut down.
    pub(super) mute: bool,
    /// A reset has arrived.
    pub(super) dead: bool,
    /// The error that the next operation gets; 0 for none.
    pub(super) error: i32,
}

impl End {
    pub(super) fn new(sock: Option<Sock>, host: Option<HostId>, local: Addr) -> Self {
        Self {
            sock,
            host,
            local,
            closed: false,
            deaf: false,
            mute: false,
            dead: false,
            error: 0,
        }
    }
}

#[derive(Debug)]
pub(super) struct Conn {
    pub(super) ends: [End; 2],
    pipes: [Pipe; 2],
    pub(super) link: Link,
    /// A reset is under way: nothing more is sent.
    pub(super) reset: bool,
    /// Sent bytes are discarded.
    pub(super) vanished: bool,
    scripts: Vec<Script>,
}

impl Conn {
    pub(super) fn new(ends: [End; 2], link: Link, scripts: Vec<Script>) -> Self {
        let pipe = || Pipe::new(link.send_buffer_len, link.recv_buffer_len);
        Self {
            ends,
            pipes: [pipe(), pipe()],
            link,
            reset: false,
            vanished: false,
            scripts,
        }
    }

    pub(super) fn end(&mut self, side: Side) -> &mut End {
        &mut self.ends[side as usize]
    }

    /// The pipe that `side` sends into.
    pub(super) fn from(&mut self, side: Side) -> &mut Pipe {
        &mut self.pipes[side as usize]
    }

    /// The pipe that `side` receives from.
    pub(super) fn to(&mut self, side: Side) -> &mut Pipe {
        &mut self.pipes[side.other() as usize]
    }

    pub(super) fn set_buffers(&mut self, side: Side, spec: &SocketSpec) {
        if let Some(len) = spec.send_buffer_len {
            self.from(side).set_send_buffer_len(len);
        }
        if let Some(len) = spec.recv_buffer_len {
            self.to(side).set_recv_buffer_len(len);
        }
    }

    /// The next scripted injury of what `side` sends: after how many bytes from now, and which.
    pub(super) fn next_injury(&mut self, side: Side) -> Option<(u64, Injury)> {
        let sent = self.from(side).sent;
        let ahead = self.scripts.iter().filter_map(|script| match script.when {
            When::Byte(way, at) if way == side.sends() && at >= sent => {
                Some((at - sent, script.injury))
            }
            _ => None,
        });
        ahead.min_by_key(|(left, _)| *left)
    }
}

/// The current role of a socket.
#[derive(Debug)]
pub(super) enum Role {
    /// Opened, not yet connected; also while connecting and after that failed.
    Fresh,
    Listening(Listening),
    Connected {
        conn: usize,
        side: Side,
    },
    Closed,
}

#[derive(Debug)]
pub(super) struct Listening {
    /// Connections to be accepted.
    pub(super) queue: VecDeque<usize>,
    /// Connections that are on their way into `queue`.
    pub(super) coming: usize,
    pub(super) backlog: usize,
    /// Others may listen there too.
    pub(super) shared: bool,
    /// The kernel's listener, where the embedder bound one; held for its life.
    pub(super) _bound: Option<Listener>,
}

/// A kind of operation of which one socket may have one in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    Recv = 0,
    Send = 1,
    /// Connect or accept.
    Open = 2,
}

#[derive(Debug)]
pub(super) struct Socket {
    pub(super) host: HostId,
    pub(super) role: Role,
    pub(super) local: Option<Addr>,
    pub(super) spec: SocketSpec,
    pub(super) lanes: [Option<OpKey>; 3],
    /// The receive linked behind the one in the lane.
    pub(super) behind: Option<OpKey>,
}

impl Socket {
    /// Operations outstanding.
    pub(super) fn outstanding(&self) -> impl Iterator<Item = OpKey> + use<> {
        self.lanes.into_iter().chain([self.behind]).flatten()
    }

    /// The last completion of an operation has been taken.
    pub(super) fn release(&mut self, key: OpKey, lane: Lane) {
        if self.behind == Some(key) {
            self.behind = None;
        } else if lane == Lane::Recv {
            self.lanes[Lane::Recv as usize] = self.behind.take();
        } else {
            self.lanes[lane as usize] = None;
        }
    }
}
