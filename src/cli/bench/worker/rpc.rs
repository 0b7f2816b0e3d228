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
        Self {
            start: Instant::now(),
            start_ns: conn.now_ns(),
        }
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
    /// Itself, for its requests; emptied at the end.
    this: RefCell<Option<Rc<dyn ResponseHandler>>>,
}

struct State {
    log: SendLog,
    next: u64,
    due: u64,
    /// Answers and requests of the turn under way, not yet in the log.
    answered: u64,
    sent: u64,
    turn_ns: u64,
    over: bool,
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
        let shared = Shared {
            meter: Some(meter),
            answer_size,
            done: Some(done),
        };
        let shared = Rc::new(RefCell::new(shared));
        let loads = per_connection(conns, |_, conn| {
            let state = State {
                log: SendLog::new(workload.in_flight),
                next: 0,
                due: 0,
                answered: 0,
                sent: 0,
                turn_ns: 0,
                over: false,
            };
            let load = Rc::new(RpcLoad {
                clock: TurnClock::new(&conn),
                conn,
                request: request.clone(),
                answer: answer.clone(),
                state: RefCell::new(state),
                shared: Rc::clone(&shared),
                this: RefCell::new(None),
            });
            *load.this.borrow_mut() = Some(Rc::clone(&load) as Rc<dyn ResponseHandler>);
            load
        });
        for load in &loads {
            for _ in 0..workload.in_flight {
                load.send();
            }
        }
    }

    #[inline]
    fn send(&self) {
        let mut state = self.state.borrow_mut();
        let token = state.next;
        state.next += 1;
        state.sent += 1;
        drop(state);
        let sent = match &*self.this.borrow() {
            Some(this) => self.conn.send_rpc_with(&self.request, None, this, token),
            None => Ok(()),
        };
        if let Err(error) = sent {
            self.finish(Err(anyhow!("request {token} was not taken: {error}")));
        }
    }

    /// Books what the last turn did, when a new one has begun; true where the work is over.
    #[inline]
    fn book(&self) -> bool {
        let now_ns = self.conn.now_ns();
        let mut state = self.state.borrow_mut();
        if now_ns != state.turn_ns {
            self.book_turn(&mut state, now_ns);
        }
        state.over
    }

    fn book_turn(&self, state: &mut State, now_ns: u64) {
        let now = self.clock.now(&self.conn);
        let before = now - Duration::from_nanos(now_ns.saturating_sub(state.turn_ns));
        state.turn_ns = now_ns;
        let (answered, sent) = (state.answered, state.sent);
        (state.answered, state.sent) = (0, 0);
        let mut shared = self.shared.borrow_mut();
        let Some(meter) = shared.meter.as_mut() else {
            state.over = true;
            return;
        };
        if answered > 0 {
            meter.answered(answered, before, &mut state.log);
        }
        if sent > 0 {
            state.log.push(sent, before);
        }
        state.over = meter.is_done();
    }

    #[inline]
    fn check(&self, token: u64, body: &[u8]) -> anyhow::Result<()> {
        let mut state = self.state.borrow_mut();
        if token != state.due {
            bail!("answer {token} came where {} was due", state.due);
        }
        state.due += 1;
        if body.len() != self.answer.len() {
            bail!(
                "answer {token} has {} bytes, not {}",
                body.len(),
                self.answer.len()
            );
        }
        if token.is_multiple_of(COMPARE_EVERY) && body != self.answer {
            bail!("answer {token} has another content");
        }
        state.answered += 1;
        Ok(())
    }

    #[cold]
    fn finish(&self, outcome: anyhow::Result<()>) {
        // Answers still come for the other requests in flight, and find the work over.
        let this = self.this.borrow_mut().take();
        let mut shared = self.shared.borrow_mut();
        let size = shared.answer_size;
        if let (Some(meter), Some(done)) = (shared.meter.take(), shared.done.take()) {
            let report = outcome.map(|()| ClientReport::checked(&meter.finish(), size));
            let _ = done.send(report);
        }
        drop((shared, this));
    }
}

impl ResponseHandler for RpcLoad {
    #[inline]
    fn on_response(&self, token: u64, outcome: Result<Received<'_>, RequestError>) {
        if self.book() {
            return self.finish(Ok(()));
        }
        let checked = match outcome {
            Ok(body) => self.check(token, body.bytes()),
            Err(error) => Err(anyhow!("request {token} failed: {error}")),
        };
        match checked {
            Ok(()) => self.send(),
            Err(error) => self.finish(Err(error)),
        }
    }
}
