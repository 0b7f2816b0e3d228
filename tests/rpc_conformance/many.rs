//! Many asks, repeated asks, asks on the endpoint's own thread; the endpoint that lists the others.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ringrail::conf::Conf;
use ringrail::rpc::{
    Async, EndpointContext, FnEndpoint, Handle, HandleAsync, HeldCall, INSPECTOR_NAME, Inspect,
    LocalRef, Owned, Ping, Received, ReplyContext, ReplyHandler, RpcCallContext, RpcEndpoint,
    RpcEndpointRef, RpcError, ask_all,
};

use crate::actors::{Echo, message};
use crate::ground::{Backend, Journal};

/// Threads of this process.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

pub(crate) fn ten_thousand_endpoints_are_asked_with_a_bound_and_no_thread_per_ask(
    backend: Backend,
) {
    const ENDPOINTS: u64 = 10_000;
    let (server, asker) = backend.pair();
    let (outstanding, most) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let workers: Vec<_> = (0..ENDPOINTS)
        .map(|at| {
            let outstanding = Arc::clone(&outstanding);
            let worker = FnEndpoint::new().on::<Echo>(move |echo, call| {
                outstanding.fetch_sub(1, Ordering::SeqCst);
                call.reply(echo.take()?.n + at);
                Ok(())
            });
            server
                .setup_endpoint(&format!("worker{at}"), worker)
                .unwrap()
        })
        .collect();
    let address = server.address().unwrap();
    let remote: Vec<_> = (0..ENDPOINTS)
        .map(|at| asker.ref_at(address, &format!("worker{at}")).unwrap())
        .collect();
    let local: Vec<_> = workers.iter().map(RpcEndpointRef::any).collect();
    for refs in [local, remote] {
        let before = threads();
        let asks = refs.iter().zip(0..).map(|(to, n)| {
            let now = outstanding.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(now, Ordering::SeqCst);
            to.ask(Echo { n })
        });
        let replies = ask_all(asks, 100).wait().unwrap();
        assert_eq!(replies.len(), ENDPOINTS as usize);
        for (at, reply) in replies.into_iter().enumerate() {
            assert_eq!(reply.unwrap(), 2 * at as u64);
        }
        assert!(most.load(Ordering::SeqCst) <= 100);
        // Other tests start threads of their own meanwhile, but not thousands.
        assert!(threads() < before + 1000);
    }
}

message! { #[derive(Clone)] Count { } -> u64, "test.Count" }

pub(crate) fn a_repeated_request_is_handled_once_while_its_reply_is_remembered(backend: Backend) {
    let conf = Conf::new()
        .with("ringrail.rpc.askTimeout", "100ms")
        .with("ringrail.rpc.retry.wait", "10ms")
        .with("ringrail.rpc.numRetries", "200");
    let server = backend.env("server");
    let asker = backend.builder_with("asker", conf).build().unwrap();
    let handled = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&handled);
    let endpoint = FnEndpoint::new().on::<Count>(move |_, call| {
        let n = count.fetch_add(1, Ordering::SeqCst) + 1;
        let call = call.defer();
        // The first attempts time out: as if their replies were lost.
        std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(350));
            call.reply(n);
        });
        Ok(())
    });
    server.setup_endpoint("counter", endpoint).unwrap();
    let there = asker.ref_at(server.address().unwrap(), "counter").unwrap();
    assert_eq!(there.ask_with_retry_blocking(Count {}).unwrap(), 1);
    assert_eq!(
        handled.load(Ordering::SeqCst),
        1,
        "repetitions found it running, or done"
    );
    // Another request is another request.
    assert_eq!(there.ask_with_retry_blocking(Count {}).unwrap(), 2);
}

pub(crate) fn attempts_end_and_the_error_names_message_and_last_cause(backend: Backend) {
    let conf = Conf::new()
        .with("ringrail.rpc.retry.wait", "1ms")
        .with("spark.rpc.numRetries", "3");
    let server = backend
        .builder_with("server", conf.clone())
        .build()
        .unwrap();
    let asker = backend.builder_with("asker", conf).build().unwrap();
    let attempts = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&attempts);
    let endpoint = FnEndpoint::new().on::<Count>(move |_, _| {
        let n = count.fetch_add(1, Ordering::SeqCst) + 1;
        Err(RpcError::other(format!("failure {n}")))
    });
    let here = server.setup_endpoint("failing", endpoint).unwrap();
    let there = asker.ref_at(server.address().unwrap(), "failing").unwrap();
    for (to, first) in [(here.any(), 1), (there, 4)] {
        let error = to.ask_with_retry_blocking(Count {}).unwrap_err();
        assert_eq!(
            attempts.load(Ordering::SeqCst),
            first + 2,
            "what failed is handled anew"
        );
        let text = error.to_string();
        let begin = "Error sending message [message = test.Count] in 3 attempts";
        assert!(text.starts_with(begin), "{text}");
        assert!(text.contains(&format!("failure {}", first + 2)), "{text}");
    }
}

message! { Begin { to: RpcEndpointRef } -> u64, "test.Begin" }
message! { BeginAsync { to: RpcEndpointRef } -> u64, "test.BeginAsync" }

/// Asks on its own thread, by callbacks and by a future, itself and others.
struct Chain {
    replies: Option<Rc<Chained>>,
    me: Option<RpcEndpointRef<Chain>>,
}

