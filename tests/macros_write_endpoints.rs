//! Endpoints, messages and clients that macros write work over sockets and within a process.

use std::collections::HashMap;
use std::io;
use std::sync::mpsc;
use std::time::Duration;

use ringrail::conf::Conf;
use ringrail::rkyv;
use ringrail::rpc::{
    Async, Failure, FailureCode, FnEndpoint, Handler, HandlerAsync, Lane, Message, Owned, Received,
    RpcEndpoint, RpcEnv, RpcEnvBuilder, RpcError, Schema, message_schema,
};

const BACKENDS: [&str; 2] = ["local", "ring"];

fn builder(backend: &str, name: &str) -> RpcEnvBuilder {
    let conf = Conf::new()
        .with("ringrail.rpc.askTimeout", "20s")
        .with("ringrail.transport.poolBudget", "64m")
        .with("ringrail.transport.poolReserve", "16m")
        // An endpoint that never answers does not end either.
        .with("ringrail.transport.drainTimeout", "100ms");
    RpcEnv::builder(name).conf(conf).shards(1).backend(backend)
}

/// An env that listens, and one that asks it.
fn pair(backend: &str) -> (RpcEnv, RpcEnv) {
    let server = builder(backend, "server").build().unwrap();
    let asker = builder(backend, "asker").client_mode().build().unwrap();
    (server, asker)
}

fn uri(env: &RpcEnv, name: &str) -> String {
    env.uri_of(env.address().unwrap(), name)
}

#[ringrail::payload]
#[derive(Clone, Debug, PartialEq)]
struct Item {
    name: String,
    price: u64,
}

#[ringrail::interface]
trait Shop {
    /// Puts an item in, and returns how many there are.
    fn put(&mut self, item: Item) -> Result<u64, Failure>;
    fn count(&self) -> u64;
    /// The price of all, looked up without a copy of the name.
    async fn price(&self, name: String) -> Result<u64, Failure>;
    fn open(&self, path: String) -> io::Result<Vec<u8>>;
    async fn never(&mut self);
    #[message(one_way)]
    fn clear(&mut self);
    #[message(name = "shop/beat", lane = liveness)]
    fn beat(&self) -> bool;
}

#[derive(Default)]
struct Store {
    items: Vec<Item>,
}

impl RpcEndpoint for Store {
    type Messages = ShopMessages;
}

impl Shop for Store {
    fn put(&mut self, item: Item) -> Result<u64, Failure> {
        if item.price == 0 {
            return Err(Failure::new(
                FailureCode::InvalidArgument,
                "nothing is free",
            ));
        }
        self.items.push(item);
        Ok(self.items.len() as u64)
    }

    fn count(&self) -> u64 {
        self.items.len() as u64
    }

    async fn price(&self, name: String) -> Result<u64, Failure> {
        let found = self.items.iter().find(|item| item.name == name);
        let found = found.ok_or_else(|| Failure::new(FailureCode::NotFound, "no such item"))?;
        Ok(found.price)
    }

    fn open(&self, path: String) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    async fn never(&mut self) {
        std::future::pending::<()>().await;
    }

    fn clear(&mut self) {
        self.items.clear();
    }

    fn beat(&self) -> bool {
        true
    }
}

fn item(name: &str, price: u64) -> Item {
    let name = name.to_owned();
    Item { name, price }
}

#[test]
fn an_interface_is_asked_from_threads() {
    for backend in BACKENDS {
        let (server, asker) = pair(backend);
        let here = server.setup_endpoint("shop", Store::default()).unwrap();
        let here = ShopClient::new(&here);
        let there = ShopClient::connect_blocking(&asker, &uri(&server, "shop")).unwrap();
        assert_eq!(here.put(item("tea", 3)).wait().unwrap(), 1);
        assert_eq!(there.put(item("jam", 4)).wait().unwrap(), 2);
        assert_eq!(there.count().wait().unwrap(), 2);
        for shop in [&here, &there] {
            assert_eq!(shop.price("jam".into()).wait().unwrap(), 4);
            assert!(shop.beat().wait().unwrap());
        }
        there.clear().unwrap();
        assert_eq!(there.count().wait().unwrap(), 0);
    }
}

