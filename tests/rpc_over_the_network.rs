//! Guarantees of the RPC layer over sockets: peers that never answer, die, or send garbage; memory
//! is released afterwards.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use ringrail::codec::native::FailureCode;
use ringrail::conf::Conf;
use ringrail::rpc::{
    DeferredCall, FnEndpoint, Message, Owned, RpcAddress, RpcEndpoint, RpcEnv, RpcError, RpcTimeout,
};
use ringrail::transport::client::ClientBootstrap;
use ringrail::transport::server::{ServerBootstrap, StreamManager};
use ringrail::{
    Connection, Engine, ParkMode, ReceivedBytes, Responder, RpcFailure, RpcHandler,
    TransportClient, TransportConf, TransportContext,
};
use rkyv::{Archive, Deserialize, Serialize};

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Archive, Serialize, Deserialize, Clone)]
struct Echo {
    n: u64,
}

impl Message for Echo {
    type Reply = u64;
    const NAME: &'static str = "net.Echo";
}

#[derive(Archive, Serialize, Deserialize)]
struct Hold {
    bytes: Vec<u8>,
}

impl Message for Hold {
    type Reply = Vec<u8>;
    const NAME: &'static str = "net.Hold";
}

fn engine(park: ParkMode) -> Engine {
    let conf = TransportConf {
        pool_budget: 64 << 20,
        pool_reserve: 16 << 20,
        ..TransportConf::default()
    };
    let builder = Engine::builder(conf).shards(1).unpinned().park(park);
    builder.start().unwrap()
}

fn env(name: &str, engine: &Engine) -> RpcEnv {
    let conf = Conf::new().with("ringrail.rpc.askTimeout", "20s");
    let builder = RpcEnv::builder(name).conf(conf).engine(engine.clone());
    builder.build().unwrap()
}

/// Waits until `condition` holds.
fn eventually(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "never {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn echo(seen: mpsc::Sender<u64>) -> FnEndpoint {
    FnEndpoint::new().on::<Echo>(move |echo, call| {
        let n = echo.take()?.n;
        let _ = seen.send(n);
        call.reply(n);
        Ok(())
    })
}

#[test]
fn asks_that_time_out_before_there_is_a_connection_are_never_sent() {
    let engine = engine(ParkMode::Hosted);
    let (server, asker) = (env("server", &engine), env("asker", &engine));
    let (seen, see) = mpsc::channel();
    server.setup_endpoint("echo", echo(seen)).unwrap();
    // A door that opens late: it takes connections, and passes nothing on until it is told to.
    let door = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = door.local_addr().unwrap().port();
    let (open, wait) = mpsc::channel::<()>();
    let to = server.address().unwrap().to_string();
    std::thread::spawn(move || {
        let (near, _) = door.accept().unwrap();
        wait.recv().unwrap();
        let far = TcpStream::connect(to).unwrap();
        let (mut near_in, mut far_out) = (near.try_clone().unwrap(), far.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut near_in, &mut far_out));
        let (mut near_out, mut far_in) = (near, far);
        let _ = std::io::copy(&mut far_in, &mut near_out);
    });
    let there = asker
        .ref_at(&RpcAddress::new("127.0.0.1", port), "echo")
        .unwrap();
    let short = RpcTimeout::new(Duration::from_millis(50), "short.key");
    let error = there.ask_timeout(Echo { n: 1 }, short).wait().unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("it waited for a connection and was not sent"),
        "{text}"
    );
    assert!(
        text.ends_with("This timeout is controlled by short.key"),
        "{text}"
    );
    let (aborted, handle) = there.ask_abortable(Echo { n: 2 });
    let dropped = there.ask(Echo { n: 3 });
    let waiting = there.ask(Echo { n: 4 });
    handle.abort("no need");
    drop(dropped);
    assert!(matches!(aborted.wait(), Err(RpcError::Aborted { .. })));
    open.send(()).unwrap();
    assert_eq!(waiting.wait().unwrap(), 4);
    assert_eq!(see.try_iter().collect::<Vec<_>>(), [4]);
}

