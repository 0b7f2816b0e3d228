//! The connections of a shard: the shell around the machines of [`conn`](crate::conn).
//!
//! [`Conn`] is shared by everything on the shard that talks over it: handlers, futures, callbacks. It owns the
//! machines, leases memory for what they ask, sets the timers that they want, and calls user code. The pump
//! owns the socket and moves the bytes.
//!
//! # The way of a request of the peer, and of its reply
//!
//! ```text
//!  kernel ── buffer ──► pump::receive ──► Rx::received          (rx/held)
//!                                           │ parse: frames where they lie   (rx/parse)
//!                                           ▼
//!                                  Conn::on_frame               (dispatch)
//!                                           │ begin_request: Inbound counts  (requests)
//!                         backpressured ┌───┴───┐ not
//!                                       ▼       ▼
//!                              RequestQueue   RpcHandler::receive   ◄── no machine is borrowed
//!                                       │       │ Responder::reply
//!                         answers leave ▼       ▼
//!                             serve_queued ──► SendQueue::frame ──► mark_dirty
//!                                                                      │ end of the turn
//!  kernel ◄── one gathered send ◄── pump::send ◄── Composer ◄──────────┘
//! ```
//!
//! The way of a request of this side: `outbound` enters it into the
//! [`PendingTable`](crate::conn::pending::PendingTable) and writes it; its answer comes through `dispatch` to
//! `resolve`, which takes the entry out and gives the body to its [`ReplyTo`].
//!
//! # Rules
//!
//! - No machine is borrowed while user code runs: a handler may send on, pause or close the connection that it
//!   is called for. So methods take what they need out of a machine, drop the borrow, and call then.
//! - A machine that returns something to do has already changed: whoever gets it does it, in the same call.
//! - Memory that cannot be leased is waited for in one queue ([`memory_waiters`](super::memory_waiters)); bytes
//!   that cannot be parsed stay in `rx`, with the reason in its set [`Blocked`](crate::conn::backpressure::Blocked).
//! - The end is told once: [`Lifecycle`] says to whom, `end` tells.
//!
//! A connection begins in `handshake` and ends in `end`, by way of `drain` where it can. `spark` has what
//! Spark's protocol does in another way; [`wire`](crate::conn::wire) says what a protocol is able to.

mod admit;
mod answers;
pub(crate) mod archive;
mod backpressure;
mod body_room;
mod catch_panic;
mod checksum;
mod claim;
pub(crate) mod compose;
mod compose_file;
mod deadline;
mod dispatch;
mod drain;
mod end;
mod failures;
pub(crate) mod fetch;
mod handshake;
mod keepalive;
mod out_of_memory;
mod outbound;
mod pause;
pub(crate) mod progress;
mod protocol;
mod reassembly;
mod received;
mod recv_body;
mod recv_chunk;
pub(crate) mod reply_to;
mod requests;
mod resolve;
mod retain;
pub(crate) mod rx;
pub(crate) mod spark;
mod timeouts;
mod uploads;
pub(crate) mod user;

use std::any::Any;
use std::cell::{Cell, OnceCell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use ringrail_codec::native::{ALIGN, Header, Negotiated};
use tokio::sync::oneshot;

use crate::conn::backpressure::Pauses;
use crate::conn::batch_sizer::{self, BatchSizer};
use crate::conn::body_forecast::BodyForecast;
use crate::conn::deadlines::Deadlines;
use crate::conn::inbound;
use crate::conn::lifecycle::{Lifecycle, Phase};
use crate::conn::liveness::{Activity, Liveness};
use crate::conn::pending;
use crate::conn::send_queue::{self, SendQueue};
use crate::error::{CloseReason, ConnectError};
use crate::shard::conn::user::{RpcHandler, UploadSink};
use crate::shard::local::{ConnKey, ShardLocal};
use crate::shard::memory_waiters::Need;
use crate::shard::timer::TimerKey;
use crate::sys::socket::Addr;

pub(crate) use outbound::RpcBody;
pub use pause::Pause;
pub use received::{ReceivedBytes, Reply};
use reply_to::ReplyTo;
pub use reply_to::{Outcome, ResponseHandler};
pub(crate) use spark::{ChunkCount, Protocol};

/// Requests of this side, by the place of their answer.
pub(crate) type PendingTable = pending::PendingTable<ReplyTo>;

/// Requests of the peer.
pub(crate) type Inbound = inbound::Inbound<Box<dyn UploadSink>>;

/// An upload of the peer.
pub(crate) type UploadIn = inbound::UploadIn<Box<dyn UploadSink>>;

/// How long after an RPC others are expected, for whose sake bodies are cut small.
const MIXED_FOR_NS: u64 = 20_000_000;

/// The limits from the peer's handshake that the send path reads.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PeerTerms {
    pub(crate) max_rpc_len: u64,
    pub(crate) initial_credit: u64,
    pub(crate) max_outstanding: u32,
    pub(crate) max_body_len: u32,
    pub(crate) send_crc: bool,
}

