//! Requests that a handler holds: answered later on their shard, retracted, let go of, handed on.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ringrail_codec::native::FailureCode;
use ringrail_transport::server::HeldResponder;
use ringrail_transport::{
    Connection, Engine, ParkMode, ReceivedBytes, RequestError, Responder, RpcHandler,
    TransportClient, TransportConf, TransportContext, TransportServer,
};

/// Holds every request until one says what becomes of those before it.
#[derive(Default)]
struct Holder {
    held: RefCell<Vec<HeldResponder>>,
    retracted: Arc<AtomicUsize>,
}

impl RpcHandler for Holder {
    fn receive(&self, from: &Connection, body: ReceivedBytes<'_>, reply: Responder<'_>) {
        let seen = from
            .extension()
            .map_or(0, |seen| *seen.downcast_ref::<usize>().expect("set here"));
        match body.bytes() {
            b"count" => return reply.reply(&seen.to_le_bytes()),
            b"mark" => {
                assert!(from.set_extension(Rc::new(41usize)));
                assert!(!from.set_extension(Rc::new(42usize)), "once only");
                return reply.reply(b"");
            }
            b"answer" => {
                for held in self.held.take() {
                    if held.is_retracted() {
                        self.retracted.fetch_add(1, Ordering::Relaxed);
                    }
                    held.reply(b"at last");
                }
            }
            b"drop" => drop(self.held.take()),
            b"hand on" => {
                let deferred: Vec<_> = self.held.take().into_iter().map(|it| it.defer()).collect();
                std::thread::spawn(move || {
                    for reply in deferred {
                        reply.reply(bytes::Bytes::from_static(b"from afar"));
                    }
                });
            }
            _ => return self.held.borrow_mut().push(reply.hold()),
        }
        reply.reply(b"done");
    }
}

struct Ground {
    client: TransportClient,
    retracted: Arc<AtomicUsize>,
    _server: TransportServer,
    _engine: Engine,
}

fn ground() -> Ground {
    let engine = Engine::builder(TransportConf::default())
        .shards(1)
        .unpinned()
        .park(ParkMode::Bare)
        .start()
        .expect("an engine");
    let retracted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&retracted);
    let context = TransportContext::new(engine.clone(), move || {
        Rc::new(Holder {
            retracted: Arc::clone(&count),
            ..Holder::default()
        })
    });
    let server = context
        .create_server("127.0.0.1:0".parse().expect("an address"))
        .expect("a server");
    let clients = context.create_client_factory(Vec::new());
    let client = clients
        .create_client_blocking(&server.local_addr().to_string())
        .expect("a connection");
    Ground {
        client,
        retracted,
        _server: server,
        _engine: engine,
    }
}

#[test]
fn a_held_request_is_answered_when_its_turn_comes() {
    let ground = ground();
    let waits: Vec<_> = (0..10).map(|_| ground.client.send_rpc("hold")).collect();
    assert_eq!(
        &ground.client.send_rpc("answer").wait().expect("a reply")[..],
        b"done"
    );
    for wait in waits {
        assert_eq!(&wait.wait().expect("a reply")[..], b"at last");
    }
}

#[test]
fn a_held_request_that_is_let_go_of_fails_at_once() {
    let ground = ground();
    let wait = ground.client.send_rpc("hold");
    ground.client.send_rpc("drop").wait().expect("a reply");
    let Err(RequestError::Remote { failure, .. }) = wait.wait() else {
        panic!("a failure of the handler");
    };
    assert_eq!(failure.code(), FailureCode::NoReply);
}

#[test]
fn a_held_request_may_be_handed_to_another_thread() {
    let ground = ground();
    let wait = ground.client.send_rpc("hold");
    ground.client.send_rpc("hand on").wait().expect("a reply");
    assert_eq!(&wait.wait().expect("a reply")[..], b"from afar");
}

#[test]
fn the_holder_sees_that_nobody_waits_any_more() {
    let ground = ground();
    let (kept, dropped) = (
        ground.client.send_rpc("hold"),
        ground.client.send_rpc("hold"),
    );
    // The handler has both once this is answered.
    ground.client.send_rpc("count").wait().expect("a reply");
    drop(dropped);
    ground.client.send_rpc("count").wait().expect("a reply");
    ground.client.send_rpc("answer").wait().expect("a reply");
    assert_eq!(&kept.wait().expect("a reply")[..], b"at last");
    assert_eq!(ground.retracted.load(Ordering::Relaxed), 1);
}

#[test]
fn a_connection_carries_state_of_the_handlers_own() {
    let ground = ground();
    ground.client.send_rpc("mark").wait().expect("a reply");
    let seen = ground.client.send_rpc("count").wait().expect("a reply");
    assert_eq!(&seen[..], 41usize.to_le_bytes());
}