/// Writes down what it hears of connections.
struct Hears(mpsc::Sender<String>);

impl RpcEndpoint for Hears {
    type Messages = ();

    fn on_connected(&mut self, address: &RpcAddress) -> Result<(), RpcError> {
        let _ = self.0.send(format!("connected {address}"));
        Ok(())
    }

    fn on_network_error(&mut self, cause: &RpcError, address: &RpcAddress) -> Result<(), RpcError> {
        let _ = self.0.send(format!("failed {address}: {cause}"));
        Ok(())
    }

    fn on_disconnected(&mut self, address: &RpcAddress) -> Result<(), RpcError> {
        let _ = self.0.send(format!("disconnected {address}"));
        Ok(())
    }
}

#[test]
fn endpoints_hear_why_a_connection_failed_before_they_hear_that_it_ended() {
    let engine = engine(ParkMode::Hosted);
    let (server, asker) = (env("server", &engine), env("asker", &engine));
    let (seen, _see) = mpsc::channel();
    server.setup_endpoint("echo", echo(seen)).unwrap();
    let (hears, heard) = mpsc::channel();
    server.setup_endpoint("hears", Hears(hears)).unwrap();
    // Passes everything on, until it is told to say nonsense to the server.
    let door = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = door.local_addr().unwrap().port();
    let to = server.address().unwrap().to_string();
    let (say, nonsense) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        let (near, _) = door.accept().unwrap();
        let far = TcpStream::connect(to).unwrap();
        let (mut near_in, mut far_out) = (near.try_clone().unwrap(), far.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut near_in, &mut far_out));
        let (mut near_out, mut far_in) = (near, far.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut far_in, &mut near_out));
        nonsense.recv().unwrap();
        (&far).write_all(&[0xff; 256]).unwrap();
    });
    let there = asker
        .ref_at(&RpcAddress::new("127.0.0.1", port), "echo")
        .unwrap();
    assert_eq!(there.ask_blocking(Echo { n: 1 }).unwrap(), 1);
    say.send(()).unwrap();
    // For the socket's address, and for the one that the peer said it listens at.
    let mut lines = Vec::new();
    while lines.len() < 6 {
        lines.push(heard.recv_timeout(PATIENCE).unwrap());
    }
    let own = asker.address().unwrap().to_string();
    let of_own: Vec<_> = lines.iter().filter(|line| line.contains(&own)).collect();
    assert_eq!(*of_own[0], format!("connected {own}"));
    assert!(
        of_own[1].starts_with(&format!("failed {own}: ")),
        "{lines:?}"
    );
    assert!(
        of_own[1].contains("frame"),
        "it says what was wrong: {lines:?}"
    );
    assert_eq!(*of_own[2], format!("disconnected {own}"));
    let count = |start: &str| lines.iter().filter(|line| line.starts_with(start)).count();
    assert_eq!(
        (count("connected"), count("failed"), count("disconnected")),
        (2, 2, 2)
    );
}

