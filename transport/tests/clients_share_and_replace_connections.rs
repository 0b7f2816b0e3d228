//! The client pool, bootstraps, streams and uploads, both directions, cancelled futures, drains:
//! what programs rely on, over real rings.

mod support;

use std::future::Future;
use std::net::TcpListener;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ringrail_codec::native::FailureCode;
use ringrail_transport::buf::Lease;
use ringrail_transport::client::{ChunkOptions, ClientBootstrap};
use ringrail_transport::server::{ServerBootstrap, UploadSink, UploadStart};
use ringrail_transport::{
    ConnectError, Connection, ReceivedBytes, RequestError, Responder, RpcFailure, RpcHandler,
    TransportClient, TransportConf, TransportContext,
};
use support::{content, engine, eventually, serve};

#[test]
fn the_same_peer_gets_the_same_connection_also_when_many_ask_at_once() {
    let side = serve(TransportConf::default());
    let context = TransportContext::client_only(engine(TransportConf::default()));
    let clients = context.create_client_factory(Vec::new());
    let address = side.address();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let client = clients.create_client_blocking(&address).unwrap();
                assert_eq!(&client.send_rpc("x").wait().unwrap()[..], b"x");
            });
        }
    });
    assert_eq!(side.context.engine().metrics().connections_accepted, 1);
    clients.create_unmanaged_client_blocking(&address).unwrap();
    assert_eq!(side.context.engine().metrics().connections_accepted, 2);
}

#[test]
fn a_dead_connection_is_replaced_when_it_is_next_asked_for() {
    let side = serve(TransportConf::default());
    let context = TransportContext::client_only(engine(TransportConf::default()));
    let clients = context.create_client_factory(Vec::new());
    let first = clients.create_client_blocking(&side.address()).unwrap();
    first.close();
    eventually("closed", || !first.is_active());
    let second = clients.create_client_blocking(&side.address()).unwrap();
    assert_eq!(&second.send_rpc("x").wait().unwrap()[..], b"x");
    let error = first.send_rpc("x").wait().unwrap_err();
    assert!(error.is_retryable(), "{error}");
}

#[test]
fn a_peer_that_failed_is_not_tried_again_within_the_window() {
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let context = TransportContext::client_only(engine(TransportConf::default()));
    let clients = context.create_client_factory(Vec::new());
    let error = clients.create_client_blocking(&closed).unwrap_err();
    assert!(matches!(error, ConnectError::Io { .. }), "{error}");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let error = runtime
        .block_on(clients.create_client_fast_fail(&closed))
        .unwrap_err();
    assert!(matches!(error, ConnectError::FastFail { .. }), "{error}");
    assert!(
        error.to_string().contains("ringrail.transport.retryWait"),
        "{error}"
    );
    let error = clients
        .create_client_blocking("no.such.host.invalid:1")
        .unwrap_err();
    assert!(matches!(error, ConnectError::Resolve { .. }), "{error}");
    // Within the window the name is not looked up again, and the error is still of the name.
    let error = runtime
        .block_on(clients.create_client_fast_fail("no.such.host.invalid:1"))
        .unwrap_err();
    assert!(matches!(error, ConnectError::Resolve { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("no.such.host.invalid:1"), "{text}");
    assert!(text.contains("ringrail.transport.retryWait"), "{text}");
}

#[test]
fn a_peer_that_failed_is_tried_again_when_the_window_is_over() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap();
    drop(holder);
    let conf = TransportConf {
        retry_wait: Duration::from_secs(3),
        ..TransportConf::default()
    };
    let context = TransportContext::client_only(engine(conf));
    let clients = context.create_client_factory(Vec::new());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let try_it = || runtime.block_on(clients.create_client_fast_fail(&address.to_string()));
    let error = try_it().unwrap_err();
    assert!(matches!(error, ConnectError::Io { .. }), "{error}");
    let side = TransportContext::new(engine(TransportConf::default()), || {
        std::rc::Rc::new(support::Echo::default())
    });
    let server = side.create_server(address.into()).unwrap();
    let mut client = None;
    // Refused within the window, though the peer is there by now; nothing but the window refuses it.
    eventually("the window is over", || match try_it() {
        Ok(connected) => {
            client = Some(connected);
            true
        }
        Err(ConnectError::FastFail { ago, .. }) => {
            assert!(ago < Duration::from_secs(3));
            false
        }
        Err(other) => panic!("{other}"),
    });
    let client = client.unwrap();
    assert_eq!(&client.send_rpc("x").wait().unwrap()[..], b"x");
    drop(server);
}

#[test]
fn a_silent_peer_costs_the_handshake_timeout_and_says_so() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let handshake_timeout = Duration::from_millis(100);
    let conf = TransportConf {
        handshake_timeout,
        ..TransportConf::default()
    };
    let context = TransportContext::client_only(engine(conf));
    let clients = context.create_client_factory(Vec::new());
    let address = silent.local_addr().unwrap().to_string();
    let error = clients
        .create_client_blocking(&address)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("ringrail.transport.handshakeTimeout"),
        "{error}"
    );
}