#[test]
fn failures_keep_kind_and_text() {
    for backend in BACKENDS {
        let (server, asker) = pair(backend);
        let here = server.setup_endpoint("shop", Store::default()).unwrap();
        let there = ShopClient::connect_blocking(&asker, &uri(&server, "shop")).unwrap();
        for shop in [ShopClient::new(&here), there] {
            let failed = |error: RpcError, code, text: &str| {
                assert_eq!(error.code(), code, "{error}");
                assert!(error.to_string().contains(text), "{error}");
            };
            let refused = shop.put(item("tea", 0)).wait().unwrap_err();
            failed(refused, FailureCode::InvalidArgument, "nothing is free");
            let missing = shop.price("ham".into()).wait().unwrap_err();
            failed(missing, FailureCode::NotFound, "no such item");
            // An error of another crate, by the interface's own result type.
            let missing = shop.open("/nowhere/at/all".into()).wait().unwrap_err();
            failed(missing, FailureCode::NotFound, "No such file");
        }
    }
}

#[test]
fn a_client_has_a_time_of_its_own() {
    for backend in BACKENDS {
        let (server, asker) = pair(backend);
        server.setup_endpoint("shop", Store::default()).unwrap();
        let shop = ShopClient::connect_blocking(&asker, &uri(&server, "shop")).unwrap();
        let hasty = shop.with_timeout(Duration::from_millis(20));
        let error = hasty.never().wait().unwrap_err();
        assert_eq!(error.code(), FailureCode::DeadlineExceeded);
        let text = error.to_string();
        assert!(text.contains("20 milliseconds"), "{text}");
        assert!(text.ends_with("ShopClient::with_timeout"), "{text}");
    }
}

#[test]
fn an_interface_is_asked_from_a_runtime() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let (server, asker) = pair("ring");
    server.setup_endpoint("shop", Store::default()).unwrap();
    let uri = uri(&server, "shop");
    let prices = runtime.block_on(async move {
        let shop = ShopClient::connect(&asker, &uri).await?;
        let (first, second) = tokio::join!(shop.put(item("tea", 3)), shop.put(item("jam", 4)));
        assert_eq!(first? + second?, 3);
        // A task of its own: clients and asks may go to other threads.
        let other = shop.clone();
        let tea = tokio::spawn(async move { other.price("tea".into()).await });
        let jam = shop.price("jam".into()).await?;
        Ok::<_, RpcError>(jam + tea.await.expect("it ends")?)
    });
    assert_eq!(prices.unwrap(), 7);
}

/// Asks a shop on its own thread, by what `as_local` gives.
struct Asker(ShopClient, mpsc::Sender<u64>);

#[ringrail::message]
struct Start;

impl RpcEndpoint for Asker {
    type Messages = (Async<Start>,);
}

impl HandlerAsync<Start> for Asker {
    async fn handle(&mut self, _: Owned<Start>) -> Result<(), Failure> {
        let shop = self
            .0
            .as_local()
            .ok_or_else(|| Failure::text("on another thread"))?;
        shop.clear()?;
        shop.put(item("tea", 3)).await?;
        self.1.send(shop.count().await?)?;
        Ok(())
    }
}

#[test]
fn an_interface_is_asked_on_its_own_shard() {
    for backend in BACKENDS {
        let env = builder(backend, "env").build().unwrap();
        let shop = env.setup_endpoint("shop", Store::default()).unwrap();
        let (tell, told) = mpsc::channel();
        let asker = Asker(ShopClient::new(&shop), tell);
        let asker = env.setup_endpoint("asker", asker).unwrap();
        asker.ask_blocking(Start).unwrap();
        assert_eq!(told.recv().unwrap(), 1);
        assert!(ShopClient::new(&shop).as_local().is_none());
    }
}