#[test]
fn an_ask_that_is_outstanding_when_its_peer_is_killed_fails_with_the_reason() {
    let engine = engine(ParkMode::Hosted);
    let asker = env("asker", &engine);
    let (server, door) = (
        env("server", &engine),
        TcpListener::bind("127.0.0.1:0").unwrap(),
    );
    let (calls, given) = mpsc::channel::<DeferredCall<u64>>();
    let endpoint = FnEndpoint::new().on::<Echo>(move |_, call| {
        calls.send(call.defer()).unwrap();
        Ok(())
    });
    server.setup_endpoint("echo", endpoint).unwrap();
    let port = door.local_addr().unwrap().port();
    let to = server.address().unwrap().to_string();
    let (cut, wait) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        let (near, _) = door.accept().unwrap();
        let far = TcpStream::connect(to).unwrap();
        let (mut near_in, mut far_out) = (near.try_clone().unwrap(), far.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut near_in, &mut far_out));
        let (mut near_out, mut far_in) = (near.try_clone().unwrap(), far.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut far_in, &mut near_out));
        wait.recv().unwrap();
        near.shutdown(std::net::Shutdown::Both).unwrap();
        far.shutdown(std::net::Shutdown::Both).unwrap();
    });
    let there = asker
        .ref_at(&RpcAddress::new("127.0.0.1", port), "echo")
        .unwrap();
    let asks: Vec<_> = (0..50).map(|n| there.ask(Echo { n })).collect();
    let given: Vec<_> = (0..50)
        .map(|_| given.recv_timeout(PATIENCE).unwrap())
        .collect();
    cut.send(()).unwrap();
    for ask in asks {
        let error = ask.wait().unwrap_err();
        assert!(error.is_retryable(), "{error}");
        assert!(error.to_string().contains("clos"), "{error}");
    }
    eventually("told that nobody waits", || {
        given.iter().all(DeferredCall::is_retracted)
    });
}

