//! Bytes from the wire, cut into frames.
//!
//! Two ways in. *Multishot*: the kernel fills buffers of a group as data comes; frames are parsed
//! where they lie, one that straddles two buffers is copied once. *Exact*, while large bodies are
//! expected: one receive for the header, one for the body, straight into the lease it belongs to.
//! [`Rx`] holds what is half received and tells the pump what to post next; it posts nothing itself.

mod body;
mod flow;
mod parse;
mod partial_frame;
mod protocol;
mod spark;
mod unparsed;

use std::collections::VecDeque;
use std::rc::Rc;

use ringrail_codec::native::{HEADER_LEN, Header};

use crate::buf::LeaseMut;
use crate::conn::backpressure::Blocked;
use crate::error::CloseReason;

use super::Conn;
use body::BodyIn;
use unparsed::Unparsed;

/// Small frames in a row before a connection that received exactly goes back to multishot.
const CALM_FRAMES: u32 = 16;

/// Limit of the buffers that a connection holds while its frames wait; beyond it the connection is not read.
/// Two keep it busy: one is parsed while the other is received.
const HELD_BUFFERS: usize = 2;

/// Bytes received at once, at most, from a peer that sends faster than its frames are handled.
pub(crate) const PORTION_LEN: usize = 64 << 10;

/// The receive operation that the pump posts next.
#[derive(Debug)]
pub(crate) enum Next {
    /// None: held frames must be processed first.
    Nothing,
    /// A multishot receive.
    Multi,
    /// A receive of at most [`PORTION_LEN`] bytes into this buffer; give what came to [`Rx::received`].
    Portion(LeaseMut),
    /// A receive of `len` bytes into `buf[at..]`; give the buffer back by [`Rx::filled`].
    Fill {
        /// The destination.
        buf: LeaseMut,
        /// Offset of the first byte in `buf`.
        at: usize,
        /// Length in bytes.
        len: usize,
        /// Complete only with all `len` bytes; otherwise with any number.
        whole: bool,
        /// Destination of the header that follows the body, received in the same operation.
        header: Option<LeaseMut>,
    },
}

/// The receiving half of a connection.
#[derive(Debug, Default)]
pub(crate) struct Rx {
    /// The beginning of an incomplete frame, or Hello.
    stash: Option<LeaseMut>,
    /// Bytes that the stash must reach.
    need: usize,
    body: Option<BodyIn>,
    /// A header whose body found no memory, and the time of that.
    waiting: Option<(Header, u64)>,
    /// Received and not parsed yet.
    held: VecDeque<Unparsed>,
    /// An incoming body of Spark's protocol.
    flow: Option<flow::Flow>,
    /// The time since which such a body has found no memory.
    scarce_since_ns: Option<u64>,
    exact: bool,
    calm: u32,
    /// Why nothing is parsed at present.
    blocked: Blocked,
    /// The peer has sent faster than its frames are handled. A multishot would have the kernel copy, in one
    /// call, all that the socket holds, megabytes, into the buffers of the group that all connections share.
    in_portions: bool,
}

type Parsed = Result<(), Box<CloseReason>>;

/// Number of bytes taken.
type Taken = Result<usize, Box<CloseReason>>;

impl Rx {
    /// True if nothing more is to be received: parsing stopped for lack of memory or of space for answers,
    /// or the peer sends faster than its frames are handled. TCP backpressure then reaches the peer.
    pub(crate) fn is_stuck(&self) -> bool {
        self.blocked.is_for(Blocked::BACKPRESSURE | Blocked::MEMORY) || self.is_flooded()
    }

    /// True where so much waits to be parsed that no more is to be received by a multishot.
    fn is_flooded(&self) -> bool {
        self.blocked.is_for(Blocked::TURN) && self.held.len() > HELD_BUFFERS
    }

    /// A portion has come and been parsed. One whose frames were all handled in its turn ends the portions.
    pub(crate) fn portion_came(&mut self) {
        self.in_portions = self.blocked.is_for(Blocked::TURN);
    }

    /// True if the next bytes belong to a frame that has begun.
    pub(crate) fn is_within_a_frame(&self) -> bool {
        self.body.is_some() || self.stash.is_some() || self.flow.is_some()
    }

