//! A group of endpoints asks another one where the first certainly did not handle the message, and only then.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ringrail::conf::Conf;
use ringrail::rpc::{
    Choice, EndpointGroup, Failure, FailureCode, MAX_GROUP, RpcAddress, RpcEndpoint, RpcEnv,
    RpcError,
};

#[ringrail::interface(name = "work")]
trait Work {
    fn who(&self) -> Result<u64, Failure>;
    async fn never(&self);
}

struct Worker {
    number: u64,
    asked: Arc<AtomicU64>,
    fails: Option<FailureCode>,
}

impl RpcEndpoint for Worker {
    type Messages = WorkMessages;
}

impl Work for Worker {
    fn who(&self) -> Result<u64, Failure> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        match self.fails {
            Some(code) => Err(Failure::new(code, "not now")),
            None => Ok(self.number),
        }
    }

    async fn never(&self) {
        self.asked.fetch_add(1, Ordering::SeqCst);
        std::future::pending().await
    }
}

fn env(name: &str) -> RpcEnv {
    let conf = Conf::new()
        .with("ringrail.transport.poolBudget", "64m")
        .with("ringrail.transport.poolReserve", "16m")
        .with("ringrail.transport.drainTimeout", "100ms");
    RpcEnv::builder(name).conf(conf).shards(1).build().unwrap()
}

/// Servers whose workers fail so, how often each was asked, and a group of them.
struct Servers {
    envs: Vec<RpcEnv>,
    asked: Vec<Arc<AtomicU64>>,
    asker: RpcEnv,
    group: EndpointGroup,
}

impl Servers {
    fn new(fails: &[Option<FailureCode>]) -> Self {
        let asked: Vec<Arc<AtomicU64>> = fails.iter().map(|_| Arc::default()).collect();
        let envs = fails
            .iter()
            .zip(&asked)
            .zip(0..)
            .map(|((fails, asked), number)| {
                let env = env(&format!("server-{number}"));
                let worker = Worker {
                    number,
                    asked: Arc::clone(asked),
                    fails: *fails,
                };
                env.setup_endpoint("worker", worker).unwrap();
                env
            });
        let envs: Vec<_> = envs.collect();
        let addresses: Vec<_> = envs
            .iter()
            .map(|env| env.address().unwrap().clone())
            .collect();
        let asker = env("asker");
        let group = EndpointGroup::at(&asker, &addresses, "worker").unwrap();
        Self {
            envs,
            asked,
            asker,
            group,
        }
    }

    fn end(&self, at: usize) {
        self.envs[at].shutdown();
        self.envs[at].await_termination().unwrap();
    }

    fn asked(&self) -> Vec<u64> {
        self.asked
            .iter()
            .map(|it| it.load(Ordering::SeqCst))
            .collect()
    }
}

fn who(group: &EndpointGroup) -> Result<u64, RpcError> {
    group.call_blocking(|worker| WorkClient::new(worker).who())
}

#[test]
fn the_first_is_asked_until_it_ends() {
    let servers = Servers::new(&[None, None]);
    // The end of a connection may be seen only when something was sent over it.
    let group = servers.group.clone().asks_again();
    assert_eq!([who(&group).unwrap(), who(&group).unwrap()], [0, 0]);
    servers.end(0);
    assert_eq!([who(&group).unwrap(), who(&group).unwrap()], [1, 1]);
    assert_eq!(servers.asked(), [2, 2]);
    servers.end(1);
    let error = who(&group).unwrap_err();
    assert!(
        matches!(error, RpcError::Retried { attempts: 2, .. }),
        "{error}"
    );
}

#[test]
fn work_is_spread_over_those_that_are_there() {
    let servers = Servers::new(&[None, None, None]);
    let group = servers.group.clone().choosing(Choice::InTurn).asks_again();
    for _ in 0..9 {
        who(&group).unwrap();
    }
    assert_eq!(servers.asked(), [3, 3, 3]);
    servers.end(1);
    for _ in 0..9 {
        assert_ne!(who(&group).unwrap(), 1);
    }
    assert_eq!(servers.asked().iter().sum::<u64>(), 18);
}

#[test]
fn whoever_has_no_room_is_passed_over() {
    let servers = Servers::new(&[Some(FailureCode::Busy), None]);
    assert_eq!(who(&servers.group).unwrap(), 1);
    assert_eq!(servers.asked(), [1, 1]);
}

#[test]
fn what_may_have_been_handled_is_not_asked_again_unless_it_may_be() {
    let servers = Servers::new(&[None, None]);
    let never = |group: &EndpointGroup| {
        let hasty = Duration::from_millis(30);
        let never = group.call_blocking(|worker| {
            let worker = WorkClient::new(worker).with_timeout(hasty);
            worker.never()
        });
        never.unwrap_err()
    };
    // There is a connection, so the message gets there.
    who(&servers.group).unwrap();
    assert_eq!(never(&servers.group).code(), FailureCode::DeadlineExceeded);
    assert_eq!(servers.asked(), [2, 0]);
    let again = servers.group.clone().asks_again();
    let error = never(&again);
    assert!(
        matches!(error, RpcError::Retried { attempts: 2, .. }),
        "{error}"
    );
}

#[test]
fn a_handlers_own_failure_is_the_answer() {
    let servers = Servers::new(&[Some(FailureCode::InvalidArgument), None]);
    let error = who(&servers.group.clone().asks_again()).unwrap_err();
    assert_eq!(error.code(), FailureCode::InvalidArgument);
    assert_eq!(servers.asked(), [1, 0]);
}

#[test]
fn a_group_is_neither_empty_nor_endless() {
    let servers = Servers::new(&[None]);
    let address = RpcAddress::new("127.0.0.1", 1);
    for (len, fits) in [
        (0, false),
        (1, true),
        (MAX_GROUP, true),
        (MAX_GROUP + 1, false),
    ] {
        let addresses = vec![address.clone(); len];
        let group = EndpointGroup::at(&servers.asker, &addresses, "worker");
        assert_eq!(group.is_ok(), fits, "{len}");
    }
}
