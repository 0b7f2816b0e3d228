//! The handler under test: does what requests order, and checks every byte that comes.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use ringrail_codec::native::FailureCode;

use crate::buf::{Lease, ManagedBuffer};
use crate::client::{Connection, ResponseContext};
use crate::error::{RequestError, RpcFailure};
use crate::server::{
    DeferredResponder, HandlerFactory, Responder, RpcHandler, StreamManager, UploadSink,
    UploadStart,
};
use crate::shard::conn::{ReceivedBytes, ResponseHandler};

use super::board::{Board, Debt, count};
use super::content::{self, ChunkName, Deed, MAX_LEN, ORDER_LEN, Order};

pub(super) fn factory(board: &Arc<Board>) -> Arc<HandlerFactory> {
    let board = Arc::clone(board);
    Arc::new(move || {
        Rc::new(Service {
            board: Arc::clone(&board),
            returns: Rc::new(Returns::default()),
        })
    })
}

struct Service {
    board: Arc<Board>,
    returns: Rc<Returns>,
}

impl RpcHandler for Service {
    fn receive(&self, from: &Connection, body: ReceivedBytes<'_>, reply: Responder<'_>) {
        if body.len() < ORDER_LEN {
            return reply.reply(&body);
        }
        let order = match Order::read(&body) {
            Ok(order) => order,
            Err(text) => return self.board.wrong(text),
        };
        self.board.note_handled(order.tag);
        match order.deed {
            Deed::Reply => reply.reply(&order.reply()),
            Deed::ReplyShared => reply.reply_body(order.reply()),
            Deed::Fail => reply.fail(&order.failure()),
            Deed::Drop => drop(reply),
            Deed::Panic => panic!("ordered to"),
            Deed::Defer => {
                let (reply, body) = (reply.defer(), order.reply());
                self.board.owe(Debt { reply, body });
            }
            Deed::AskBack => {
                let back = Order::new(Deed::Reply, order.tag ^ 1, order.reply_len / 2);
                let returns = Rc::clone(&self.returns) as Rc<dyn ResponseHandler>;
                let token = self.returns.expect(reply.defer(), order, back);
                let body = back.request(body.len() / 2);
                if let Err(error) = from.send_rpc_with(&body, None, &returns, token) {
                    self.returns.settle(token, Err(error));
                }
            }
        }
    }

    fn receive_one_way(&self, _: &Connection, body: ReceivedBytes<'_>) {
        match Order::read(&body) {
            Ok(order) => self.board.note_one_way(order.tag),
            Err(text) => self.board.wrong(text),
        }
    }

    fn receive_stream(
        &self,
        from: &Connection,
        upload: UploadStart<'_>,
    ) -> Result<Box<dyn UploadSink>, RpcFailure> {
        let plan = UploadPlan::read(upload.meta).inspect_err(|error| {
            self.board.wrong(error.to_string());
        })?;
        if plan.fails_at == Some(0) {
            return Err(plan.refusal());
        }
        count(&self.board.uploads_begun);
        if plan.ends == UploadEnds::HangUpAtOnce {
            from.close();
        }
        Ok(Box::new(ReplyTo {
            from: from.clone(),
            board: Arc::clone(&self.board),
            plan,
            received: 0,
            over: false,
        }))
    }

    fn stream_manager(&self) -> Option<&dyn StreamManager> {
        Some(self)
    }

    fn channel_active(&self, connection: &Connection) {
        count(&self.board.opened);
        self.board.note_peer(connection.client());
    }

    fn channel_inactive(&self, _: &Connection) {
        count(&self.board.closed);
    }
}

impl StreamManager for Service {
    fn get_chunk(
        &self,
        _: &Connection,
        stream_id: u64,
        index: u32,
    ) -> Result<ManagedBuffer, RpcFailure> {
        match ChunkName::of(stream_id) {
            Some(name) => Ok(name.data(index)),
            None => Err(RpcFailure::new(FailureCode::NotFound, "no such stream")),
        }
    }

