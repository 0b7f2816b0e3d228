//! A shard that had to spin for a batch of requests answers it in two parts, so that its peer goes on
//! while it does.
//!
//! A program of its own: it pins a shard and spins.

mod support;

use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use ringrail_transport::{
    Engine, ParkMode, ReceivedBytes, RequestError, ResponseContext, ResponseHandler,
    TransportClient, TransportConf, TransportContext,
};
use support::{Echo, engine};

/// Requests that leave in one send: more than two halves of the least length, and few enough for both
/// to be halves.
const BATCH: u64 = 80;

/// Sees that answers come in order, and tells when the last one has.
struct InOrder {
    next: std::cell::Cell<u64>,
    done: mpsc::Sender<u64>,
}

impl ResponseHandler for InOrder {
    fn on_response(
        &self,
        _: &ResponseContext<'_>,
        token: u64,
        outcome: Result<ReceivedBytes<'_>, RequestError>,
    ) {
        assert_eq!(outcome.expect("an answer").bytes(), token.to_le_bytes());
        assert_eq!(token, self.next.replace(token + 1));
        if token + 1 == BATCH {
            self.done.send(token).expect("the test waits");
        }
    }
}

#[test]
fn a_batch_that_was_waited_for_is_answered_in_two_sends() {
    let conf = TransportConf {
        spin_us: 1_000_000,
        ..TransportConf::default()
    };
    let spinning = Engine::builder(conf).shards(1).park(ParkMode::Bare).start();
    let spinning = spinning.expect("io_uring works here");
    let served = TransportContext::new(spinning, || Rc::new(Echo::default()));
    let server = served.create_server("127.0.0.1:0".parse().expect("an address"));
    let server = server.expect("a free port");
    let asking = TransportContext::client_only(engine(TransportConf::default()));
    let client = asking.create_client_factory(Vec::new());
    let client = client.create_client_blocking(&server.local_addr().to_string());
    let client = client.expect("the server is there");
    client.send_rpc("hello").wait().expect("an answer");

    // Other programs on the processor may prevent the shard from spinning before a batch.
    let spins = std::thread::available_parallelism().is_ok_and(|cpus| cpus.get() > 1);
    let wanted = if spins { 2 } else { 1 };
    let sends = (0..1000).map(|_| sends_of_a_batch(&served, &asking, &client));
    let found = sends
        .inspect(|sends| assert!((1..=2).contains(sends), "{sends}"))
        .any(|sends| sends == wanted);
    assert!(found, "never {wanted}");
}

/// How many sends the server needs for the answers to a batch.
fn sends_of_a_batch(
    served: &TransportContext,
    asking: &TransportContext,
    client: &TransportClient,
) -> u64 {
    let before = served.engine().metrics();
    let (done, ended) = mpsc::channel();
    let client = client.clone();
    let ask = move |_: &_| {
        let conn = client.here().expect("open");
        let handler = InOrder {
            next: 0.into(),
            done,
        };
        let handler: Rc<dyn ResponseHandler> = Rc::new(handler);
        for token in 0..BATCH {
            let sent = conn.send_rpc_with(&token.to_le_bytes(), None, &handler, token);
            sent.expect("there is room");
        }
    };
    asking.engine().run_on(0, ask).expect("the shard runs");
    let last = ended.recv_timeout(Duration::from_secs(20));
    assert_eq!(last.expect("all are answered"), BATCH - 1);
    let after = served.engine().metrics();
    assert_eq!(after.frames_in - before.frames_in, BATCH);
    after.sends - before.sends
}