/// A client that says a word first.
struct Word(&'static str);

impl ClientBootstrap for Word {
    fn bootstrap<'a>(
        &'a self,
        client: &'a TransportClient,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>> {
        Box::pin(async {
            let said = client.send_rpc(self.0).await;
            said.map(|_| ()).map_err(|error| error.to_string())
        })
    }
}

/// A server that answers only peers that have sent the password.
struct Guard;

struct Guarded {
    inner: Rc<dyn RpcHandler>,
}

impl ServerBootstrap for Guard {
    fn bootstrap(&self, _: &Connection, inner: Rc<dyn RpcHandler>) -> Rc<dyn RpcHandler> {
        Rc::new(Guarded { inner })
    }
}

impl RpcHandler for Guarded {
    fn receive(&self, from: &Connection, body: ReceivedBytes<'_>, reply: Responder<'_>) {
        if from.client_id().is_some() {
            return self.inner.receive(from, body, reply);
        }
        if body.bytes() == b"sesame" {
            assert!(from.set_client_id("ali"));
            return reply.reply(b"");
        }
        reply.fail(&RpcFailure::new(FailureCode::Unauthorized, "not the word"));
    }
}

#[test]
fn bootstraps_guard_a_connection_before_anybody_gets_it() {
    let engine_ = engine(TransportConf::default());
    let context = TransportContext::new(engine_, || Rc::new(support::Echo::default()));
    let addr = "127.0.0.1:0".parse().unwrap();
    let server = context
        .create_server_with(addr, vec![Arc::new(Guard)])
        .unwrap();
    let address = server.local_addr().to_string();
    let clients = context.create_client_factory(vec![Arc::new(Word("sesame"))]);
    let client = clients.create_client_blocking(&address).unwrap();
    assert_eq!(&client.send_rpc("x").wait().unwrap()[..], b"x");
    let strangers = context.create_client_factory(vec![Arc::new(Word("open"))]);
    let error = strangers
        .create_client_blocking(&address)
        .unwrap_err()
        .to_string();
    assert!(error.contains("not the word"), "{error}");
}

#[test]
fn streams_come_whole_resume_anywhere_and_may_be_dropped() {
    let side = serve(TransportConf::default());
    let (_context, client) = side.client();
    let len = 5_000_000;
    let whole = content(0, len);
    for offset in [0, 1, 4_999_999, 5_000_000] {
        let mut reader = client
            .stream_blocking(len.to_string(), offset as u64)
            .unwrap();
        let mut got = Vec::new();
        while let Some(slice) = reader.blocking_next() {
            got.extend_from_slice(&slice.unwrap());
        }
        assert!(got == whole[offset..], "from {offset}");
    }
    let mut missing = client.stream_blocking("nothing", 0).unwrap();
    let error = missing.blocking_next().unwrap().unwrap_err().to_string();
    assert!(error.contains("Stream 'nothing' was not found."), "{error}");
    assert!(missing.blocking_next().is_none());
    let mut dropped = client.stream_blocking(len.to_string(), 0).unwrap();
    dropped.blocking_next().unwrap().unwrap();
    drop(dropped);
    assert_eq!(&client.send_rpc("after").wait().unwrap()[..], b"after");
    eventually("the sender was told", || {
        side.context.engine().metrics().requests_cancelled >= 1
    });
}

/// Takes uploads and answers how many bytes came; refuses what is called "no".
struct Taker;

struct Taking(u64);

impl RpcHandler for Taker {
    fn receive(&self, from: &Connection, body: ReceivedBytes<'_>, reply: Responder<'_>) {
        // Asks back over the connection that the client opened.
        let (reply, ask) = (reply.defer(), from.client());
        let body = body.bytes().to_vec();
        std::thread::spawn(move || match ask.send_rpc(body).wait() {
            Ok(answer) => reply.reply(answer.into_lease()),
            Err(error) => reply.fail(RpcFailure::new(FailureCode::Internal, error.to_string())),
        });
    }

    fn receive_stream(
        &self,
        _: &Connection,
        upload: UploadStart<'_>,
    ) -> Result<Box<dyn UploadSink>, RpcFailure> {
        if upload.meta == b"no" {
            return Err(RpcFailure::new(FailureCode::UploadRejected, "not that one"));
        }
        Ok(Box::new(Taking(0)))
    }
}

impl UploadSink for Taking {
    fn on_data(&mut self, data: Lease) -> Result<(), RpcFailure> {
        self.0 += data.len() as u64;
        Ok(())
    }

    fn on_complete(self: Box<Self>, reply: Responder<'_>) {
        reply.reply(&self.0.to_le_bytes());
    }

    fn on_failure(&mut self, _: &RequestError) {}
}

