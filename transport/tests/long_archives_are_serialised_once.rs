//! Archives too long for the send buffer: serialised once, copied as little as can be, and refused
//! with a reason where there is no memory for them.
//!
//! A program of its own: the serialisations of the process are counted.

mod support;

use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use ringrail_codec::native::FailureCode;
use ringrail_transport::{
    Connection, ReceivedBytes, Reply, RequestError, Responder, ResponseContext, ResponseHandler,
    RpcHandler, TransportClient, TransportConf, TransportContext, TransportServer,
};
use rkyv::rancor::{Fallible, Source, fail};
use rkyv::with::{ArchiveWith, SerializeWith};
use rkyv::{Archive, Place, Serialize};
use support::engine;

static SERIALISATIONS: AtomicU64 = AtomicU64::new(0);

/// Serialises a field as it is; counts, and refuses an empty one.
struct Counted;

impl ArchiveWith<Vec<String>> for Counted {
    type Archived = <Vec<String> as Archive>::Archived;
    type Resolver = <Vec<String> as Archive>::Resolver;

    fn resolve_with(field: &Vec<String>, resolver: Self::Resolver, out: Place<Self::Archived>) {
        field.resolve(resolver, out);
    }
}

#[derive(Debug, thiserror::Error)]
#[error("there is nothing to say")]
struct Nothing;

impl<S> SerializeWith<Vec<String>, S> for Counted
where
    S: Fallible<Error: Source> + ?Sized,
    Vec<String>: Serialize<S>,
{
    fn serialize_with(field: &Vec<String>, serializer: &mut S) -> Result<Self::Resolver, S::Error> {
        SERIALISATIONS.fetch_add(1, Ordering::Relaxed);
        if field.is_empty() {
            fail!(Nothing);
        }
        field.serialize(serializer)
    }
}

#[derive(Archive, Serialize)]
struct Lines {
    #[rkyv(with = Counted)]
    lines: Vec<String>,
}

/// So many lines of 56 bytes: an archive of 64 bytes each, which is written in small pieces.
fn lines(count: usize) -> Lines {
    let lines = (0..count).map(|n| format!("{n:056}")).collect();
    Lines { lines }
}

fn check(body: ReceivedBytes<'_>, count: usize) {
    let lines = body.access::<Lines>().expect("an archive");
    assert_eq!(lines.lines.len(), count);
    for (n, line) in lines.lines.iter().enumerate() {
        assert_eq!(line.as_str(), format!("{n:056}"));
    }
}

/// Is asked for a number of lines and answers with them; or is sent lines and answers how many.
struct Lister;

impl RpcHandler for Lister {
    fn receive(&self, _: &Connection, body: ReceivedBytes<'_>, reply: Responder<'_>) {
        if body.bytes().len() == size_of::<u64>() {
            let count = body.access::<u64>().expect("a number").to_native();
            return reply.reply_archive(&lines(count as usize));
        }
        let count = body.access::<Lines>().expect("lines").lines.len();
        check(body, count);
        reply.reply_archive(&(count as u64));
    }
}

struct Sides {
    served: TransportContext,
    _server: TransportServer,
    asking: TransportContext,
    client: TransportClient,
}

fn sides(served: TransportConf, asking: TransportConf) -> Sides {
    let served = TransportContext::new(engine(served), || Rc::new(Lister));
    let server = served.create_server("127.0.0.1:0".parse().expect("an address"));
    let server = server.expect("a free port");
    let asking = TransportContext::client_only(engine(asking));
    let clients = asking.create_client_factory(Vec::new());
    let client = clients.create_client_blocking(&server.local_addr().to_string());
    let client = client.expect("the server is there");
    let _server = server;
    Sides {
        served,
        _server,
        asking,
        client,
    }
}

/// 3 MiB for everything, of which 2 are for bodies and the half MiB of receive buffers.
fn narrow() -> TransportConf {
    TransportConf {
        recv_buffers: 8,
        recv_buffer_len: 64 << 10,
        pool_budget: 3 << 20,
        pool_reserve: 1 << 20,
        ..TransportConf::default()
    }
}

struct Hand(mpsc::Sender<Result<u64, RequestError>>);

impl ResponseHandler for Hand {
    fn on_response(
        &self,
        _: &ResponseContext<'_>,
        _: u64,
        outcome: Result<ReceivedBytes<'_>, RequestError>,
    ) {
        let count = outcome.map(|body| body.access::<u64>().expect("a number").to_native());
        self.0.send(count).expect("the test waits");
    }
}

impl Sides {
    fn ask_for(&self, count: usize) -> Result<Reply, RequestError> {
        self.client.send_archive(&(count as u64), None).wait()
    }

    /// Sends lines from the shard, so that they are serialised for their connection.
    fn tell(&self, count: usize) -> Result<u64, RequestError> {
        let (hand, outcome) = mpsc::channel();
        let client = self.client.clone();
        let send = move |_: &_| {
            let conn = client.here().expect("open");
            let refused = hand.clone();
            let hand: Rc<dyn ResponseHandler> = Rc::new(Hand(hand));
            if let Err(error) = conn.send_archive_with(&lines(count), None, &hand, 0) {
                refused.send(Err(error)).expect("the test waits");
            }
        };
        self.asking
            .engine()
            .run_on(0, send)
            .expect("the shard runs");
        outcome.recv().expect("an outcome")
    }

