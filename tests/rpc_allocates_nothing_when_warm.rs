//! After warm-up an ask allocates nothing on the shards, and one from another thread no more than its
//! parcel there.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::mpsc;
use std::time::Duration;

use ringrail::rpc::{
    Any, Failure, FnEndpoint, LocalRef, Message, Received, ReplyContext, ReplyHandler, RpcEndpoint,
    RpcEndpointRef, RpcEnv, RpcError,
};
use ringrail::{Engine, ParkMode, TransportConf};
use rkyv::{Archive, Deserialize, Serialize};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// Counts the allocations of each thread.
struct Counting;

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that is ending is not counted.
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of this thread so far.
fn allocations() -> u64 {
    ALLOCATIONS.with(Cell::get)
}

/// Asks how many allocations the endpoint's thread has made.
#[derive(Archive, Serialize, Deserialize)]
struct Census {
    n: u64,
}

impl Message for Census {
    type Reply = (u64, u64);
    const NAME: &'static str = "warm.Census";
}

/// Asks that come before the count begins, and asks that are counted.
const WARM_UP: u64 = 5_000;
const COUNTED: u64 = 20_000;

/// Asks that are outstanding at a time.
const DEPTH: u64 = 16;

fn census() -> FnEndpoint {
    FnEndpoint::new().on::<Census>(|census, call| {
        let n = census.take()?.n;
        call.reply((n, allocations()));
        Ok(())
    })
}

fn engine() -> Engine {
    let builder = Engine::builder(TransportConf::default()).shards(1);
    builder.unpinned().park(ParkMode::Bare).start().unwrap()
}

fn env(name: &str, engine: &Engine) -> RpcEnv {
    let builder = RpcEnv::builder(name).engine(engine.clone());
    builder.build().unwrap()
}

type Handler = Rc<dyn ReplyHandler<(u64, u64)>>;

/// Asks on and on, on its own thread.
struct Asker {
    to: LocalRef<Any>,
    started: Cell<u64>,
    over: Cell<u64>,
    /// Allocations here and there when the count began.
    before: Cell<(u64, u64)>,
    done: RefCell<Option<mpsc::Sender<(u64, u64)>>>,
    this: Weak<Asker>,
    handler: RefCell<Option<Handler>>,
}

impl Asker {
    fn start(to: LocalRef<Any>, done: mpsc::Sender<(u64, u64)>) -> Rc<Self> {
        let asker = Rc::new_cyclic(|this| Asker {
            to,
            started: Cell::new(0),
            over: Cell::new(0),
            before: Cell::new((0, 0)),
            done: RefCell::new(Some(done)),
            this: this.clone(),
            handler: RefCell::new(None),
        });
        let handler = asker.this.upgrade().unwrap() as Rc<dyn ReplyHandler<_>>;
        *asker.handler.borrow_mut() = Some(handler);
        for _ in 0..DEPTH {
            asker.ask();
        }
        asker
    }

    fn ask(&self) {
        let n = self.started.get();
        if n == WARM_UP + COUNTED {
            return;
        }
        self.started.set(n + 1);
        let handler = self.handler.borrow().clone().unwrap();
        self.to.ask_with(Census { n }, &handler, n).unwrap();
    }
}

impl ReplyHandler<(u64, u64)> for Asker {
    fn on_reply(
        &self,
        _: ReplyContext<'_, (u64, u64)>,
        token: u64,
        outcome: Result<Received<'_, (u64, u64)>, RpcError>,
    ) {
        let (n, there) = outcome.unwrap().take().unwrap();
        assert_eq!(n, token);
        let over = self.over.get() + 1;
        self.over.set(over);
        if over == WARM_UP {
            self.before.set((allocations(), there));
        } else if over == WARM_UP + COUNTED {
            let (here_before, there_before) = self.before.get();
            let counts = (allocations() - here_before, there - there_before);
            self.done.take().unwrap().send(counts).unwrap();
            *self.handler.borrow_mut() = None;
        }
        self.ask();
    }
}

/// Asks from the thread of the only shard of `engine`; allocations there and at the endpoint.
fn ask_on_shard(engine: &Engine, to: &RpcEndpointRef) -> (u64, u64) {
    let (done, counts) = mpsc::channel();
    let to = to.clone();
    engine
        .run_on(0, move |_| {
            let to = to.as_local().expect("it is asked on its own thread");
            // Lives as long as it has replies to come.
            Asker::start(to, done);
        })
        .unwrap();
    counts.recv_timeout(Duration::from_secs(60)).unwrap()
}

#[test]
fn asks_on_a_shard_allocate_nothing_local_or_remote() {
    let (of_server, of_asker) = (engine(), engine());
    let (server, asker) = (env("server", &of_server), env("asker", &of_asker));
    server.setup_endpoint("census", census()).unwrap();
    let local = asker.setup_endpoint("census", census()).unwrap().any();
    local.ask_blocking(Census { n: 0 }).unwrap();
    assert_eq!(ask_on_shard(&of_asker, &local), (0, 0), "within the shard");
    let there = asker.ref_at(server.address().unwrap(), "census").unwrap();
    there.ask_blocking(Census { n: 0 }).unwrap();
    assert_eq!(ask_on_shard(&of_asker, &there), (0, 0), "over the network");
}