#[test]
fn refs_of_an_implementor_take_the_interfaces_messages() {
    let env = builder("local", "env").build().unwrap();
    let shop = env.setup_endpoint("shop", Store::default()).unwrap();
    let tea = ShopPut {
        item: item("tea", 3),
    };
    assert_eq!(shop.ask_blocking(tea).unwrap(), 1);
    let name = String::from("tea");
    assert_eq!(shop.ask_blocking(ShopPrice { name }).unwrap(), 3);
}

#[test]
fn messages_are_called_as_documented() {
    assert_eq!(ShopPut::NAME, "macros_write_endpoints::Shop.put");
    assert_eq!(ShopBeat::NAME, "shop/beat");
    assert_eq!(ShopBeat::LANE, Lane::Liveness);
    assert_eq!(ShopPut::LANE, Lane::Normal);
    assert_eq!(Start::NAME, "macros_write_endpoints::Start");
    assert_eq!(twins::mine::Order::NAME, "shop.Order");
    assert_eq!(tools::ToolsGrind::NAME, "tools.grind");
}

mod tools {
    #[ringrail::interface(name = "tools")]
    pub(super) trait Tools {
        fn grind(&self);
    }
}

// Handlers that return, without an interface.

#[ringrail::message(reply = u64)]
struct Add {
    n: u64,
}

#[ringrail::message(reply = u64)]
struct Length {
    text: String,
}

#[derive(Default)]
struct Counter(u64);

impl RpcEndpoint for Counter {
    // A set may be part of another.
    type Messages = (Add, Async<Length>, ShopMessages);
}

impl Handler<Add> for Counter {
    fn handle(&mut self, add: Received<'_, Add>) -> Result<u64, Failure> {
        let n = add.take()?.n;
        let sum = self.0.checked_add(n);
        self.0 = sum.ok_or_else(|| Failure::new(FailureCode::TooLarge, "too much"))?;
        Ok(self.0)
    }
}

impl HandlerAsync<Length> for Counter {
    async fn handle(&mut self, length: Owned<Length>) -> Result<u64, Failure> {
        let text = length.take()?.text;
        if text.is_empty() {
            // Not an error of ours: `?` makes a failure of it.
            text.parse::<u64>()?;
        }
        Ok(text.len() as u64)
    }
}

impl Shop for Counter {
    fn put(&mut self, _: Item) -> Result<u64, Failure> {
        Err(Failure::new(
            FailureCode::Unsupported,
            "a counter sells nothing",
        ))
    }

    fn count(&self) -> u64 {
        self.0
    }

    async fn price(&self, _: String) -> Result<u64, Failure> {
        Ok(0)
    }

    fn open(&self, _: String) -> io::Result<Vec<u8>> {
        Ok(Vec::new())
    }

    async fn never(&mut self) {}

    fn clear(&mut self) {}

    fn beat(&self) -> bool {
        false
    }
}

#[test]
fn handlers_return_their_replies() {
    for backend in BACKENDS {
        let (server, asker) = pair(backend);
        let here = server
            .setup_endpoint("counter", Counter::default())
            .unwrap();
        let there = asker.setup_endpoint_ref_by_uri_blocking(&uri(&server, "counter"));
        let there = there.unwrap().typed::<Counter>();
        for (sum, counter) in [(2, &here), (4, &there)] {
            assert_eq!(counter.ask_blocking(Add { n: 2 }).unwrap(), sum);
            let error = counter.ask_blocking(Add { n: u64::MAX }).unwrap_err();
            assert_eq!(error.code(), FailureCode::TooLarge);
            let text = String::from("four");
            assert_eq!(counter.ask_blocking(Length { text }).unwrap(), 4);
            let text = String::new();
            let error = counter.ask_blocking(Length { text }).unwrap_err();
            assert!(
                error.to_string().contains("cannot parse integer"),
                "{error}"
            );
            assert_eq!(ShopClient::new(counter).count().wait().unwrap(), sum);
        }
    }
}