    fn open_stream(&self, _: &Connection, name: &str) -> Result<Option<ManagedBuffer>, RpcFailure> {
        let Some((kind, rest)) = name.split_once(':') else {
            return Ok(self.board.shared().filter(|_| name == "shared"));
        };
        let Some((tag, len)) = rest.split_once(':') else {
            return Ok(None);
        };
        let (Ok(tag), Ok(len)) = (tag.parse(), len.parse()) else {
            return Ok(None);
        };
        Ok(match kind {
            "memory" if len <= MAX_LEN => Some(content::bytes(tag, len).into()),
            "file" if len <= MAX_LEN => Some(content::file(tag, len)),
            _ => None,
        })
    }

    fn chunk_being_sent(&self, _: u64) {
        count(&self.board.sending);
    }

    fn chunk_sent(&self, _: u64) {
        let before = self.board.sending.fetch_sub(1, Ordering::Relaxed);
        if before == 0 {
            self.board
                .wrong("a chunk has left that was not being sent".into());
        }
    }
}

/// Requests of the handler's own that are under way.
#[derive(Default)]
struct Returns {
    waiting: RefCell<Vec<(u64, DeferredResponder, Order, Order)>>,
    count: Cell<u64>,
}

impl Returns {
    fn expect(&self, reply: DeferredResponder, order: Order, back: Order) -> u64 {
        let token = self.count.get();
        self.count.set(token + 1);
        self.waiting.borrow_mut().push((token, reply, order, back));
        token
    }
}

impl ResponseHandler for Returns {
    fn on_response(
        &self,
        _: &ResponseContext<'_>,
        token: u64,
        outcome: Result<ReceivedBytes<'_>, RequestError>,
    ) {
        self.settle(token, outcome);
    }
}

impl Returns {
    fn settle(&self, token: u64, outcome: Result<ReceivedBytes<'_>, RequestError>) {
        let mut waiting = self.waiting.borrow_mut();
        let at = waiting.iter().position(|entry| entry.0 == token);
        let (_, reply, order, back) = waiting.remove(at.expect("answered once"));
        drop(waiting);
        let back_reply = back.reply();
        match outcome {
            Ok(body) if body.bytes() == back_reply => reply.reply(order.reply()),
            Ok(_) => reply.fail(RpcFailure::new(FailureCode::Internal, "garbled")),
            Err(error) => {
                let text = format!("asking back: {error}");
                reply.fail(RpcFailure::new(FailureCode::Internal, text));
            }
        }
    }
}

/// The plan that an upload's metadata encodes.
#[derive(Clone, Copy, Debug)]
pub(super) struct UploadPlan {
    pub(super) tag: u64,
    pub(super) len: usize,
    /// Number of bytes after which the sink refuses; 0 refuses the upload at its start.
    pub(super) fails_at: Option<usize>,
    /// The handler's action at the end of the data.
    pub(super) ends: UploadEnds,
    pub(super) reply_len: usize,
}

/// How the handler of an upload ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UploadEnds {
    /// It replies.
    Reply,
    /// It refuses.
    Refuse,
    /// It forgets to reply.
    Forget,
    /// It panics.
    Panic,
    /// It panics at its first slice.
    PanicAtOnce,
    /// It closes the connection before it has anything.
    HangUpAtOnce,
    /// It closes the connection at its first slice.
    HangUp,
}

const ENDS: [UploadEnds; 7] = [
    UploadEnds::Reply,
    UploadEnds::Refuse,
    UploadEnds::Forget,
    UploadEnds::Panic,
    UploadEnds::PanicAtOnce,
    UploadEnds::HangUpAtOnce,
    UploadEnds::HangUp,
];