#[test]
fn uploads_arrive_whole_or_are_refused_and_the_connection_stays() {
    let context = TransportContext::new(engine(TransportConf::default()), || Rc::new(Taker));
    let server = context
        .create_server("127.0.0.1:0".parse().unwrap())
        .unwrap();
    let clients = context.create_client_factory(Vec::new());
    let client = clients
        .create_client_blocking(&server.local_addr().to_string())
        .unwrap();
    for len in [0, 1, 100_000, 9_000_000] {
        let taken = client
            .upload_stream("yes", content(1, len).into())
            .wait()
            .unwrap();
        assert_eq!(taken[..], (len as u64).to_le_bytes());
    }
    let error = client
        .upload_stream("no", content(1, 5_000_000).into())
        .wait()
        .unwrap_err();
    assert!(error.to_string().contains("not that one"), "{error}");
    let taken = client
        .upload_stream("yes", content(1, 77).into())
        .wait()
        .unwrap();
    assert_eq!(taken[..], 77u64.to_le_bytes());
}

#[test]
fn a_server_asks_back_over_the_connection_of_its_client() {
    let context = TransportContext::new(engine(TransportConf::default()), || Rc::new(Taker));
    let server = context
        .create_server("127.0.0.1:0".parse().unwrap())
        .unwrap();
    let own = engine(TransportConf::default());
    let asking = TransportContext::new(own, || Rc::new(support::Echo::default()));
    let clients = asking.create_client_factory(Vec::new());
    let client = clients
        .create_client_blocking(&server.local_addr().to_string())
        .unwrap();
    assert_eq!(
        &client.send_rpc("to and fro").wait().unwrap()[..],
        b"to and fro"
    );
    assert_eq!(asking.engine().metrics().requests_in_rpc, 1);
}

/// Never answers, and counts how often a request was retracted.
struct Mute(Arc<AtomicUsize>);

impl RpcHandler for Mute {
    fn receive(&self, _: &Connection, _: ReceivedBytes<'_>, reply: Responder<'_>) {
        let (kept, retracted) = (reply.defer(), Arc::clone(&self.0));
        std::thread::spawn(move || {
            while !kept.is_retracted() {
                std::thread::sleep(Duration::from_millis(1));
            }
            retracted.fetch_add(1, Ordering::SeqCst);
        });
    }
}

#[test]
fn a_dropped_future_retracts_its_request_and_a_late_one_times_out_once() {
    let retracted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&retracted);
    let context = TransportContext::new(engine(TransportConf::default()), move || {
        Rc::new(Mute(Arc::clone(&count)))
    });
    let server = context
        .create_server("127.0.0.1:0".parse().unwrap())
        .unwrap();
    let clients = context.create_client_factory(Vec::new());
    let client = clients
        .create_client_blocking(&server.local_addr().to_string())
        .unwrap();
    let request = client.send_rpc("nobody will wait");
    eventually("it arrived", || {
        context.engine().metrics().requests_in_rpc == 1
    });
    drop(request);
    eventually("the handler was told", || {
        retracted.load(Ordering::SeqCst) == 1
    });
    let timeout = Some(Duration::from_millis(50));
    let error = client
        .send_rpc_timeout("too late", timeout)
        .wait()
        .unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, RequestError::TimedOut { .. }), "{text}");
    assert_eq!(
        text.matches("ringrail.transport.requestTimeout").count(),
        1,
        "{text}"
    );
    eventually("the handler was told again", || {
        retracted.load(Ordering::SeqCst) == 2
    });
}

#[test]
fn a_drain_answers_what_is_under_way_and_takes_no_more() {
    let side = serve(TransportConf::default());
    let (_context, client) = side.client();
    let options = ChunkOptions::default();
    let chunks: Vec<_> = (0..8)
        .map(|n| client.fetch_chunk(4 << 20, n, &options))
        .collect();
    eventually("asked", || {
        side.context.engine().metrics().requests_in_chunk == 8
    });
    let address = side.address();
    let drained = std::thread::spawn(move || {
        side.server.drain().unwrap();
        side.context
    });
    for (n, chunk) in (0..).zip(chunks) {
        assert!(
            chunk.wait().unwrap()[..] == content(n, 4 << 20)[..],
            "chunk {n}"
        );
    }
    eventually("the client knows", || !client.is_active());
    let context = drained.join().unwrap();
    assert!(client.send_rpc("late").wait().is_err());
    let fresh = context.create_client_factory(Vec::new());
    assert!(
        fresh.create_client_blocking(&address).is_err(),
        "nobody listens any more"
    );
}

#[test]
fn an_engine_that_goes_fails_what_is_outstanding() {
    let count = Arc::new(AtomicUsize::new(0));
    let context = TransportContext::new(engine(TransportConf::default()), move || {
        Rc::new(Mute(Arc::clone(&count)))
    });
    let server = context
        .create_server("127.0.0.1:0".parse().unwrap())
        .unwrap();
    let address = server.local_addr().to_string();
    let own = TransportContext::client_only(engine(TransportConf::default()));
    let client = own
        .create_client_factory(Vec::new())
        .create_client_blocking(&address)
        .unwrap();
    let requests: Vec<_> = (0..100).map(|_| client.send_rpc("x")).collect();
    eventually("all arrived", || {
        context.engine().metrics().requests_in_rpc == 100
    });
    drop(server);
    drop(context);
    for request in requests {
        assert!(request.wait().is_err());
    }
    drop(own);
    assert!(
        client.send_rpc("x").wait().is_err(),
        "the client's own engine is gone too"
    );
}