/// Tells what `on_error` gets.
struct Told(mpsc::Sender<String>);

impl RpcEndpoint for Told {
    type Messages = (Add, Async<Length>);

    fn on_error(&mut self, error: RpcError) -> Result<(), RpcError> {
        self.0.send(error.to_string()).map_err(|_| error)
    }
}

impl Handler<Add> for Told {
    fn handle(&mut self, _: Received<'_, Add>) -> Result<u64, Failure> {
        Err(Failure::text("at once"))
    }
}

impl HandlerAsync<Length> for Told {
    async fn handle(&mut self, _: Owned<Length>) -> Result<u64, Failure> {
        Err(Failure::text("by a future"))
    }
}

#[test]
fn failures_go_to_the_caller_and_to_on_error_where_there_is_none() {
    for backend in BACKENDS {
        let (server, asker) = pair(backend);
        let (tell, told) = mpsc::channel();
        server.setup_endpoint("told", Told(tell)).unwrap();
        let there = asker
            .setup_endpoint_ref_by_uri_blocking(&uri(&server, "told"))
            .unwrap();
        there.ask_blocking(Add { n: 1 }).unwrap_err();
        there
            .ask_blocking(Length {
                text: String::new(),
            })
            .unwrap_err();
        there.send(Add { n: 1 }).unwrap();
        there
            .send(Length {
                text: String::new(),
            })
            .unwrap();
        let next = || told.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(next().starts_with("at once"));
        assert!(next().starts_with("by a future"));
        assert!(told.try_recv().is_err());
    }
}

#[test]
fn functions_return_their_replies() {
    let (server, asker) = pair("ring");
    let mut sum = 0;
    let counter = FnEndpoint::new().answer::<Add>(move |add| {
        sum += add.access()?.n.to_native();
        Ok(sum)
    });
    server.setup_endpoint("counter", counter).unwrap();
    let there = asker
        .setup_endpoint_ref_by_uri_blocking(&uri(&server, "counter"))
        .unwrap();
    assert_eq!(there.ask_blocking(Add { n: 2 }).unwrap(), 2);
    assert_eq!(there.ask_blocking(Add { n: 3 }).unwrap(), 5);
}

// Arguments that are read where they lie.

#[ringrail::interface(name = "lent")]
trait Lent {
    fn lengths(&self, text: &str, endpoint: u64, bytes: &[u8]) -> Result<(u64, u64), Failure>;
    async fn later(&mut self, bytes: &[u8], received: Vec<u8>, view: Option<String>) -> u64;
    #[message(one_way)]
    fn keep(&mut self, message: &str);
    fn kept(&self) -> Vec<String>;
    /// A ref that lies in a message belongs to the connection that it came over.
    async fn call_back(
        &self,
        text: &str,
        to: ringrail::rpc::RpcEndpointRef,
    ) -> Result<u64, Failure>;
}

#[derive(Default)]
struct Lender {
    kept: Vec<String>,
    /// Address of the bytes.
    places: Option<mpsc::Sender<usize>>,
}

impl RpcEndpoint for Lender {
    type Messages = LentMessages;
}

impl Lent for Lender {
    fn lengths(&self, text: &str, endpoint: u64, bytes: &[u8]) -> Result<(u64, u64), Failure> {
        if let Some(places) = &self.places {
            places.send(bytes.as_ptr() as usize)?;
        }
        Ok((text.len() as u64 + endpoint, bytes.len() as u64))
    }

    async fn later(&mut self, bytes: &[u8], received: Vec<u8>, view: Option<String>) -> u64 {
        // Lent across an await.
        std::future::ready(()).await;
        let view = view.map_or(0, |view| view.len());
        (bytes.len() + received.len() + view) as u64
    }

    fn keep(&mut self, message: &str) {
        self.kept.push(message.to_owned());
    }

    fn kept(&self) -> Vec<String> {
        self.kept.clone()
    }

