//! RPCs, pipelined or one at a time.

use std::cell::RefCell;
use std::rc::Rc;

use anyhow::anyhow;
use ringrail_floors::pattern;
use ringrail_floors::workload::Workload;
use ringrail_transport::{Connection, Received, RequestError, ResponseHandler};

use super::book::{Book, Shared};
use super::client::{Done, per_connection};

/// The load of one connection.
pub(super) struct RpcLoad {
    conn: Connection,
    request: Vec<u8>,
    book: Book,
    /// Itself, for its requests; emptied at the end.
    this: RefCell<Option<Rc<dyn ResponseHandler>>>,
}

impl RpcLoad {
    pub(super) fn start(workload: &Workload, conns: Vec<Connection>, done: Done) {
        let mut request = vec![0; workload.size() as usize];
        pattern::fill(0, &mut request);
        let Some(shared) = Shared::begin(workload, done) else {
            return;
        };
        let loads = per_connection(conns, |_, conn| {
            let load = Rc::new(RpcLoad {
                book: Book::new(workload, &shared, conn.now_ns()),
                conn,
                request: request.clone(),
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
        let token = self.book.next();
        let sent = match &*self.this.borrow() {
            Some(this) => self.conn.send_rpc_with(&self.request, None, this, token),
            None => Ok(()),
        };
        if let Err(error) = sent {
            self.finish(Err(anyhow!("request {token} was not taken: {error}")));
        }
    }

    #[cold]
    fn finish(&self, outcome: anyhow::Result<()>) {
        // Answers still come for the other requests in flight, and find the work over.
        let this = self.this.borrow_mut().take();
        self.book.finish(outcome);
        drop(this);
    }
}

impl ResponseHandler for RpcLoad {
    #[inline]
    fn on_response(&self, token: u64, outcome: Result<Received<'_>, RequestError>) {
        if self.book.turn(self.conn.now_ns()) {
            return self.finish(Ok(()));
        }
        let checked = match outcome {
            Ok(body) => self.book.check(token, body.bytes()),
            Err(error) => Err(anyhow!("request {token} failed: {error}")),
        };
        match checked {
            Ok(()) => self.send(),
            Err(error) => self.finish(Err(error)),
        }
    }
}
