//! RPCs, pipelined or one at a time.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use ringrail_floors::meter::{Meter, SendLog};
use ringrail_floors::pattern;
use ringrail_floors::report::ClientReport;
use ringrail_floors::usage::Who;
use ringrail_floors::workload::Workload;
use ringrail_transport::{Connection, Received, RequestError, ResponseHandler};

use super::client::{Done, per_connection};

/// Answers whose content is compared whole: one in this many.
const COMPARE_EVERY: u64 = 64;

/// The clock of the shard's turns, as `Instant`s: one reading of the clock per turn.
pub(super) struct TurnClock {
    start: Instant,
    start_ns: u64,
}

impl TurnClock {
    pub(super) fn new(conn: &Connection) -> Self {
        Self { start: Instant::now(), start_ns: conn.now_ns() }
    }

    pub(super) fn now(&self, conn: &Connection) -> Instant {
        self.start + Duration::from_nanos(conn.now_ns().saturating_sub(self.start_ns))
    }
}

/// What all connections of a load share.
struct Shared {
    meter: Option<Meter>,
    answer_size: u32,
    done: Option<Done>,
}

/// The load of one connection.
pub(super) struct RpcLoad {
    conn: Connection,
    clock: TurnClock,
    request: Vec<u8>,
    answer: Vec<u8>,
    state: RefCell<State>,
    shared: Rc<RefCell<Shared>>,
    this: std::rc::Weak<RpcLoad>,
}

struct State {
    log: SendLog,
    next: u64,
    due: u64,
    /// Answers and requests of the turn under way, not yet in the log.
    answered: u64,
    sent: u64,
    turn_ns: u64,
}

impl RpcLoad {
    pub(super) fn start(workload: &Workload, conns: Vec<Connection>, done: Done) {
        let mut request = vec![0; workload.size() as usize];
        pattern::fill(0, &mut request);
        let mut answer = vec![0; workload.answer_size() as usize];
        pattern::fill(0, &mut answer);
        let meter = match Meter::new(workload.length, Who::Process, Instant::now()) {
            Ok(meter) => meter,
            Err(error) => return drop(done.send(Err(error))),
        };
        let answer_size = workload.answer_size();
        let shared = Shared { meter: Some(meter), answer_size, done: Some(done) };
        let shared = Rc::new(RefCell::new(shared));
        let loads = per_connection(conns, |_, conn| {
            Rc::new_cyclic(|this| RpcLoad {
                clock: TurnClock::new(&conn),
                conn,
                request: request.clone(),
                answer: answer.clone(),
                state: RefCell::new(State {
                    log: SendLog::new(workload.in_flight),
                    next: 0,
                    due: 0,
                    answered: 0,
                    sent: 0,
                    turn_ns: 0,
                }),
                shared: Rc::clone(&shared),
                this: this.clone(),
            })
        });
        for load in &loads {
            for _ in 0..workload.in_flight {
                load.send();
            }
        }
        // The loads live on in the handlers of their outstanding requests.
    }

    #[inline]
    fn send(&self) {
        let Some(this) = self.this.upgrade() else { return };
        let handler: Rc<dyn ResponseHandler> = this;
        let mut state = self.state.borrow_mut();
        let token = state.next;
        state.next += 1;
        state.sent += 1;
        drop(state);
        if let Err(error) = self.conn.send_rpc_with(&self.request, None, &handler, token) {
            self.finish(Err(anyhow!("request {token} was not taken: {error}")));
        }
    }

    /// Books what the last turn did, when a new one has begun.
    #[inline]
    fn book(&self) {
        let now_ns = self.conn.now_ns();
        let mut state = self.state.borrow_mut();
        if now_ns == state.turn_ns {
            return;
        }
        let now = self.clock.now(&self.conn);
        let before = now - Duration::from_nanos(now_ns.saturating_sub(state.turn_ns));
        state.turn_ns = now_ns;
        let (answered, sent) = (state.answered, state.sent);
        (state.answered, state.sent) = (0, 0);
        let mut shared = self.shared.borrow_mut();
        if let Some(meter) = shared.meter.as_mut() {
            if answered > 0 {
                meter.answered(answered, before, &mut state.log);
            }
            if sent > 0 {
                state.log.push(sent, before);
            }
        }
    }

    #[inline]
    fn check(&self, token: u64, body: &[u8]) -> anyhow::Result<()> {
        let mut state = self.state.borrow_mut();
        if token != state.due {
            bail!("answer {token} came where {} was due", state.due);
        }
        state.due += 1;
        if body.len() != self.answer.len() {
            bail!("answer {token} has {} bytes, not {}", body.len(), self.answer.len());
        }
        if token.is_multiple_of(COMPARE_EVERY) && body != self.answer {
            bail!("answer {token} has another content");
        }
        state.answered += 1;
        Ok(())
    }

    #[cold]
    fn finish(&self, outcome: anyhow::Result<()>) {
        let mut shared = self.shared.borrow_mut();
        let size = shared.answer_size;
        if let (Some(meter), Some(done)) = (shared.meter.take(), shared.done.take()) {
            let report = outcome.map(|()| ClientReport::checked(&meter.finish(), size));
            let _ = done.send(report);
        }
    }
}

impl ResponseHandler for RpcLoad {
    #[inline]
    fn on_response(&self, token: u64, outcome: Result<Received<'_>, RequestError>) {
        self.book();
        if self.shared.borrow().meter.is_none() {
            return;
        }
        let checked = match outcome {
            Ok(body) => self.check(token, body.bytes()),
            Err(error) => Err(anyhow!("request {token} failed: {error}")),
        };
        if let Err(error) = checked {
            return self.finish(Err(error));
        }
        if self.shared.borrow().meter.as_ref().is_some_and(Meter::is_done) {
            return self.finish(Ok(()));
        }
        self.send();
    }
}
