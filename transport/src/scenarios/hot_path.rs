//! The way of small RPCs through a warm connection, many times over: for counting instructions.
//!
//! The simulation is deterministic, so two builds can be compared by the instructions that the engine's
//! files spend (`docs/CONTRIBUTING.md` says how).

use std::cell::Cell;
use std::rc::Rc;

use crate::client::ResponseContext;
use crate::error::RequestError;
use crate::shard::conn::{ReceivedBytes, ResponseHandler};
use crate::sys::sim::{Faults, Link};

use super::cluster::Cluster;
use super::settings;

/// Requests outstanding at a time.
const IN_FLIGHT: u64 = 64;

/// Length of a request and of its reply, in bytes: less than an order, so that it is echoed.
const LEN: usize = 8;

/// Sends the next request for each reply.
struct Caller {
    left: Cell<u64>,
    answered: Cell<u64>,
}

impl ResponseHandler for Caller {
    fn on_response(
        &self,
        context: &ResponseContext<'_>,
        token: u64,
        outcome: Result<ReceivedBytes<'_>, RequestError>,
    ) {
        let body = outcome.expect("an echo");
        assert_eq!(body.bytes(), token.to_le_bytes());
        self.answered.set(self.answered.get() + 1);
        if let Some(left) = self.left.get().checked_sub(1) {
            self.left.set(left);
            let sent = context.send_rpc(&left.to_le_bytes(), None, left);
            sent.expect("there is room");
        }
    }
}

#[test]
fn a_stream_of_small_calls_is_answered_call_by_call() {
    let calls = match std::env::var("RINGRAIL_HOT_CALLS") {
        Ok(calls) => calls.parse().expect("a number of calls"),
        Err(_) => 2_000,
    };
    let mut cluster = Cluster::simulated(7, Faults::default());
    cluster.world().set_link(Link::default());
    let client = cluster.pair(settings::plain(), settings::plain());
    let caller = Rc::new(Caller {
        left: Cell::new(calls),
        answered: Cell::new(0),
    });
    let handler = Rc::clone(&caller) as Rc<dyn ResponseHandler>;
    cluster.on_shard(1, &client, |connection| {
        for token in calls..calls + IN_FLIGHT {
            let body = token.to_le_bytes();
            assert_eq!(body.len(), LEN);
            let sent = connection.send_rpc_with(&body, None, &handler, token);
            sent.expect("there is room");
        }
    });
    cluster.until(|_| caller.answered.get() == calls + IN_FLIGHT);
    cluster.assert_at_rest();
    cluster.finish();
}
