//! Requests by callback: bodies that are shared, uploads, parts of chunks, numbers to cancel by, refusals, and
//! handlers that ask on by the context that they are called with.

mod support;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use ringrail_transport::buf::Lease;
use ringrail_transport::server::{DeferredResponder, StreamManager, UploadSink, UploadStart};
use ringrail_transport::{
    ChunkOptions, Connection, ReceivedBytes, RequestError, Responder, ResponseContext,
    ResponseHandler, RpcFailure, RpcHandler, TransportClient, TransportConf, TransportContext,
    TransportServer,
};
use support::{Echo, content, engine};

/// Longest wait for what must come.
const SOON: Duration = Duration::from_secs(30);

/// Answers with the length of what came; keeps requests that say so.
#[derive(Default)]
struct Lengths {
    chunks: Echo,
    kept: RefCell<Vec<DeferredResponder>>,
}

impl RpcHandler for Lengths {
    fn receive(&self, _: &Connection, body: ReceivedBytes<'_>, reply: Responder<'_>) {
        match body.bytes() {
            b"keep" => self.kept.borrow_mut().push(reply.defer()),
            b"release" => {
                for kept in self.kept.take() {
                    kept.reply(Bytes::from("released"));
                }
                reply.reply(b"done");
            }
            bytes => reply.reply(&bytes.len().to_le_bytes()),
        }
    }

    fn receive_stream(
        &self,
        _: &Connection,
        upload: UploadStart<'_>,
    ) -> Result<Box<dyn UploadSink>, RpcFailure> {
        Ok(Box::new(Counted(upload.meta.len())))
    }

    fn stream_manager(&self) -> Option<&dyn StreamManager> {
        Some(&self.chunks)
    }
}

/// Counts the bytes of an upload, those of its meta data too.
struct Counted(usize);

impl UploadSink for Counted {
    fn on_data(&mut self, data: Lease) -> Result<(), RpcFailure> {
        self.0 += data.len();
        Ok(())
    }

    fn on_complete(self: Box<Self>, reply: Responder<'_>) {
        reply.reply(&self.0.to_le_bytes());
    }

    fn on_failure(&mut self, _: &RequestError) {}
}

type Outcome = (u64, Result<Vec<u8>, RequestError>);

/// Passes answers on to the test.
struct Tell(mpsc::Sender<Outcome>);

impl ResponseHandler for Tell {
    fn on_response(
        &self,
        _: &ResponseContext<'_>,
        token: u64,
        outcome: Result<ReceivedBytes<'_>, RequestError>,
    ) {
        // The test may have seen enough.
        let _ = self.0.send((token, outcome.map(|body| body.to_vec())));
    }
}

struct Ground {
    server: TransportServer,
    asking: TransportContext,
    client: TransportClient,
}

fn ground(conf: TransportConf) -> Ground {
    let serving = TransportContext::new(engine(TransportConf::default()), || {
        Rc::new(Lengths::default())
    });
    let server = serving.create_server("127.0.0.1:0".parse().unwrap());
    let server = server.unwrap();
    let asking = TransportContext::client_only(engine(conf));
    let client = asking
        .create_client_factory(Vec::new())
        .create_client_blocking(&server.local_addr().to_string())
        .unwrap();
    Ground {
        server,
        asking,
        client,
    }
}

impl Ground {
    /// Runs `act` on the connection's shard with a handler whose answers come to the receiver.
    fn act<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Connection, &Rc<dyn ResponseHandler>) -> T + Send + 'static,
    ) -> (T, mpsc::Receiver<Outcome>) {
        let (tell, told) = mpsc::channel();
        let client = self.client.clone();
        let run = move |_: &_| {
            let handler: Rc<dyn ResponseHandler> = Rc::new(Tell(tell));
            act(&client.here().expect("open"), &handler)
        };
        (self.asking.engine().run_on(0, run).unwrap(), told)
    }
}

fn length((_, outcome): Outcome) -> usize {
    usize::from_le_bytes(outcome.unwrap().try_into().unwrap())
}

#[test]
fn bodies_and_uploads_are_sent_from_where_they_lie() {
    let ground = ground(TransportConf::default());
    const LEN: usize = 512 << 10;
    let before = ground.asking.engine().metrics();
    let (_, told) = ground.act(|conn, handler| {
        let body = content(1, LEN);
        conn.send_rpc_body_with(body.clone(), None, handler, 1)
            .unwrap();
        conn.upload_stream_with(b"meta", body.into(), None, handler, 2)
            .unwrap();
    });
    let mut lengths = [told.recv_timeout(SOON), told.recv_timeout(SOON)].map(Result::unwrap);
    lengths.sort_by_key(|(token, _)| *token);
    assert_eq!(lengths.map(length), [LEN, LEN + 4]);
    let after = ground.asking.engine().metrics();
    assert_eq!(after.copies_coalesced_bytes, before.copies_coalesced_bytes);
    drop(ground.server);
}

#[test]
fn each_kind_is_retracted_by_its_number() {
    let ground = ground(TransportConf::default());
    let (numbers, told) = ground.act(|conn, handler| {
        let options = ChunkOptions::default();
        let numbers = [
            conn.send_rpc_with(b"keep", None, handler, 0).unwrap(),
            conn.send_rpc_body_with(Bytes::from("keep"), None, handler, 1)
                .unwrap(),
            conn.fetch_chunk_with(1 << 20, 0, &options, handler, 2)
                .unwrap(),
            conn.upload_stream_with(b"", content(0, 1 << 20).into(), None, handler, 3)
                .unwrap(),
        ];
        for number in numbers {
            conn.cancel(number);
        }
        conn.send_rpc_with(b"release", None, handler, 4).unwrap();
        numbers
    });
    assert!(numbers.iter().all(|&number| number != 0), "{numbers:?}");
    let (token, answer) = told.recv_timeout(SOON).unwrap();
    assert_eq!((token, &answer.unwrap()[..]), (4, &b"done"[..]));
    // The last handler is gone with its answer: no other handler was called.
    assert!(told.recv_timeout(SOON).is_err());
    assert_eq!(ground.asking.engine().metrics().requests_cancelled, 4);
}