/// Bytes of pooled memory in use, once that has not changed for a while.
fn settled(engines: &[&Engine]) -> Vec<u64> {
    let used = || -> Vec<u64> {
        let of_one = |engine: &&Engine| {
            // A turn of the shard, so that it tells its count.
            engine.run_on(0, |_| ()).unwrap();
            engine.metrics().pool_bytes_used
        };
        engines.iter().map(of_one).collect()
    };
    let (mut last, mut since) = (used(), Instant::now());
    while since.elapsed() < Duration::from_millis(300) {
        std::thread::sleep(Duration::from_millis(10));
        let now = used();
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    last
}

#[test]
fn every_lease_comes_back_after_success_failure_timeout_abort_and_shutdown() {
    let (of_server, of_asker) = (engine(ParkMode::Bare), engine(ParkMode::Bare));
    // Envs that come and go, so that what shards keep for good is there already.
    for _ in 0..2 {
        let (server, asker) = (env("server", &of_server), env("asker", &of_asker));
        let (seen, _see) = mpsc::channel();
        server.setup_endpoint("echo", echo(seen)).unwrap();
        let there = asker.ref_at(server.address().unwrap(), "echo").unwrap();
        there.ask_blocking(Echo { n: 1 }).unwrap();
    }
    let before = settled(&[&of_server, &of_asker]);
    let (server, asker) = (env("server", &of_server), env("asker", &of_asker));
    let (keep, kept) = mpsc::channel::<(Owned<Hold>, DeferredCall<Vec<u8>>)>();
    let endpoint = FnEndpoint::new().on::<Hold>(move |hold, call| {
        keep.send((hold.keep(), call.defer())).unwrap();
        Ok(())
    });
    server.setup_endpoint("holder", endpoint).unwrap();
    let there = asker.ref_at(server.address().unwrap(), "holder").unwrap();
    let hold = |len: usize| Hold {
        bytes: vec![7; len],
    };
    let next = || kept.recv_timeout(PATIENCE).unwrap();
    for len in [10, 10_000, 300_000, 3_000_000] {
        let ask = there.ask(hold(len)).archived();
        let (message, call) = next();
        call.reply(message.take().unwrap().bytes);
        let reply = ask.wait().unwrap();
        assert_eq!(reply.take().unwrap(), vec![7; len]);
        let ask = there.ask(hold(len));
        let (message, call) = next();
        call.send_failure(RpcError::failure(FailureCode::NotFound, "no"));
        assert_eq!(ask.wait().unwrap_err().code(), FailureCode::NotFound);
        drop(message);
        let timeout = RpcTimeout::new(Duration::from_millis(200), "k");
        let late = there.ask_timeout(hold(len), timeout);
        let (ask, abort) = there.ask_abortable(hold(len));
        let two = [next(), next()];
        abort.abort("enough");
        assert!(ask.wait().is_err() && late.wait().is_err());
        drop(two);
    }
    let unanswered = there.ask(hold(100_000));
    let last = next();
    drop(asker);
    assert!(unanswered.wait().is_err());
    drop(server);
    drop(last);
    let after = settled(&[&of_server, &of_asker]);
    assert_eq!(after, before);
}

#[test]
fn a_peer_that_speaks_something_else_is_refused_and_others_are_served_on() {
    let engine = engine(ParkMode::Bare);
    let (server, asker) = (env("server", &engine), env("asker", &engine));
    let (seen, _see) = mpsc::channel();
    server.setup_endpoint("echo", echo(seen)).unwrap();
    let there = asker.ref_at(server.address().unwrap(), "echo").unwrap();
    assert_eq!(there.ask_blocking(Echo { n: 1 }).unwrap(), 1);
    let mut stray = TcpStream::connect(server.address().unwrap().to_string()).unwrap();
    stray.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = stray.read_to_end(&mut answer);
    // A peer of the transport that is no env: no envelope, no archive, nobody's endpoint.
    let clients = TransportContext::client_only(engine.clone()).create_client_factory(Vec::new());
    let address = server.address().unwrap().to_string();
    let client = clients.create_client_blocking(&address).unwrap();
    for (body, wanted) in [
        (vec![1; 3], "without an envelope"),
        (vec![2; 16], "Could not find"),
        (vec![0xff; 20], "without an envelope"),
    ] {
        let error = client.send_rpc(body).wait().unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
    let mut nonsense = Vec::new();
    let id = |name| ringrail::rpc::EndpointId::of(name).to_wire().to_le_bytes();
    nonsense.extend(id("echo"));
    nonsense.extend(Echo::ID.to_wire().to_le_bytes());
    nonsense.extend([0; 3]);
    let error = client.send_rpc(nonsense).wait().unwrap_err().to_string();
    assert!(
        error.contains("net.Echo") && error.contains("cannot be read"),
        "{error}"
    );
    assert_eq!(there.ask_blocking(Echo { n: 2 }).unwrap(), 2);
}

#[test]
fn envs_may_share_an_engine_and_be_made_inside_a_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let engine = engine(ParkMode::Hosted);
        let (server, asker) = (env("server", &engine), env("asker", &engine));
        let (seen, _see) = mpsc::channel();
        server.setup_endpoint("echo", echo(seen)).unwrap();
        let uri = server.uri_of(server.address().unwrap(), "echo");
        let there = asker.setup_endpoint_ref_by_uri(&uri).await.unwrap();
        assert_eq!(there.ask(Echo { n: 5 }).await.unwrap(), 5);
        drop(server);
        assert!(there.ask(Echo { n: 6 }).await.is_err());
        let again = env("again", &engine);
        assert!(again.address().is_some());
    });
}

#[test]
fn a_busy_port_is_followed_by_the_next_and_an_impossible_host_by_nothing() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    let engine = engine(ParkMode::Bare);
    let builder = |retries: &str| {
        let conf = Conf::new().with("ringrail.port.maxRetries", retries);
        RpcEnv::builder("busy").conf(conf).engine(engine.clone())
    };
    let env = builder("16").port(port).build().unwrap();
    let bound = env.address().unwrap().port();
    assert!(bound != port && bound >= 1024);
    let error = builder("0").port(port).build().unwrap_err().to_string();
    assert!(error.contains("'busy' failed after 0 retries"), "{error}");
    assert!(error.contains("ringrail.port.maxRetries"), "{error}");
    let error = builder("16").bind("192.0.2.1").build().unwrap_err();
    assert!(error.to_string().contains("192.0.2.1"), "{error}");
    // The host that peers are told need not be the one that is listened at.
    let env = builder("16").advertise("localhost").build().unwrap();
    assert_eq!(env.address().unwrap().host(), "localhost");
}

