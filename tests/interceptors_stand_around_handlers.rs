//! Interceptors are called in order, around every form of handler that returns, and before asks.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use ringrail::rpc::{
    Async, CallInfo, Failure, FailureCode, Handler, HandlerAsync, Interceptor, Interceptors, Owned,
    Received, RpcEndpoint, RpcEnv,
};

const BACKENDS: [&str; 2] = ["local", "ring"];

type Lines = Arc<Mutex<Vec<String>>>;

/// Writes what it sees, and refuses messages of this name.
struct Writes(&'static str, &'static str, Lines);

impl Interceptor for Writes {
    fn before(&self, call: &CallInfo) -> Result<(), Failure> {
        let mut lines = self.2.lock().unwrap();
        lines.push(format!("{} before {}", self.0, call.message()));
        match call.message() == self.1 {
            true => Err(Failure::new(FailureCode::Unauthorized, self.0)),
            false => Ok(()),
        }
    }

    fn after(&self, call: &CallInfo, failure: Option<&Failure>, _: Duration) {
        let outcome = failure.map_or("well".to_owned(), |failure| format!("{:?}", failure.code()));
        let mut lines = self.2.lock().unwrap();
        lines.push(format!("{} after {} {outcome}", self.0, call.message()));
    }
}

#[ringrail::message(name = "now", reply = u64)]
struct Now(u64);

#[ringrail::message(name = "later", reply = u64)]
struct Later(u64);

#[ringrail::interface(name = "trait")]
trait Both {
    fn now(&self, n: u64) -> Result<u64, Failure>;
    async fn later(&self, n: u64) -> Result<u64, Failure>;
    #[message(one_way)]
    fn note(&self);
}

struct Endpoint(Interceptors, mpsc::Sender<()>);

impl RpcEndpoint for Endpoint {
    type Messages = (Now, Async<Later>, BothMessages);

    fn interceptors(&self) -> Option<&Interceptors> {
        Some(&self.0)
    }
}

fn even(n: u64) -> Result<u64, Failure> {
    match n % 2 {
        0 => Ok(n),
        _ => Err(Failure::new(FailureCode::InvalidArgument, "odd")),
    }
}

impl Handler<Now> for Endpoint {
    fn handle(&mut self, now: Received<'_, Now>) -> Result<u64, Failure> {
        even(now.take()?.0)
    }
}

impl HandlerAsync<Later> for Endpoint {
    async fn handle(&mut self, later: Owned<Later>) -> Result<u64, Failure> {
        even(later.take()?.0)
    }
}

impl Both for Endpoint {
    fn now(&self, n: u64) -> Result<u64, Failure> {
        even(n)
    }

    async fn later(&self, n: u64) -> Result<u64, Failure> {
        even(n)
    }

    fn note(&self) {
        let _ = self.1.send(());
    }
}

fn taken(lines: &Lines) -> Vec<String> {
    std::mem::take(&mut *lines.lock().unwrap())
}

#[test]
fn they_are_called_in_order_around_every_handler_that_returns() {
    for backend in BACKENDS {
        let lines: Lines = Arc::default();
        let writes = |name, refuses| Arc::new(Writes(name, refuses, Arc::clone(&lines))) as _;
        let both = Interceptors::new([writes("outer", ""), writes("inner", "trait.now")]);
        let (tell, told) = mpsc::channel();
        let env = RpcEnv::builder("env")
            .backend(backend)
            .shards(1)
            .build()
            .unwrap();
        let endpoint = env
            .setup_endpoint("endpoint", Endpoint(both, tell))
            .unwrap();
        let both = BothClient::new(&endpoint);

        let around = |message: &str, outcome: &str| {
            [
                format!("outer before {message}"),
                format!("inner before {message}"),
                format!("inner after {message} {outcome}"),
                format!("outer after {message} {outcome}"),
            ]
        };
        endpoint.ask_blocking(Now(2)).unwrap();
        assert_eq!(taken(&lines), around("now", "well"));
        endpoint.ask_blocking(Now(3)).unwrap_err();
        assert_eq!(taken(&lines), around("now", "InvalidArgument"));
        endpoint.ask_blocking(Later(2)).unwrap();
        assert_eq!(taken(&lines), around("later", "well"));
        both.later(3).wait().unwrap_err();
        assert_eq!(taken(&lines), around("trait.later", "InvalidArgument"));
        both.note().unwrap();
        told.recv_timeout(Duration::from_secs(20)).unwrap();
        both.later(2).wait().unwrap();
        assert_eq!(taken(&lines)[..4], around("trait.note", "well"));

        // The inner one refuses: the handler is not called, the outer one is told.
        let refused = both.now(2).wait().unwrap_err();
        assert_eq!(refused.code(), FailureCode::Unauthorized);
        let wanted = [
            "outer before trait.now",
            "inner before trait.now",
            "outer after trait.now Unauthorized",
        ];
        assert_eq!(taken(&lines), wanted);
    }
}

#[test]
fn a_client_is_stopped_before_it_asks() {
    let lines: Lines = Arc::default();
    let env = RpcEnv::builder("env")
        .backend("local")
        .shards(1)
        .build()
        .unwrap();
    let (tell, told) = mpsc::channel();
    let none = Interceptors::new([]);
    let endpoint = env
        .setup_endpoint("endpoint", Endpoint(none, tell))
        .unwrap();
    let writes = |refuses| {
        let writes = Arc::new(Writes("client", refuses, Arc::clone(&lines))) as _;
        BothClient::new(&endpoint).with_interceptors(Interceptors::new([writes]))
    };
    let refused = writes("trait.now").now(2).wait().unwrap_err();
    assert_eq!(refused.code(), FailureCode::Unauthorized);
    let refused = writes("trait.note").note().unwrap_err();
    assert_eq!(refused.code(), FailureCode::Unauthorized);
    assert_eq!(
        writes("")
            .with_timeout(Duration::from_secs(20))
            .now(2)
            .wait()
            .unwrap(),
        2
    );
    assert!(told.try_recv().is_err(), "it was not sent");
    let wanted = [
        "client before trait.now",
        "client before trait.note",
        "client before trait.now",
    ];
    assert_eq!(taken(&lines), wanted);
}