impl From<Negotiated> for PeerTerms {
    fn from(terms: Negotiated) -> Self {
        Self {
            max_rpc_len: terms.max_rpc_len,
            initial_credit: terms.initial_credit,
            max_outstanding: terms.peer_max_outstanding,
            max_body_len: terms.max_body_len,
            send_crc: terms.send_crc,
        }
    }
}

/// A connection for other threads: its key, and whether it still takes requests.
#[derive(Clone, Debug)]
pub(crate) struct ConnHandle {
    pub(crate) key: ConnKey,
    pub(crate) active: Arc<AtomicBool>,
}

/// Completes once an outgoing connection is open or has failed.
pub(crate) type Opened = oneshot::Sender<Result<ConnHandle, ConnectError>>;

/// One connection. See the module.
pub(crate) struct Conn {
    /// Itself, for the callbacks that are called with their connection.
    this: Weak<Conn>,
    pub(crate) key: ConnKey,
    pub(crate) peer: Arc<Addr>,
    /// This side connected.
    pub(crate) is_client: bool,
    pub(crate) local: Rc<ShardLocal>,
    life: Cell<Lifecycle>,
    tx: RefCell<SendQueue>,
    calls: RefCell<PendingTable>,
    inbound: RefCell<Inbound>,
    terms: Cell<PeerTerms>,
    handler: RefCell<Rc<dyn RpcHandler>>,
    reason: RefCell<Option<Arc<CloseReason>>>,
    handshake: RefCell<Option<handshake::Handshake>>,
    speaks: Protocol,
    /// Set once it is known that the peer speaks Spark's protocol.
    spark: OnceCell<Box<spark::SparkState>>,
    opened: RefCell<Option<Opened>>,
    opening_timer: Cell<Option<TimerKey>>,
    keepalive_timer: Cell<Option<TimerKey>>,
    /// The time limit of a drain, or of the last send.
    end_timer: Cell<Option<TimerKey>>,
    dirty: Cell<bool>,
    /// Queued among those that wait for memory, to send from.
    waits_to_send: Cell<bool>,
    /// Open and taking requests, for other threads to see.
    active: Arc<AtomicBool>,
    pauses: Cell<Pauses>,
    /// The text with which the peer announced its drain.
    peer_drain_text: RefCell<Option<Box<str>>>,
    liveness: RefCell<Liveness>,
    activity: Cell<Activity>,
    deadlines: Cell<Deadlines>,
    /// The timer of the request whose time is up first.
    call_timer: Cell<Option<TimerKey>>,
    forecast: RefCell<BodyForecast>,
    batch_sizer: Cell<BatchSizer>,
    copied_out: Cell<retain::CopiedOut>,
    /// Length of the archive that did not fit the send buffer last.
    archive_hint: Cell<usize>,
    client_id: RefCell<Option<Rc<str>>>,
    /// The embedder's own.
    pub(crate) extension: OnceCell<Rc<dyn Any>>,
}

