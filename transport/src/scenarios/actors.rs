//! Actions of clients; the answer to each request is checked against the expected one.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;

use bytes::Bytes;
use ringrail_codec::native::FailureCode;
use tokio::sync::oneshot;

use crate::client::{ChunkOptions, Connection, ResponseContext, StreamReader, TransportClient};
use crate::error::RequestError;
use crate::shard::conn::{ReceivedBytes, ResponseHandler};

use super::content::{self, ChunkName, Deed, Order};
use super::service::{UploadEnds, UploadPlan};
use super::tasks::Clock;

/// How a request ended that did not bring what it should have: only as an error.
pub(super) type Ended = Result<(), RequestError>;

/// Waits between attempts where this side is full.
const BUSY_WAIT_NS: u64 = 500_000;

/// Compares received bytes with the expected ones.
///
/// # Panics
/// If they differ: no fault may change a byte.
pub(super) fn expect(what: &str, got: &[u8], wanted: &[u8]) {
    assert!(
        got == wanted,
        "{what}: {} bytes came, {} were due, and they differ from byte {:?} on",
        got.len(),
        wanted.len(),
        got.iter()
            .zip(wanted)
            .position(|(got, wanted)| got != wanted)
    );
}

/// Whether a bound, here or there, was reached for the moment.
pub(super) fn is_busy(error: &RequestError) -> bool {
    match error {
        RequestError::Busy { .. } => true,
        RequestError::Remote { failure, .. } => failure.code() == FailureCode::Busy,
        _ => false,
    }
}

/// Repeats a request as long as a bound keeps it from being taken.
pub(super) async fn when_not_busy<T, F: Future<Output = Result<T, RequestError>>>(
    clock: &Clock,
    mut ask: impl FnMut() -> F,
) -> Result<T, RequestError> {
    loop {
        match ask().await {
            Err(error) if is_busy(&error) => clock.sleep(BUSY_WAIT_NS).await,
            outcome => return outcome,
        }
    }
}

/// Sends an order and checks the answer.
pub(super) async fn order(
    client: TransportClient,
    order: Order,
    len: usize,
    clock: Clock,
) -> Ended {
    let body = order.request(len);
    let outcome = when_not_busy(&clock, || client.send_rpc(body.clone())).await;
    judge(order, outcome.map(Bytes::from))
}

/// Checks the answer to an order.
pub(super) fn judge(order: Order, outcome: Result<Bytes, RequestError>) -> Ended {
    let failed_as = |error: &RequestError, text: &str| match error {
        RequestError::Remote { failure, .. } => failure.to_string().contains(text),
        _ => false,
    };
    match (order.deed, outcome) {
        (Deed::Reply | Deed::ReplyShared | Deed::Defer | Deed::AskBack, Ok(reply)) => {
            expect("reply", &reply, &order.reply());
            Ok(())
        }
        (Deed::Fail, Err(RequestError::Remote { failure, .. })) => {
            assert_eq!(failure, order.failure());
            Ok(())
        }
        (Deed::Drop, Err(error)) if failed_as(&error, "NoReply") => Ok(()),
        // The handler does not wait until its own side has room for a request.
        (Deed::AskBack, Err(error)) if failed_as(&error, "is full (") => Ok(()),
        (Deed::AskBack, Err(error)) if failed_as(&error, "(Busy)") => Ok(()),
        (Deed::Panic, Err(error)) if failed_as(&error, "HandlerPanicked") => Ok(()),
        (_, Err(error)) => Err(error),
        (deed, Ok(reply)) => panic!("{deed:?} was answered with {} bytes", reply.len()),
    }
}

/// Fetches a part of a chunk and checks it.
pub(super) async fn chunk(
    client: TransportClient,
    name: ChunkName,
    index: u32,
    options: ChunkOptions,
    clock: Clock,
) -> Ended {
    let id = name.stream_id();
    let got = when_not_busy(&clock, || client.fetch_chunk(id, index, &options)).await?;
    let whole = name.bytes(index);
    let from = options.offset as usize;
    let len = options.max_len.min((whole.len() - from) as u64) as usize;
    expect("chunk", &got, &whole[from..from + len]);
    Ok(())
}

/// Name of a stream that the service knows.
pub(super) fn stream_name(from_file: bool, tag: u64, len: usize) -> String {
    let kind = if from_file { "file" } else { "memory" };
    format!("{kind}:{tag}:{len}")
}

/// Reads a stream to its end, waiting a little before each slice, and checks it.
pub(super) async fn stream(
    client: TransportClient,
    (from_file, tag, len): (bool, u64, usize),
    offset: usize,
    pause_ns: u64,
    clock: Clock,
) -> Ended {
    let name = stream_name(from_file, tag, len);
    let ask = || async {
        let reader = client.stream(name.clone(), offset as u64).await?;
        read_to_end(reader, pause_ns, &clock).await
    };
    let got = when_not_busy(&clock, ask).await?;
    expect("stream", &got, &content::bytes(tag, len)[offset..]);
    Ok(())
}