/// Returns its replies.
struct Returns;

impl RpcEndpoint for Returns {
    type Messages = (Census,);
}

impl ringrail::rpc::Handler<Census> for Returns {
    fn handle(&mut self, census: Received<'_, Census>) -> Result<(u64, u64), Failure> {
        Ok((census.take()?.n, allocations()))
    }
}

/// The same by an interface: the trait's message is the census.
#[ringrail::interface]
trait Counted {
    #[message(name = "warm.Counted")]
    fn census(&self, n: u64) -> Result<(u64, u64), Failure>;
}

struct Implements;

impl RpcEndpoint for Implements {
    type Messages = CountedMessages;
}

impl Counted for Implements {
    fn census(&self, n: u64) -> Result<(u64, u64), Failure> {
        Ok((n, allocations()))
    }
}

#[test]
fn handlers_that_return_allocate_nothing() {
    let (of_server, of_asker) = (engine(), engine());
    let (server, asker) = (env("server", &of_server), env("asker", &of_asker));
    server.setup_endpoint("census", Returns).unwrap();
    let local = asker.setup_endpoint("census", Returns).unwrap().any();
    local.ask_blocking(Census { n: 0 }).unwrap();
    assert_eq!(ask_on_shard(&of_asker, &local), (0, 0), "within the shard");
    let there = asker.ref_at(server.address().unwrap(), "census").unwrap();
    there.ask_blocking(Census { n: 0 }).unwrap();
    assert_eq!(ask_on_shard(&of_asker, &there), (0, 0), "over the network");
}

/// Returns its replies by futures, which have nothing to wait for.
struct ByFuture;

impl RpcEndpoint for ByFuture {
    type Messages = (ringrail::rpc::Async<Census>,);
}

impl ringrail::rpc::HandlerAsync<Census> for ByFuture {
    async fn handle(
        &mut self,
        census: ringrail::rpc::Owned<Census>,
    ) -> Result<(u64, u64), Failure> {
        Ok((census.take()?.n, allocations()))
    }
}

#[test]
fn futures_of_handlers_that_need_not_wait_allocate_nothing() {
    let (of_server, of_asker) = (engine(), engine());
    let (server, asker) = (env("server", &of_server), env("asker", &of_asker));
    server.setup_endpoint("census", ByFuture).unwrap();
    let local = asker.setup_endpoint("census", ByFuture).unwrap().any();
    local.ask_blocking(Census { n: 0 }).unwrap();
    assert_eq!(ask_on_shard(&of_asker, &local), (0, 0), "within the shard");
    let there = asker.ref_at(server.address().unwrap(), "census").unwrap();
    there.ask_blocking(Census { n: 0 }).unwrap();
    assert_eq!(ask_on_shard(&of_asker, &there), (0, 0), "over the network");
}

#[test]
fn a_typed_client_allocates_what_its_ref_does() {
    let (of_server, of_asker) = (engine(), engine());
    let (server, asker) = (env("server", &of_server), env("asker", &of_asker));
    server.setup_endpoint("counted", Implements).unwrap();
    let uri = format!("rail://counted@{}", server.address().unwrap());
    let counted = CountedClient::connect_blocking(&asker, &uri).unwrap();
    let ask = |n| counted.census(n).wait().unwrap().1;
    for n in 0..WARM_UP {
        ask(n);
    }
    let (here, there) = (allocations(), ask(0));
    for n in 0..1000 {
        ask(n);
    }
    let here = allocations() - here;
    let there = ask(0) - there;
    assert!(here <= 1002 + 16, "{here} for 1,000 asks");
    assert!(there <= 16, "{there} at the endpoint");
}

#[test]
fn an_ask_from_another_thread_allocates_its_parcel_and_nothing_on_the_shards() {
    let (of_server, of_asker) = (engine(), engine());
    let (server, asker) = (env("server", &of_server), env("asker", &of_asker));
    server.setup_endpoint("census", census()).unwrap();
    let local = asker.setup_endpoint("census", census()).unwrap().any();
    let remote = asker.ref_at(server.address().unwrap(), "census").unwrap();
    let of_shard = |_: ()| of_asker.run_on(0, |_| allocations()).unwrap();
    for (to, what) in [(local, "of the same env"), (remote, "over the network")] {
        let ask = |n| to.ask_blocking(Census { n }).unwrap().1;
        for n in 0..WARM_UP {
            ask(n);
        }
        of_shard(());
        let (here, there, shard) = (allocations(), ask(0), of_shard(()));
        for n in 0..1000 {
            ask(n);
        }
        let (here, shard) = (allocations() - here, of_shard(()) - shard);
        let there = ask(0) - there;
        // The request for the shard's count allocates too; its allocations are not the asks'.
        assert!(here <= 1002 + 16, "{what}: {here} for 1,000 asks");
        assert!(shard <= 16, "{what}: {shard} on the asking shard");
        assert!(there <= 16, "{what}: {there} at the endpoint");
    }
}