impl Conn {
    pub(crate) fn new(
        key: ConnKey,
        peer: Arc<Addr>,
        (is_client, speaks): (bool, Protocol),
        local: &Rc<ShardLocal>,
        handler: Rc<dyn RpcHandler>,
        opened: Option<Opened>,
    ) -> Rc<Self> {
        let now = local.now_ns();
        let first_batch = local.conf.send_batch.min(local.conf.slice_len as usize);
        Rc::new_cyclic(|this| Self {
            this: this.clone(),
            key,
            peer,
            is_client,
            local: Rc::clone(local),
            life: Cell::new(Lifecycle::new()),
            tx: RefCell::new(SendQueue::new(Rc::clone(&local.transfers))),
            calls: RefCell::new(PendingTable::new()),
            inbound: RefCell::default(),
            terms: Cell::new(PeerTerms::default()),
            handler: RefCell::new(handler),
            reason: RefCell::new(None),
            handshake: RefCell::new(None),
            speaks,
            spark: OnceCell::new(),
            opened: RefCell::new(opened),
            opening_timer: Cell::new(None),
            keepalive_timer: Cell::new(None),
            end_timer: Cell::new(None),
            dirty: Cell::new(false),
            waits_to_send: Cell::new(false),
            active: Arc::default(),
            pauses: Cell::default(),
            peer_drain_text: RefCell::new(None),
            liveness: RefCell::new(Liveness::new(now)),
            activity: Cell::new(Activity::new(now)),
            deadlines: Cell::new(Deadlines::new(local.conf.request_timeout)),
            call_timer: Cell::new(None),
            forecast: RefCell::default(),
            batch_sizer: Cell::new(BatchSizer::new(first_batch)),
            copied_out: Cell::default(),
            archive_hint: Cell::new(0),
            client_id: RefCell::new(None),
            extension: OnceCell::new(),
        })
    }

    #[inline]
    pub(crate) fn phase(&self) -> Phase {
        self.life.get().phase()
    }

    /// Takes a step of the lifecycle.
    pub(super) fn step<T>(&self, step: impl FnOnce(&mut Lifecycle) -> T) -> T {
        let mut life = self.life.get();
        let outcome = step(&mut life);
        self.life.set(life);
        outcome
    }

    /// Work still under way in either direction, for tests that expect none.
    #[cfg(test)]
    pub(crate) fn loose_ends(&self) -> Vec<(&'static str, usize)> {
        let (inbound, tx) = (self.inbound.borrow(), self.tx.borrow());
        let counts = [
            ("requests of ours", self.calls.borrow().len()),
            ("requests of the peer", inbound.active),
            ("requests in slices", inbound.requests.len()),
            ("one-way messages in slices", inbound.one_ways.len()),
            ("uploads", inbound.uploads.len()),
            ("replies due", inbound.deferred.len()),
            (
                "requests held back",
                usize::from(!inbound.waiting.is_empty()),
            ),
            ("bodies on their way out", tx.transfers.len()),
            ("bytes to be sent", tx.queued()),
            ("large bodies expected", self.forecast.borrow().expected()),
        ];
        counts.into_iter().filter(|(_, count)| *count > 0).collect()
    }