    /// The cost of `work`'s requests and answers: serialisations, then copies and copied bytes on
    /// this side and on the peer's.
    fn cost(&self, work: impl FnOnce()) -> (u64, [u64; 2], [u64; 2]) {
        let copies = |context: &TransportContext| {
            let metrics = context.engine().metrics();
            [metrics.copies_grown, metrics.copies_grown_bytes]
        };
        let before = (copies(&self.asking), copies(&self.served));
        let serialised = SERIALISATIONS.load(Ordering::Relaxed);
        work();
        let serialised = SERIALISATIONS.load(Ordering::Relaxed) - serialised;
        let after = (copies(&self.asking), copies(&self.served));
        let less = |a: [u64; 2], b: [u64; 2]| [a[0] - b[0], a[1] - b[1]];
        (serialised, less(after.0, before.0), less(after.1, before.1))
    }
}

#[test]
fn long_archives_are_serialised_once_and_refused_where_they_do_not_fit() {
    // One after the other: what is counted is counted for the process.
    short_ones_are_not_copied();
    long_ones_are_copied_as_they_grow_and_then_only_as_far_as_they_were_begun();
    one_that_will_never_fit_is_refused_for_ever();
    one_for_which_there_is_no_second_place_is_serialised_again();
    a_value_that_refuses_says_why();
}

fn short_ones_are_not_copied() {
    let sides = sides(TransportConf::default(), TransportConf::default());
    let cost = sides.cost(|| {
        assert_eq!(sides.tell(20).expect("an answer"), 20);
        check_reply(&sides.ask_for(20).expect("an answer"), 20);
    });
    assert_eq!(cost, (2, [0, 0], [0, 0]));
}

fn check_reply(reply: &Reply, count: usize) {
    assert_eq!(reply.access::<Lines>().expect("lines").lines.len(), count);
}

fn long_ones_are_copied_as_they_grow_and_then_only_as_far_as_they_were_begun() {
    let sides = sides(TransportConf::default(), TransportConf::default());
    let inline = TransportConf::default().inline_max as u64;
    // 1,000 lines have 56,000 bytes, and as many ends of 8 bytes behind them.
    let told = sides.cost(|| assert_eq!(sides.tell(1000).expect("an answer"), 1000));
    let (serialised, [copies, bytes], there) = told;
    assert_eq!((serialised, there), (1, [0, 0]));
    // Begun in 4 KiB, gone on in 8, 16, 32 and 64.
    assert!(
        copies == 4 && bytes <= (4 + 8 + 16 + 32) << 10,
        "{copies} {bytes}"
    );
    for _ in 0..3 {
        let (serialised, [copies, bytes], _) =
            sides.cost(|| assert_eq!(sides.tell(1000).expect("an answer"), 1000));
        assert_eq!((serialised, copies), (1, 1), "its length is known");
        assert!(bytes <= inline, "{bytes}");
    }
    sides.ask_for(1000).expect("an answer");
    let (serialised, here, [copies, bytes]) =
        sides.cost(|| check_reply(&sides.ask_for(1000).expect("an answer"), 1000));
    assert_eq!((serialised, here, copies), (1, [0, 0], 1));
    assert!(bytes <= inline, "{bytes}");
}

fn one_that_will_never_fit_is_refused_for_ever() {
    let sides = sides(narrow(), narrow());
    let error = sides.tell(40_000).expect_err("2.5 MB do not fit");
    let RequestError::NoRoom { len, limit, key } = &error else {
        panic!("{error:?}");
    };
    assert_eq!((*limit, *key), (2 << 20, "ringrail.transport.poolBudget"));
    assert!((40_000 * 64..40_100 * 64).contains(len), "{len}");
    assert!(!error.is_retryable());
    let error = sides.ask_for(40_000).expect_err("nor there");
    assert_eq!(failure_code(&error), FailureCode::TooLarge);
    assert!(error.to_string().contains("poolBudget"), "{error}");
    assert!(!error.is_retryable());
    // And nothing is left behind by it.
    for _ in 0..5 {
        assert_eq!(sides.tell(2000).expect("an answer"), 2000);
        check_reply(&sides.ask_for(2000).expect("an answer"), 2000);
    }
}

fn failure_code(error: &RequestError) -> FailureCode {
    match error {
        RequestError::Remote { failure, .. } => failure.code(),
        other => panic!("{other:?}"),
    }
}

fn one_for_which_there_is_no_second_place_is_serialised_again() {
    let sides = sides(narrow(), narrow());
    // 1.28 MB: what it has grown to and the next do not fit beside one another, the whole does alone.
    let (serialised, ..) = sides.cost(|| {
        assert_eq!(sides.tell(20_000).expect("an answer"), 20_000);
    });
    assert_eq!(serialised, 2);
}

fn a_value_that_refuses_says_why() {
    let sides = sides(TransportConf::default(), TransportConf::default());
    let error = sides.tell(0).expect_err("refused");
    assert!(
        matches!(error, RequestError::Unserialisable { .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("nothing to say"), "{error}");
    assert!(!error.is_retryable());
    let error = sides.client.send_archive(&lines(0), None).wait();
    let error = error.expect_err("refused from a thread as well");
    assert!(error.to_string().contains("nothing to say"), "{error}");
    let error = sides.ask_for(0).expect_err("refused");
    assert_eq!(failure_code(&error), FailureCode::Internal);
    assert!(error.to_string().contains("nothing to say"), "{error}");
    assert_eq!(sides.tell(3).expect("the connection goes on"), 3);
}