/// Lets nothing of a peer through before it has said the word.
struct Gatekeeper {
    inner: Rc<dyn RpcHandler>,
    known: Cell<bool>,
    early: Arc<AtomicU64>,
}

impl RpcHandler for Gatekeeper {
    fn receive(&self, from: &Connection, body: ReceivedBytes<'_>, reply: Responder<'_>) {
        if self.known.get() {
            self.inner.receive(from, body, reply);
        } else if body.bytes() == b"open sesame" {
            self.known.set(true);
            reply.reply(b"");
        } else {
            let text = "who are you?";
            reply.fail(&RpcFailure::new(FailureCode::Unauthorized, text));
            from.close();
        }
    }

    fn receive_one_way(&self, from: &Connection, body: ReceivedBytes<'_>) {
        if self.known.get() {
            self.inner.receive_one_way(from, body);
        } else {
            self.early.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn stream_manager(&self) -> Option<&dyn StreamManager> {
        self.inner.stream_manager().filter(|_| self.known.get())
    }

    fn channel_active(&self, connection: &Connection) {
        self.inner.channel_active(connection);
    }

    fn channel_inactive(&self, connection: &Connection) {
        self.inner.channel_inactive(connection);
    }
}

/// Both ends of that.
#[derive(Clone, Default)]
struct Word {
    early: Arc<AtomicU64>,
}

impl ServerBootstrap for Word {
    fn bootstrap(&self, _: &Connection, handler: Rc<dyn RpcHandler>) -> Rc<dyn RpcHandler> {
        Rc::new(Gatekeeper {
            inner: handler,
            known: Cell::new(false),
            early: Arc::clone(&self.early),
        })
    }
}

impl ClientBootstrap for Word {
    fn bootstrap<'a>(
        &'a self,
        client: &'a TransportClient,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>> {
        Box::pin(async {
            let said = client.send_rpc("open sesame").await;
            said.map(drop).map_err(|error| error.to_string())
        })
    }
}

#[test]
fn bootstraps_of_both_sides_come_before_everything_else() {
    let word = Word::default();
    let server = RpcEnv::builder("server")
        .server_bootstrap(Arc::new(word.clone()))
        .shards(1)
        .park(ParkMode::Bare)
        .build()
        .unwrap();
    let (seen, see) = mpsc::channel();
    server.setup_endpoint("echo", echo(seen)).unwrap();
    let address = server.address().unwrap();
    let asker = RpcEnv::builder("asker")
        .client_bootstrap(Arc::new(word.clone()))
        .shards(1)
        .build()
        .unwrap();
    let there = asker.ref_at(address, "echo").unwrap();
    assert_eq!(there.ask_blocking(Echo { n: 1 }).unwrap(), 1);
    assert_eq!(
        word.early.load(Ordering::SeqCst),
        0,
        "the greeting comes after"
    );
    let stranger = RpcEnv::builder("stranger").shards(1).build().unwrap();
    let there = stranger.ref_at(address, "echo").unwrap();
    let error = there.ask_blocking(Echo { n: 2 }).unwrap_err();
    assert!(error.to_string().contains("who are you?"), "{error}");
    assert_eq!(see.try_iter().collect::<Vec<_>>(), [1]);
    // A backend without connections of the engine has nothing to bootstrap.
    let local = RpcEnv::builder("local").backend("local");
    let refused = local.server_bootstrap(Arc::new(word)).build();
    assert!(refused.unwrap_err().to_string().contains("bootstraps"));
}

#[test]
fn an_env_that_is_to_have_more_than_one_connection_per_peer_is_refused() {
    let conf = Conf::new().with("ringrail.transport.numConnectionsPerPeer", "2");
    let error = RpcEnv::builder("env").conf(conf).build().unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("ringrail.transport.numConnectionsPerPeer"),
        "{text}"
    );
}