    /// True if parsing stopped because the peer does not read its answers.
    pub(crate) fn is_backpressured(&self) -> bool {
        self.blocked.is_for(Blocked::BACKPRESSURE)
    }

    pub(crate) fn waits_for_memory(&self) -> bool {
        self.blocked.is_for(Blocked::MEMORY)
    }

    /// True if parsing stopped so that answers are sent first: [`resume`](Self::resume) it.
    pub(crate) fn has_yielded(&self) -> bool {
        self.blocked.is_for(Blocked::TURN)
    }

    fn wants_exact_native(&mut self, conn: &Conn) -> bool {
        let discarding = self.body.as_ref().is_some_and(BodyIn::discards);
        if conn.expects_bulk() {
            self.exact = true;
        } else if self.calm > CALM_FRAMES {
            self.exact = false;
        }
        (self.exact || self.body.is_some()) && !discarding
    }

    /// Receives by multishot from now on; false if a body is being received, or held bytes wait.
    pub(crate) fn leave_exact(&mut self) -> bool {
        let between = self.body.is_none() && self.held.is_empty() && !self.is_stuck();
        if between {
            self.exact = false;
        }
        between
    }

    /// The receive operation to post when none is outstanding.
    ///
    /// A portion holds its buffer while its peer sends nothing. So that many peers which flood and then
    /// pause cannot hold the pool, portions end where half of it is in use.
    pub(crate) fn next(&mut self, conn: &Conn) -> Next {
        let pool = &conn.local.pool;
        match self.next_receive(conn) {
            Next::Multi if self.in_portions && !pool.is_filled(2) => {
                pool.lease(PORTION_LEN).map_or(Next::Multi, Next::Portion)
            }
            next => next,
        }
    }

    fn next_receive(&mut self, conn: &Conn) -> Next {
        if self.is_stuck() || !self.held.is_empty() {
            return Next::Nothing;
        }
        self.next_frames(conn)
    }

    fn next_native(&mut self, conn: &Conn) -> Next {
        if !self.wants_exact(conn) {
            return Next::Multi;
        }
        if let Some(body) = self.body.as_mut() {
            let (at, left) = (body.at + body.got, body.need() - body.got);
            let len = body.portion();
            return match body.buf.take() {
                Some(buf) => {
                    let whole = len == left;
                    let header = whole.then(|| conn.local.pool.lease_reserved(HEADER_LEN));
                    let header = header.flatten();
                    Next::Fill {
                        buf,
                        at,
                        len,
                        whole: true,
                        header,
                    }
                }
                None => Next::Nothing,
            };
        }
        let stash = match self.stash.take() {
            Some(stash) => Some(stash),
            None => {
                self.need = HEADER_LEN;
                conn.local.pool.lease_reserved(HEADER_LEN)
            }
        };
        match stash {
            Some(buf) => {
                let at = buf.len();
                Next::Fill {
                    buf,
                    at,
                    len: self.need - at,
                    whole: true,
                    header: None,
                }
            }
            None => Next::Multi,
        }
    }

    /// The receive of the header after the body is posted.
    pub(crate) fn header_posted(&mut self, conn: &Conn) {
        self.need = conn.wire().next_header().need;
    }

    /// The request or message whose body is being received.
    pub(crate) fn body_id(&self) -> Option<u64> {
        self.body.as_ref().map(BodyIn::id)
    }

    fn filled_native(&mut self, conn: &Rc<Conn>, mut buf: LeaseMut, count: usize) -> Parsed {
        match self.body.as_mut() {
            Some(body) => {
                assert!(body.buf.is_none(), "a receive owned the buffer of the body");
                body.buf = Some(buf);
                body.got += count;
                assert!(
                    body.got <= body.need(),
                    "a receive went on beyond its body: {} of {} bytes",
                    body.got,
                    body.need()
                );
                conn.local.metrics.bytes_in_exact.add(count as u64);
                self.body_grew(conn)
            }
            None => {
                buf.set_len(buf.len() + count);
                if buf.is_empty() {
                    // No byte of the header has arrived; the buffer is returned.
                    return Ok(());
                }
                self.stash = Some(buf);
                self.stash_grew(conn)
            }
        }
    }
}
