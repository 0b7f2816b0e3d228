//! Chunks, several in flight on each connection.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use anyhow::{anyhow, bail};
use ringrail_floors::meter::{Meter, SendLog};
use ringrail_floors::pattern;
use ringrail_floors::report::ClientReport;
use ringrail_floors::usage::Who;
use ringrail_floors::workload::Workload;
use ringrail_transport::{
    ChunkOptions, Connection, ReceivedBytes, RequestError, ResponseContext, ResponseHandler,
};

use super::book::TurnClock;
use super::client::{Done, per_connection};

struct Shared {
    meter: Option<Meter>,
    size: u32,
    done: Option<Done>,
}

/// The load of one connection.
pub(super) struct ChunkLoad {
    conn: Connection,
    clock: TurnClock,
    chunks: u64,
    state: RefCell<State>,
    shared: Rc<RefCell<Shared>>,
}

struct State {
    log: SendLog,
    next: u64,
    due: u64,
}

impl ChunkLoad {
    pub(super) fn start(workload: &Workload, conns: Vec<Connection>, done: Done) {
        let meter = match Meter::new(workload.length, Who::Process, Instant::now()) {
            Ok(meter) => meter,
            Err(error) => return drop(done.send(Err(error))),
        };
        let shared = Shared {
            meter: Some(meter),
            size: workload.size(),
            done: Some(done),
        };
        let shared = Rc::new(RefCell::new(shared));
        let loads = per_connection(conns, |index, conn| {
            let first = workload.first_id(index);
            Rc::new(ChunkLoad {
                clock: TurnClock::new(conn.now_ns()),
                conn,
                chunks: workload.source_chunks(),
                state: RefCell::new(State {
                    log: SendLog::new(workload.in_flight),
                    next: first,
                    due: first,
                }),
                shared: Rc::clone(&shared),
            })
        });
        for load in &loads {
            let handler = Rc::clone(load) as Rc<dyn ResponseHandler>;
            for _ in 0..workload.in_flight {
                load.send(&handler);
            }
        }
    }

    fn send(&self, handler: &Rc<dyn ResponseHandler>) {
        let mut state = self.state.borrow_mut();
        let id = state.next;
        state.next += 1;
        state.log.push(1, self.clock.at(self.conn.now_ns()));
        drop(state);
        let options = ChunkOptions {
            len_hint: Some(u64::from(self.shared.borrow().size)),
            ..ChunkOptions::default()
        };
        let asked = self.conn.fetch_chunk_with(id, 0, &options, handler, id);
        if let Err(error) = asked {
            self.finish(Err(anyhow!("chunk {id} was not asked for: {error}")));
        }
    }

    fn check(&self, id: u64, body: &[u8], size: u32) -> anyhow::Result<()> {
        let mut state = self.state.borrow_mut();
        if id != state.due {
            bail!("chunk {id} came where {} was due", state.due);
        }
        state.due += 1;
        if body.len() != size as usize {
            bail!("chunk {id} has {} bytes, not {size}", body.len());
        }
        let offset = pattern::chunk_offset(id, self.chunks, u64::from(size));
        if !pattern::spot_check(offset, body, id) {
            bail!("chunk {id} has another content");
        }
        Ok(())
    }

    #[cold]
    fn finish(&self, outcome: anyhow::Result<()>) {
        let mut shared = self.shared.borrow_mut();
        let size = shared.size;
        if let (Some(meter), Some(done)) = (shared.meter.take(), shared.done.take()) {
            let _ = done.send(outcome.map(|()| ClientReport::checked(&meter.finish(), size)));
        }
    }
}

impl ResponseHandler for ChunkLoad {
    fn on_response(
        &self,
        context: &ResponseContext<'_>,
        id: u64,
        outcome: Result<ReceivedBytes<'_>, RequestError>,
    ) {
        let size = self.shared.borrow().size;
        let checked = match outcome {
            Ok(body) => self.check(id, body.bytes(), size),
            Err(error) => Err(anyhow!("chunk {id} failed: {error}")),
        };
        if self.shared.borrow().meter.is_none() {
            return;
        }
        if let Err(error) = checked {
            return self.finish(Err(error));
        }
        let now = self.clock.at(self.conn.now_ns());
        let mut shared = self.shared.borrow_mut();
        let mut state = self.state.borrow_mut();
        let Some(meter) = shared.meter.as_mut() else {
            return;
        };
        meter.answered(1, now, &mut state.log);
        let over = meter.is_done();
        drop((shared, state));
        if over {
            self.finish(Ok(()))
        } else {
            self.send(context.handler())
        }
    }
}