impl UploadPlan {
    /// Taken without ado, and answered briefly.
    pub(super) fn new(tag: u64) -> Self {
        Self {
            tag,
            len: 0,
            fails_at: None,
            ends: UploadEnds::Reply,
            reply_len: 10,
        }
    }

    pub(super) fn meta(&self) -> Vec<u8> {
        let fails_at = self.fails_at.map_or(u64::MAX, |at| at as u64);
        let words = [
            self.tag,
            self.len as u64,
            fails_at,
            self.ends as u64,
            self.reply_len as u64,
        ];
        words.into_iter().flat_map(u64::to_le_bytes).collect()
    }

    fn read(meta: &[u8]) -> Result<Self, RpcFailure> {
        let words: Vec<u64> = meta
            .chunks_exact(8)
            .map(|word| {
                word.iter()
                    .rev()
                    .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
            })
            .collect();
        let &[tag, len, fails_at, ends, reply_len] = &words[..] else {
            return Err(RpcFailure::new(
                FailureCode::InvalidArgument,
                "strange meta",
            ));
        };
        Ok(Self {
            tag,
            len: len as usize,
            fails_at: usize::try_from(fails_at).ok().filter(|at| *at < usize::MAX),
            ends: ENDS[ends as usize % ENDS.len()],
            reply_len: reply_len as usize,
        })
    }

    pub(super) fn data(&self) -> Bytes {
        content::bytes(self.tag, self.len)
    }

    pub(super) fn reply(&self) -> Bytes {
        content::bytes(!self.tag, self.reply_len)
    }

    pub(super) fn refusal(&self) -> RpcFailure {
        let text = format!("upload {:#x} refused", self.tag);
        RpcFailure::new(FailureCode::InvalidArgument, text)
    }
}

struct ReplyTo {
    from: Connection,
    board: Arc<Board>,
    plan: UploadPlan,
    received: usize,
    over: bool,
}

impl ReplyTo {
    fn end(&mut self) {
        if std::mem::replace(&mut self.over, true) {
            self.board.wrong(format!("{:?} ended twice", self.plan));
        }
    }
}

impl Drop for ReplyTo {
    fn drop(&mut self) {
        if !self.over {
            self.board.wrong(format!("{:?} was forgotten", self.plan));
        }
    }
}

impl UploadSink for ReplyTo {
    fn on_data(&mut self, data: Lease) -> Result<(), RpcFailure> {
        match self.plan.ends {
            UploadEnds::PanicAtOnce => {
                self.end();
                panic!("ordered to");
            }
            UploadEnds::HangUp => self.from.close(),
            _ => {}
        }
        let end = self.received + data.len();
        let whole = self.plan.data();
        if whole.get(self.received..end) != Some(&data[..]) {
            self.board.wrong(format!(
                "upload {:?} garbled at {}",
                self.plan, self.received
            ));
        }
        self.received = end;
        if self.plan.fails_at.is_some_and(|at| end >= at) {
            self.end();
            return Err(self.plan.refusal());
        }
        if self.board.keeps_uploads.load(Ordering::Relaxed) > 0 {
            self.board.keep(data);
        }
        Ok(())
    }

    fn on_complete(mut self: Box<Self>, reply: Responder<'_>) {
        self.end();
        if self.received != self.plan.len {
            self.board
                .wrong(format!("{:?} complete at {}", self.plan, self.received));
        }
        count(&self.board.uploads_whole);
        match self.plan.ends {
            UploadEnds::Reply => reply.reply_body(self.plan.reply()),
            UploadEnds::Refuse => reply.fail(&self.plan.refusal()),
            UploadEnds::Forget => drop(reply),
            UploadEnds::Panic | UploadEnds::PanicAtOnce => panic!("ordered to"),
            UploadEnds::HangUpAtOnce | UploadEnds::HangUp => drop(reply),
        }
    }

    fn on_failure(&mut self, _: &RequestError) {
        self.end();
        count(&self.board.uploads_failed);
    }
}