    /// This connection for other threads.
    pub(crate) fn live(&self) -> ConnHandle {
        ConnHandle {
            key: self.key,
            active: Arc::clone(&self.active),
        }
    }

    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.life.get().is_open()
    }

    /// Over for what the peer sends.
    #[inline]
    pub(crate) fn is_ending(&self) -> bool {
        self.life.get().is_ending()
    }

    /// Open, and the peer still takes requests.
    pub(crate) fn is_active(&self) -> bool {
        self.life.get().may_ask()
    }

    #[inline(always)]
    pub(crate) fn handler(&self) -> Rc<dyn RpcHandler> {
        Rc::clone(&self.handler.borrow())
    }

    pub(crate) fn set_handler(&self, handler: Rc<dyn RpcHandler>) {
        *self.handler.borrow_mut() = handler;
    }

    pub(crate) fn client_id(&self) -> Option<Rc<str>> {
        self.client_id.borrow().clone()
    }

    /// The identity that authentication found; set once (Spark: `setClientId`).
    pub(crate) fn set_client_id(&self, id: &str) -> bool {
        let mut place = self.client_id.borrow_mut();
        if place.is_some() {
            return false;
        }
        *place = Some(id.into());
        true
    }

    /// Has the pump look at this connection.
    #[inline]
    pub(crate) fn mark_dirty(&self) {
        if !self.dirty.replace(true) {
            self.local.push_dirty(self.key);
        }
    }

    /// Queues the connection for memory to send from.
    #[cold]
    pub(crate) fn wait_to_send(&self) {
        if !self.waits_to_send.replace(true) {
            self.local.wait_for_memory(self.key, Need::Send);
        }
    }

    /// There may be memory to send from.
    pub(crate) fn retry_send(&self) {
        let waited = self.waits_to_send.replace(false);
        assert!(waited, "a connection that sends without waiting was queued");
        self.mark_dirty();
    }

    /// The pump is looking.
    pub(crate) fn clear_dirty(&self) {
        self.dirty.set(false);
    }

    /// Writes a control frame; nothing if the peer speaks Spark's protocol, which has none of those that
    /// come here. If not even the reserve has memory for it, the connection is
    /// closed: otherwise the peer would wait for this frame forever.
    #[inline]
    pub(crate) fn control(&self, header: &Header, body: &[u8]) {
        if !self.wire().has_control_frames() {
            return self.mark_dirty();
        }
        let written = self.tx.borrow_mut().frame(&self.local.pool, header, body);
        self.local.metrics.frames_out.increment();
        match written {
            Ok(()) => self.mark_dirty(),
            Err(send_queue::NoMemory) => self.out_of_memory(),
        }
    }

    #[cold]
    pub(crate) fn out_of_memory(&self) {
        self.close(*self.no_memory());
    }

    /// Bytes of control frames waiting to be sent.
    #[inline]
    pub(crate) fn queued(&self) -> usize {
        self.tx.borrow().queued()
    }

    /// True where bodies are to be received into leases of their own.
    pub(crate) fn expects_bulk(&self) -> bool {
        self.forecast.borrow().expects(self.local.conf.exact_min)
    }

    /// Records a request in either direction, for the idle timer.
    #[inline(always)]
    pub(crate) fn note_use(&self) {
        let now_ns = self.local.now_ns();
        self.note_activity(|activity| activity.requested(now_ns));
    }

    #[inline(always)]
    pub(crate) fn note_rpc(&self) {
        let now_ns = self.local.now_ns();
        self.note_activity(|activity| activity.rpc(now_ns));
    }

    #[inline(always)]
    pub(super) fn note_activity(&self, note: impl FnOnce(&mut Activity)) {
        let mut activity = self.activity.get();
        note(&mut activity);
        self.activity.set(activity);
    }

    /// Bytes of bodies in a frame and in a send: fewer while RPCs would wait for them.
    pub(crate) fn portions(&self) -> (u32, usize) {
        let conf = &self.local.conf;
        if self.activity.get().since_rpc_ns(self.local.now_ns()) < MIXED_FOR_NS {
            let slice = conf.mixed_slice_len.min(conf.slice_len);
            return (slice, slice as usize);
        }
        let batch = self.batch_sizer.get().batch();
        let slice = (conf.slice_len as usize).min(batch) & !(ALIGN - 1);
        (slice.max(ALIGN) as u32, batch)
    }

    /// A send of so many bytes is handed to the socket.
    #[inline]
    pub(crate) fn send_began(&self, len: usize) {
        let mut sizer = self.batch_sizer.get();
        sizer.began(len, self.local.now_ns());
        self.batch_sizer.set(sizer);
    }

    /// The socket has taken a send, whole.
    #[inline]
    pub(crate) fn send_ended(&self) {
        let conf = &self.local.conf;
        let bounds = batch_sizer::Bounds {
            least: (conf.mixed_slice_len as usize).min(conf.send_batch),
            most: conf.send_batch,
        };
        let mut sizer = self.batch_sizer.get();
        sizer.ended(self.local.now_ns(), bounds);
        self.batch_sizer.set(sizer);
    }

    pub(crate) fn note_received(&self) {
        let now_ns = self.local.now_ns();
        self.liveness.borrow_mut().received(now_ns);
    }

    pub(crate) fn max_peer_rpc_len(&self) -> u64 {
        self.terms.get().max_rpc_len
    }

    /// Counts a request in again whose answer turned out to be another one.
    pub(crate) fn reenter_request(&self) {
        self.inbound.borrow_mut().active += 1;
    }

    /// A handler will reply later.
    pub(crate) fn note_deferred(&self, id: u64) -> inbound::Retracted {
        let flag = inbound::Retracted::default();
        self.note_late(id, Some(Arc::clone(&flag)));
        flag
    }

    /// A handler will reply later, on this thread.
    pub(crate) fn note_held(&self, id: u64) {
        self.note_late(id, None);
    }

    #[inline]
    fn note_late(&self, id: u64, flag: Option<inbound::Retracted>) {
        let before = self.inbound.borrow_mut().deferred.insert(id, flag);
        if before.is_some() {
            self.fail(*dispatch::broken("a request under an id that is in use"));
        }
    }

    /// Whether a deferred reply is still pending.
    pub(crate) fn is_deferred(&self, id: u64) -> bool {
        self.inbound.borrow().deferred.contains_key(&id)
    }

    /// Takes a deferred reply's entry; false if the request is no longer pending.
    pub(crate) fn take_deferred(&self, id: u64) -> bool {
        self.inbound.borrow_mut().deferred.remove(&id).is_some()
    }
}
