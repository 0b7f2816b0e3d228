//! Records of a load of requests: send times, answers, latencies.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::bail;
use ringrail_floors::meter::{Meter, SendLog};
use ringrail_floors::pattern;
use ringrail_floors::report::ClientReport;
use ringrail_floors::usage::Who;
use ringrail_floors::workload::Workload;

use super::client::Done;

/// Answers whose content is compared whole: one in this many.
const COMPARE_EVERY: u64 = 64;

/// The clock of the shard's turns, as `Instant`s: one reading of the clock per turn.
pub(super) struct TurnClock {
    start: Instant,
    start_ns: u64,
}

impl TurnClock {
    pub(super) fn new(now_ns: u64) -> Self {
        Self {
            start: Instant::now(),
            start_ns: now_ns,
        }
    }

    pub(super) fn at(&self, now_ns: u64) -> Instant {
        self.start + Duration::from_nanos(now_ns.saturating_sub(self.start_ns))
    }
}

/// State that all connections of a load share.
pub(super) struct Shared {
    meter: Option<Meter>,
    answer_size: u32,
    done: Option<Done>,
}

impl Shared {
    /// `None` if there is no meter; the waiting thread has got the error.
    pub(super) fn begin(workload: &Workload, done: Done) -> Option<Rc<RefCell<Self>>> {
        match Meter::new(workload.length, Who::Process, Instant::now()) {
            Err(error) => {
                // The waiting thread may be gone.
                let _ = done.send(Err(error));
                None
            }
            Ok(meter) => Some(Rc::new(RefCell::new(Self {
                meter: Some(meter),
                answer_size: workload.answer_size(),
                done: Some(done),
            }))),
        }
    }
}

/// The book of one connection.
pub(super) struct Book {
    clock: TurnClock,
    answer: Vec<u8>,
    state: RefCell<State>,
    shared: Rc<RefCell<Shared>>,
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

impl Book {
    pub(super) fn new(workload: &Workload, shared: &Rc<RefCell<Shared>>, now_ns: u64) -> Self {
        let mut answer = vec![0; workload.answer_size() as usize];
        pattern::fill(0, &mut answer);
        let state = State {
            log: SendLog::new(workload.in_flight),
            next: 0,
            due: 0,
            answered: 0,
            sent: 0,
            turn_ns: 0,
            over: false,
        };
        Self {
            clock: TurnClock::new(now_ns),
            answer,
            state: RefCell::new(state),
            shared: Rc::clone(shared),
        }
    }

    /// The number of the request that is about to be sent.
    #[inline]
    pub(super) fn next(&self) -> u64 {
        let mut state = self.state.borrow_mut();
        let token = state.next;
        state.next += 1;
        state.sent += 1;
        token
    }

    /// Records the results of the last turn, once a new one has begun; true if the work is
    /// complete.
    #[inline]
    pub(super) fn turn(&self, now_ns: u64) -> bool {
        let mut state = self.state.borrow_mut();
        if now_ns != state.turn_ns {
            self.book_turn(&mut state, now_ns);
        }
        state.over
    }

    fn book_turn(&self, state: &mut State, now_ns: u64) {
        let now = self.clock.at(now_ns);
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

    /// Checks an answer: its place in the order, its length, and now and then its content.
    #[inline]
    pub(super) fn check(&self, token: u64, body: &[u8]) -> anyhow::Result<()> {
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

    /// The work is complete or has failed: sends the outcome to the waiting thread, once.
    #[cold]
    pub(super) fn finish(&self, outcome: anyhow::Result<()>) {
        let mut shared = self.shared.borrow_mut();
        let size = shared.answer_size;
        if let (Some(meter), Some(done)) = (shared.meter.take(), shared.done.take()) {
            let report = outcome.map(|()| ClientReport::checked(&meter.finish(), size));
            let _ = done.send(report);
        }
    }
}