impl RpcEndpoint for Chain {
    type Messages = (Begin, Async<BeginAsync>, Echo);

    fn on_start(&mut self, me: &EndpointContext<Self>) -> Result<(), RpcError> {
        self.me = Some(me.self_ref());
        Ok(())
    }
}

impl Handle<Echo> for Chain {
    fn handle(
        &mut self,
        echo: Received<'_, Echo>,
        call: RpcCallContext<'_, u64>,
    ) -> Result<(), RpcError> {
        call.reply(echo.take()?.n);
        Ok(())
    }
}

/// Asks on until it has had enough, then answers the call that began it.
struct Chained {
    to: LocalRef<ringrail::rpc::Any>,
    call: RefCell<Option<HeldCall<u64>>>,
    sum: Cell<u64>,
}

impl ReplyHandler<u64> for Chained {
    fn on_reply(
        &self,
        context: ReplyContext<'_, u64>,
        token: u64,
        outcome: Result<Received<'_, u64>, RpcError>,
    ) {
        let n = outcome.unwrap().take().unwrap();
        assert_eq!(n, token);
        self.sum.set(self.sum.get() + n);
        if n < 1000 {
            context.ask(&self.to, Echo { n: n + 1 }, n + 1).unwrap();
        } else if let Some(call) = self.call.take() {
            call.reply(self.sum.get());
        }
    }
}

impl Handle<Begin> for Chain {
    fn handle(
        &mut self,
        begin: Received<'_, Begin>,
        call: RpcCallContext<'_, u64>,
    ) -> Result<(), RpcError> {
        let to = begin.take()?.to;
        let Some(to) = to.as_local() else {
            call.reply(0);
            return Ok(());
        };
        let chained = Rc::new(Chained {
            to,
            call: RefCell::new(Some(call.hold())),
            sum: Cell::new(0),
        });
        let handler = Rc::clone(&chained) as Rc<dyn ReplyHandler<u64>>;
        chained.to.ask_with(Echo { n: 1 }, &handler, 1)?;
        self.replies = Some(chained);
        Ok(())
    }
}

impl HandleAsync<BeginAsync> for Chain {
    async fn handle(
        &mut self,
        begin: Owned<BeginAsync>,
        call: HeldCall<u64>,
    ) -> Result<(), RpcError> {
        let mut sum = 0;
        if let Some(to) = begin.take()?.to.as_local() {
            for n in 1..=1000 {
                sum += to.ask(Echo { n }).await?;
            }
        }
        call.reply(sum);
        Ok(())
    }
}

pub(crate) fn local_refs_answer_callbacks_and_futures_on_their_thread(backend: Backend) {
    let env = backend.env("env");
    let on_0 = ringrail::rpc::EndpointOptions::on_shard(0);
    let make = || Chain {
        replies: None,
        me: None,
    };
    let chain = env.setup_endpoint_with("chain", on_0, make).unwrap();
    let echo = env
        .setup_endpoint_with("echo", on_0, crate::actors::echo)
        .unwrap();
    assert!(echo.as_local().is_none(), "not on this thread");
    let sum = 1000 * 1001 / 2;
    // Another endpoint, and, by callbacks, itself: queued behind the handler that asks.
    for to in [echo.any(), chain.any()] {
        assert_eq!(chain.ask_blocking(Begin { to }).unwrap(), sum);
    }
    let to = echo.any();
    assert_eq!(chain.ask_blocking(BeginAsync { to }).unwrap(), sum);
    // A peer's endpoint is asked here where the connection to it lives here.
    let server = backend.env("server");
    server
        .setup_endpoint("echo", crate::actors::echo())
        .unwrap();
    let remote = env.ref_at(server.address().unwrap(), "echo").unwrap();
    assert_eq!(remote.ask_blocking(Echo { n: 3 }).unwrap(), 3);
    let on_1 = ringrail::rpc::EndpointOptions::on_shard(1);
    let other = env.setup_endpoint_with("other", on_1, make).unwrap();
    let sums: Vec<u64> = [&chain, &other]
        .map(|chain| {
            let to = remote.clone();
            chain.ask_blocking(Begin { to }).unwrap()
        })
        .to_vec();
    let mut sums = sums;
    sums.sort_unstable();
    assert_eq!(sums, [0, sum], "on one of two threads");
}

pub(crate) fn every_env_tells_what_it_has(backend: Backend) {
    let (server, asker) = backend.pair();
    let journal = Journal::default();
    let recorder = crate::actors::Recorder::new(&journal);
    let here = server.setup_endpoint("recorder", recorder).unwrap();
    for n in 0..7 {
        here.ask_blocking(Echo { n }).unwrap();
    }
    let text = String::from("x");
    here.ask_blocking(crate::actors::Fail { text }).unwrap_err();
    let address = server.address().unwrap();
    let inspector = asker.setup_endpoint_ref_blocking(address, INSPECTOR_NAME);
    let inspector = inspector.unwrap();
    let report = inspector.ask_blocking(Inspect).unwrap();
    assert_eq!((report.name.as_str(), report.shards), ("server", 2));
    let recorder = report.endpoints.iter().find(|one| one.name == "recorder");
    let recorder = recorder.unwrap();
    assert_eq!((recorder.handled, recorder.failed), (8, 1));
    let payload = vec![7; 1000];
    let ping = Ping {
        payload: payload.clone(),
    };
    assert_eq!(inspector.ask_blocking(ping).unwrap(), payload);
}