    async fn call_back(
        &self,
        text: &str,
        to: ringrail::rpc::RpcEndpointRef,
    ) -> Result<u64, Failure> {
        let text = text.to_owned();
        Ok(to.ask(Length { text }).await?)
    }
}

#[test]
fn texts_and_bytes_are_lent_to_one_body() {
    for backend in BACKENDS {
        let (server, asker) = pair(backend);
        let here = server.setup_endpoint("lender", Lender::default()).unwrap();
        let here = LentClient::new(&here);
        let there = LentClient::connect_blocking(&asker, &uri(&server, "lender")).unwrap();
        let me = FnEndpoint::new().answer::<Length>(|length| Ok(length.take()?.text.len() as u64));
        let me = asker.setup_endpoint("me", me).unwrap().any();
        for lent in [&here, &there] {
            let lengths = lent.lengths("four", 10, [1, 2, 3]).wait();
            assert_eq!(lengths.unwrap(), (14, 3));
            // The client does not copy a value that is owned already.
            let lengths = lent.lengths(String::new(), 0, vec![7; 100_000]).wait();
            assert_eq!(lengths.unwrap(), (0, 100_000));
            let view = Some("abc".to_owned());
            assert_eq!(lent.later(&b"12"[..], vec![0; 5], view).wait().unwrap(), 10);
            lent.keep("this").unwrap();
        }
        assert_eq!(there.call_back("five!", me).wait().unwrap(), 5);
        assert_eq!(here.kept().wait().unwrap(), ["this", "this"]);
    }
}

#[test]
fn what_is_lent_in_this_process_is_the_callers_own() {
    let env = builder("local", "env").build().unwrap();
    let (tell, places) = mpsc::channel();
    let lender = Lender {
        places: Some(tell),
        ..Lender::default()
    };
    let lent = LentClient::new(&env.setup_endpoint("lender", lender).unwrap());
    let bytes = vec![1u8; 1000];
    let place = bytes.as_ptr() as usize;
    lent.lengths("", 0, bytes).wait().unwrap();
    assert_eq!(places.recv().unwrap(), place);
}

// Fingerprints of fields.

/// One message as two programs have it, of one size, with other fields.
mod twins {
    pub(super) mod mine {
        #[ringrail::message(name = "shop.Order", reply = u64)]
        pub(crate) struct Order {
            pub(crate) count: u32,
            pub(crate) price: u32,
        }
    }

    pub(super) mod swapped {
        #[ringrail::message(name = "shop.Order", reply = u64)]
        pub(crate) struct Order {
            pub(crate) price: u32,
            pub(crate) count: u32,
        }
    }

    pub(super) mod retyped {
        #[ringrail::message(name = "shop.Order", reply = u64)]
        pub(crate) struct Order {
            pub(crate) count: u32,
            pub(crate) price: i32,
        }
    }

    pub(super) mod replies {
        #[ringrail::message(name = "shop.Order", reply = i64)]
        pub(crate) struct Order {
            pub(crate) count: u32,
            pub(crate) price: u32,
        }
    }

    pub(super) mod same {
        /// Another name in Rust, the same message.
        #[ringrail::message(name = "shop.Order", reply = u64)]
        pub(crate) struct Purchase {
            pub(crate) count: u32,
            pub(crate) price: u32,
        }
    }
}