pub(super) async fn read_to_end(
    mut reader: StreamReader,
    pause_ns: u64,
    clock: &Clock,
) -> Result<Vec<u8>, RequestError> {
    let mut got = Vec::new();
    while let Some(slice) = reader.next().await {
        got.extend_from_slice(&slice?);
        if pause_ns > 0 {
            clock.sleep(pause_ns).await;
        }
    }
    Ok(got)
}

/// Uploads and checks the reply.
pub(super) async fn upload(
    client: TransportClient,
    plan: UploadPlan,
    from_file: bool,
    clock: Clock,
) -> Ended {
    let data = || match from_file {
        true => content::file(plan.tag, plan.len),
        false => plan.data().into(),
    };
    let outcome = when_not_busy(&clock, || client.upload_stream(plan.meta(), data())).await;
    let ends = match plan.fails_at {
        Some(0) => UploadEnds::Refuse,
        _ if plan.ends == UploadEnds::PanicAtOnce => UploadEnds::Panic,
        Some(at) if at <= plan.len => UploadEnds::Refuse,
        _ => plan.ends,
    };
    let code = |error: &RequestError| match error {
        RequestError::Remote { failure, .. } => Some(failure.code()),
        _ => None,
    };
    match (ends, outcome) {
        (UploadEnds::Reply, Ok(reply)) => {
            expect("reply to an upload", &reply, &plan.reply());
            Ok(())
        }
        (_, Ok(_)) => panic!("{plan:?} was taken"),
        (UploadEnds::Refuse, Err(RequestError::Remote { failure, .. })) => {
            assert_eq!(failure.message(), plan.refusal().message());
            Ok(())
        }
        (UploadEnds::Forget, Err(error)) if code(&error) == Some(FailureCode::NoReply) => Ok(()),
        (UploadEnds::Panic, Err(error)) if code(&error) == Some(FailureCode::HandlerPanicked) => {
            Ok(())
        }
        (_, Err(error)) => Err(error),
    }
}

/// Callbacks on a shard, as futures; checks that each comes once.
#[derive(Default)]
pub(super) struct Callbacks {
    waiting: RefCell<BTreeMap<u64, oneshot::Sender<Result<Bytes, RequestError>>>>,
}

impl ResponseHandler for Callbacks {
    fn on_response(
        &self,
        _: &ResponseContext<'_>,
        token: u64,
        outcome: Result<ReceivedBytes<'_>, RequestError>,
    ) {
        self.settle(token, outcome.map(|body| body.keep().into()));
    }
}

impl Callbacks {
    fn settle(&self, token: u64, outcome: Result<Bytes, RequestError>) {
        let waiting = self.waiting.borrow_mut().remove(&token);
        let waiting = waiting.expect("each request is answered once");
        // A task that was dropped has no use for it.
        let _ = waiting.send(outcome);
    }

    /// Makes a request whose answer comes to this handler.
    pub(super) fn ask<S>(
        self: &Rc<Self>,
        token: u64,
        send: S,
    ) -> impl Future<Output = Result<Bytes, RequestError>> + use<S>
    where
        S: FnOnce(&Rc<dyn ResponseHandler>) -> Result<u64, RequestError>,
    {
        let (answer, waiting) = oneshot::channel();
        self.waiting.borrow_mut().insert(token, answer);
        let handler = Rc::clone(self) as Rc<dyn ResponseHandler>;
        if let Err(error) = send(&handler) {
            self.settle(token, Err(error));
        }
        async move { waiting.await.expect("every request is answered") }
    }
}

/// As [`order`], by callback on the shard.
pub(super) async fn order_by_callback(
    (connection, callbacks): (Connection, Rc<Callbacks>),
    order: Order,
    len: usize,
    clock: Clock,
) -> Ended {
    let body = order.request(len);
    let ask = || {
        callbacks.ask(order.tag, |handler| {
            connection.send_rpc_with(&body, None, handler, order.tag)
        })
    };
    judge(order, when_not_busy(&clock, ask).await)
}

/// As [`order`], by a future on the shard.
pub(super) async fn order_on_shard(
    connection: Connection,
    order: Order,
    len: usize,
    clock: Clock,
) -> Ended {
    let body = order.request(len);
    let ask = || connection.send_rpc_body(body.clone(), None);
    let outcome = when_not_busy(&clock, ask).await;
    judge(order, outcome.map(Bytes::from))
}

/// As [`chunk`], by a future on the shard.
pub(super) async fn chunk_on_shard(
    connection: Connection,
    name: ChunkName,
    index: u32,
    hint: Option<u64>,
    clock: Clock,
) -> Ended {
    let options = ChunkOptions {
        len_hint: hint,
        ..ChunkOptions::default()
    };
    let ask = || connection.fetch_chunk(name.stream_id(), index, &options);
    let got = when_not_busy(&clock, ask).await?;
    expect("chunk", &got, &name.bytes(index));
    Ok(())
}
