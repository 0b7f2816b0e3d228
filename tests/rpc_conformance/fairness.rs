//! Endpoints of one thread: none starves the others, and what waits is seen to age.

use std::time::Duration;

use ringrail::rpc::{
    Async, EndpointOptions, FnEndpoint, HandleAsync, HeldCall, Owned, RpcEndpoint, RpcEndpointRef,
    RpcError,
};
use tokio::sync::oneshot;

use crate::actors::Echo;
use crate::ground::{Backend, Journal, eventually};
use crate::slow::slow_until;

/// Waits at its first message, so that a flood gathers in its inbox; its second goes on to another endpoint.
struct Flooded {
    first: Option<oneshot::Receiver<()>>,
    other: RpcEndpointRef,
    journal: Journal,
}

impl RpcEndpoint for Flooded {
    type Messages = (Async<Echo>,);
}

impl HandleAsync<Echo> for Flooded {
    async fn handle(&mut self, echo: Owned<Echo>, _: HeldCall<u64>) -> Result<(), RpcError> {
        let n = echo.take()?.n;
        self.journal.write(format!("flooded {n}"));
        if let Some(first) = self.first.take() {
            let _ = first.await;
        }
        if n == 1 {
            self.other.send(Echo { n })?;
        }
        Ok(())
    }
}

/// Messages that the endpoint is flooded with: many times `ringrail.rpc.inbox.budget`.
const FLOOD: u64 = 2000;

/// Its default.
const BUDGET: usize = 64;

pub(crate) fn a_flooded_endpoint_does_not_starve_others_of_its_thread(backend: Backend) {
    let env = backend.env("env");
    let journal = Journal::default();
    let placed = EndpointOptions::on_shard(0);
    let of_other = journal.clone();
    let other = move || {
        FnEndpoint::new().on::<Echo>(move |echo, _| {
            of_other.write(format!("other {}", echo.take()?.n));
            Ok(())
        })
    };
    let other = env.setup_endpoint_with("other", placed, other).unwrap();
    let (go, first) = oneshot::channel();
    let of_flooded = journal.clone();
    let flooded = move || Flooded {
        first: Some(first),
        other: other.any(),
        journal: of_flooded,
    };
    let flooded = env.setup_endpoint_with("flooded", placed, flooded).unwrap();
    for n in 0..=FLOOD {
        flooded.send(Echo { n }).unwrap();
    }
    eventually("the flood is in its inbox", || {
        let all = env.metrics();
        all.iter()
            .any(|it| &*it.name == "flooded" && it.depth == FLOOD)
    });
    go.send(()).unwrap();
    let lines = journal.wait_for("all are handled", |lines| {
        lines.len() as u64 == FLOOD + 1 + 1
    });
    let at = |line: &str| lines.iter().position(|have| have == line).unwrap();
    let before = at("other 1") - at("flooded 1");
    assert!(before <= BUDGET, "{before} of the flood went before it");
    let of_flooded = lines.iter().filter(|line| line.starts_with("flooded"));
    let in_order = (0..=FLOOD).map(|n| format!("flooded {n}"));
    assert!(of_flooded.cloned().eq(in_order), "in order");
}

pub(crate) fn what_waits_in_an_inbox_is_seen_to_age(backend: Backend) {
    let env = backend.env("env");
    let journal = Journal::default();
    let (go, first) = oneshot::channel();
    let slow = slow_until(&env, "ageing", first, &journal);
    slow.send(Echo { n: 0 }).unwrap();
    journal.wait_line("echo 0");
    slow.send(Echo { n: 1 }).unwrap();
    let known = || {
        let all = env.metrics();
        all.into_iter().find(|it| &*it.name == "ageing").unwrap()
    };
    eventually("it waits, and grows older", || {
        let it = known();
        it.depth == 1 && it.age > Duration::from_millis(20)
    });
    go.send(()).unwrap();
    journal.wait_line("echo 1");
    eventually("nothing waits", || known().depth == 0);
    let it = known();
    assert_eq!(it.age, Duration::ZERO);
    assert!(it.age_max > Duration::from_millis(20), "{it:?}");
    assert_eq!(it.depth_max, 1);
}
