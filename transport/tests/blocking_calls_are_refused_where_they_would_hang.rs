//! Blocking calls work on plain threads. On a shard's thread, and in an asynchronous runtime, they
//! fail at once instead of blocking forever.

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::OnceLock;

use ringrail_transport::client::TransportClientFactory;
use ringrail_transport::{
    Connection, Engine, ParkMode, ReceivedBytes, Responder, RpcHandler, TransportClient,
    TransportConf, TransportContext,
};
use support::serve;

/// The calls under test, by number.
const CALLS: [&str; 8] = [
    "create_client_blocking",
    "create_unmanaged_client_blocking",
    "create_unmanaged_client_on_blocking",
    "RequestFuture::wait",
    "stream_blocking",
    "run_on",
    "drain",
    "create_server",
];

/// Everything that there is to call.
#[derive(Clone)]
struct Tools {
    context: TransportContext,
    clients: TransportClientFactory,
    client: TransportClient,
    addr: String,
}

impl Tools {
    fn new(park: ParkMode, addr: &str) -> Self {
        let engine = Engine::builder(TransportConf::default())
            .shards(1)
            .unpinned()
            .park(park)
            .start()
            .expect("an engine");
        let context = TransportContext::new(engine, || Rc::new(Caller));
        let clients = context.create_client_factory(Vec::new());
        let client = clients.create_client_blocking(addr).expect("a connection");
        let addr = addr.to_owned();
        Self {
            context,
            clients,
            client,
            addr,
        }
    }

    /// Makes one of the calls; what it panicked with, if it did.
    fn call(&self, number: usize) -> Option<String> {
        let run = || match CALLS[number] {
            "create_client_blocking" => drop(self.clients.create_client_blocking(&self.addr)),
            "create_unmanaged_client_blocking" => {
                drop(self.clients.create_unmanaged_client_blocking(&self.addr));
            }
            "create_unmanaged_client_on_blocking" => {
                drop(
                    self.clients
                        .create_unmanaged_client_on_blocking(0, &self.addr),
                );
            }
            "RequestFuture::wait" => drop(self.client.send_rpc("x").wait()),
            "stream_blocking" => drop(self.client.stream_blocking("10", 0)),
            "run_on" => drop(self.context.engine().run_on(0, |_| ())),
            "drain" => drop(self.context.engine().drain()),
            _ => drop(
                self.context
                    .create_server("127.0.0.1:0".parse().expect("an address")),
            ),
        };
        let panic = catch_unwind(AssertUnwindSafe(run)).err()?;
        Some(panic.downcast_ref::<String>().cloned().unwrap_or_else(|| {
            let text = panic.downcast_ref::<&str>();
            text.copied().unwrap_or("(no text)").to_owned()
        }))
    }
}

static TOOLS: OnceLock<Tools> = OnceLock::new();

/// Makes the call that its request names, on its shard.
struct Caller;

impl RpcHandler for Caller {
    fn receive(&self, _: &Connection, body: ReceivedBytes<'_>, reply: Responder<'_>) {
        let panic = TOOLS
            .get()
            .and_then(|tools| tools.call(usize::from(body[0])));
        reply.reply(panic.unwrap_or_default().as_bytes());
    }
}

#[test]
fn on_a_shard_they_name_themselves_and_the_shard() {
    let side = serve(TransportConf::default());
    let addr = side.server.local_addr().to_string();
    let tools = TOOLS.get_or_init(|| Tools::new(ParkMode::Bare, &addr));
    let server = tools
        .context
        .create_server("127.0.0.1:0".parse().expect("an address"));
    let server = server.expect("a free port");
    let asking = side.client().0;
    let caller = asking
        .create_client_factory(Vec::new())
        .create_client_blocking(&server.local_addr().to_string())
        .expect("a connection");
    for (number, name) in CALLS.iter().enumerate() {
        let told = caller.send_rpc(vec![number as u8]).wait().expect("a reply");
        let told = String::from_utf8_lossy(&told);
        assert!(told.contains(name), "{name}: {told:?}");
        assert!(
            told.contains("on the thread of shard 0"),
            "{name}: {told:?}"
        );
    }
}

#[test]
fn in_a_runtime_they_panic_and_its_blocking_threads_may_call_them() {
    let side = serve(TransportConf::default());
    let addr = side.server.local_addr().to_string();
    let tools = Tools::new(ParkMode::Bare, &addr);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        for (number, name) in CALLS.iter().enumerate() {
            let told = tools.call(number);
            let told = told.unwrap_or_else(|| panic!("{name} blocked the runtime"));
            assert!(told.contains("within a runtime"), "{name}: {told}");
        }
        let elsewhere = tools.clone();
        let outcome = tokio::task::spawn_blocking(move || elsewhere.call(0)).await;
        assert_eq!(outcome.expect("it ran"), None);
    });
    assert_eq!(tools.call(3), None, "a plain thread may wait");
}