#[test]
fn parts_of_chunks_come_to_callbacks_and_futures() {
    let ground = ground(TransportConf::default());
    let whole = content(3, 100_000);
    let options = ChunkOptions {
        offset: 1_000,
        max_len: 70_000,
        ..ChunkOptions::default()
    };
    let (_, told) = ground.act(move |conn, handler| {
        conn.fetch_chunk_with(100_000, 3, &options, handler, 0)
            .unwrap();
    });
    let (_, part) = told.recv_timeout(SOON).unwrap();
    assert!(part.unwrap() == whole[1_000..71_000]);
    let client = ground.client.clone();
    let join = ground.asking.engine().spawn_on(0, move |_| async move {
        let conn = client.here().expect("open");
        conn.fetch_chunk(100_000, 3, &options)
            .await
            .map(Bytes::from)
    });
    assert!(join.wait().unwrap().unwrap() == whole[1_000..71_000]);
}

#[test]
fn a_refusal_is_an_error_for_callbacks_and_comes_by_the_future_otherwise() {
    // The pool has no room for a body that is copied.
    let ground = ground(TransportConf {
        recv_buffers: 8,
        pool_budget: 2 << 20,
        pool_reserve: 1 << 20,
        ..TransportConf::default()
    });
    let (refused, told) = ground.act(|conn, handler| {
        let body = content(0, 4 << 20);
        conn.send_rpc_with(&body, None, handler, 1)
    });
    assert!(
        matches!(refused, Err(RequestError::Busy { .. })),
        "{refused:?}"
    );
    assert!(told.recv_timeout(SOON).is_err(), "the handler was called");
    let client = ground.client.clone();
    let by_future = ground.asking.engine().spawn_on(0, move |_| async move {
        let conn = client.here().expect("open");
        conn.send_rpc(&content(0, 4 << 20), None)
            .await
            .map(Bytes::from)
    });
    let refused = by_future.wait().unwrap();
    assert!(
        matches!(refused, Err(RequestError::Busy { .. })),
        "{refused:?}"
    );
}

/// Asks `left` times more by its context, and has no reference to itself.
struct AskOn {
    left: Cell<u32>,
    done: mpsc::Sender<&'static str>,
}

impl ResponseHandler for AskOn {
    fn on_response(
        &self,
        context: &ResponseContext<'_>,
        token: u64,
        outcome: Result<ReceivedBytes<'_>, RequestError>,
    ) {
        let len = outcome.unwrap().len();
        assert!(len > 0);
        assert!(context.connection().is_active());
        let left = self.left.get();
        if left == 0 {
            return self.done.send("answered").unwrap();
        }
        self.left.set(left - 1);
        let options = ChunkOptions::default();
        match token % 4 {
            0 => context.send_rpc(b"again", None, token + 1),
            1 => context.send_rpc_body(Bytes::from("again"), None, token + 1),
            2 => context.fetch_chunk(70_000, 0, &options, token + 1),
            _ => context.upload_stream(b"meta", content(0, 100).into(), None, token + 1),
        }
        .unwrap();
    }
}

impl Drop for AskOn {
    fn drop(&mut self) {
        // The test may be over.
        let _ = self.done.send("dropped");
    }
}

#[test]
fn a_handler_asks_on_by_its_context_and_goes_with_its_last_answer() {
    let ground = ground(TransportConf::default());
    let (done, over) = mpsc::channel();
    ground.act(move |conn, _| {
        let handler: Rc<dyn ResponseHandler> = Rc::new(AskOn {
            left: Cell::new(40),
            done,
        });
        conn.send_rpc_with(b"begin", None, &handler, 0).unwrap();
    });
    assert_eq!(over.recv_timeout(SOON), Ok("answered"));
    assert_eq!(over.recv_timeout(SOON), Ok("dropped"));
}

#[test]
fn requests_that_are_outstanding_when_the_engine_goes_are_told() {
    let Ground {
        server,
        asking,
        client,
    } = ground(TransportConf::default());
    let (tell, told) = mpsc::channel();
    let ask = client.clone();
    asking
        .engine()
        .run_on(0, move |_| {
            let handler: Rc<dyn ResponseHandler> = Rc::new(Tell(tell));
            let conn = ask.here().expect("open");
            conn.send_rpc_with(b"keep", None, &handler, 7).unwrap();
        })
        .unwrap();
    let waiting = client.send_rpc("keep");
    drop(asking);
    let (token, outcome) = told.recv_timeout(SOON).unwrap();
    assert_eq!(token, 7);
    assert!(
        matches!(outcome, Err(RequestError::Closed { .. })),
        "{outcome:?}"
    );
    let outcome = waiting.wait();
    assert!(
        matches!(outcome, Err(RequestError::Closed { .. })),
        "{outcome:?}"
    );
    let later = client.send_rpc("later").wait();
    assert!(
        matches!(later, Err(RequestError::ShardStopped)),
        "{later:?}"
    );
    drop(server);
}