#[test]
fn messages_of_one_size_with_other_fields_are_refused() {
    let server = builder("ring", "server").build().unwrap();
    let orders = FnEndpoint::new().answer::<twins::mine::Order>(|order| {
        let order = order.take()?;
        Ok(u64::from(order.count) * u64::from(order.price))
    });
    server.setup_endpoint("orders", orders).unwrap();
    let refused = |error: RpcError| {
        let text = error.to_string();
        assert_eq!(error.code(), FailureCode::BadArchive, "{text}");
        let here = "another type there than here (macros_write_endpoints::twins::mine::Order)";
        for part in ["shop.Order from 127.0.0.1:", here, "the same definition"] {
            assert!(text.contains(part), "{text}");
        }
    };
    let asker = || {
        let env = builder("ring", "asker").client_mode().build().unwrap();
        let there = env.setup_endpoint_ref_by_uri_blocking(&uri(&server, "orders"));
        (env, there.unwrap())
    };
    let (count, price) = (2, 3);
    let (_env, there) = asker();
    refused(
        there
            .ask_blocking(twins::swapped::Order { price, count })
            .unwrap_err(),
    );
    let (_env, there) = asker();
    let retyped = twins::retyped::Order { count, price: 3 };
    refused(there.ask_blocking(retyped).unwrap_err());
    let (_env, there) = asker();
    refused(
        there
            .ask_blocking(twins::replies::Order { count, price })
            .unwrap_err(),
    );
    let (_env, there) = asker();
    assert_eq!(
        there
            .ask_blocking(twins::same::Purchase { count, price })
            .unwrap(),
        6
    );
}

mod inner {
    use ringrail::rpc::Schema;

    pub(super) mod now {
        #[ringrail::payload]
        pub(crate) struct Part {
            pub(crate) id: u64,
        }

        #[ringrail::payload]
        pub(crate) enum Kind {
            Whole,
            Parts(Vec<Part>),
        }
    }

    pub(super) mod then {
        #[ringrail::payload]
        pub(crate) struct Part {
            pub(crate) number: u64,
        }

        #[ringrail::payload]
        pub(crate) enum Kind {
            Whole,
            Parts(Vec<Part>),
        }
    }

    /// As the derive has it.
    pub(super) const fn fingerprint<T: Schema>() -> u64 {
        T::FINGERPRINT
    }
}

#[test]
fn fingerprints_reach_all_the_way_down() {
    assert_ne!(
        inner::fingerprint::<inner::now::Kind>(),
        inner::fingerprint::<inner::then::Kind>()
    );
    assert_eq!(Add::SCHEMA, message_schema::<Add, u64>());
    assert_ne!(message_schema::<Add, u64>(), message_schema::<Add, i64>());
}

/// Everything that fields may be; and a type that contains itself.
#[ringrail::payload]
#[rkyv(serialize_bounds(__S: rkyv::ser::Writer + rkyv::ser::Allocator, __S::Error: rkyv::rancor::Source))]
#[rkyv(deserialize_bounds(__D::Error: rkyv::rancor::Source))]
#[rkyv(bytecheck(bounds(__C: rkyv::validation::ArchiveContext, __C::Error: rkyv::rancor::Source)))]
struct Tree {
    name: String,
    #[rkyv(omit_bounds)]
    children: Vec<Tree>,
    sizes: HashMap<String, (u8, [u16; 3])>,
    #[rkyv(with = rkyv::with::AsString)]
    path: std::path::PathBuf,
}

#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, Schema)]
#[rkyv(crate = ringrail::rkyv)]
struct Page<T> {
    items: Vec<T>,
}

#[ringrail::message(reply = Page<u64>)]
struct Grow {
    tree: Tree,
}

#[test]
fn types_that_contain_themselves_travel() {
    let (server, asker) = pair("ring");
    let grower = FnEndpoint::new().answer::<Grow>(|grow| {
        let tree = grow.take()?.tree;
        assert_eq!(tree.children[0].path, std::path::Path::new("/leaf"));
        let items = vec![tree.children.len() as u64, u64::from(tree.sizes["x"].0)];
        Ok(Page { items })
    });
    server.setup_endpoint("grower", grower).unwrap();
    let there = asker
        .setup_endpoint_ref_by_uri_blocking(&uri(&server, "grower"))
        .unwrap();
    let tree = |name: &str, children| Tree {
        name: name.to_owned(),
        children,
        sizes: HashMap::from([("x".to_owned(), (7, [0; 3]))]),
        path: format!("/{name}").into(),
    };
    let tree = tree("root", vec![tree("leaf", Vec::new())]);
    assert_eq!(there.ask_blocking(Grow { tree }).unwrap().items, [1, 7]);
}
