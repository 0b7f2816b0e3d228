//! RPCs, pipelined or one at a time.

use std::rc::Rc;

use anyhow::anyhow;
use ringrail_floors::pattern;
use ringrail_floors::workload::Workload;
use ringrail_transport::{
    Connection, ReceivedBytes, RequestError, ResponseContext, ResponseHandler,
};

use super::book::{Book, Shared};
use super::client::{Done, per_connection};

/// The load of one connection.
pub(super) struct RpcLoad {
    conn: Connection,
    request: Vec<u8>,
    book: Book,
}

impl RpcLoad {
    pub(super) fn start(workload: &Workload, conns: Vec<Connection>, done: Done) {
        let mut request = vec![0; workload.size() as usize];
        pattern::fill(0, &mut request);
        let Some(shared) = Shared::begin(workload, done) else {
            return;
        };
        let loads = per_connection(conns, |_, conn| {
            Rc::new(RpcLoad {
                book: Book::new(workload, &shared, conn.now_ns()),
                conn,
                request: request.clone(),
            })
        });
        for load in &loads {
            let handler = Rc::clone(load) as Rc<dyn ResponseHandler>;
            for _ in 0..workload.in_flight {
                load.send(|body, token| load.conn.send_rpc_with(body, None, &handler, token));
            }
        }
    }

    #[inline]
    fn send(&self, send: impl FnOnce(&[u8], u64) -> Result<u64, RequestError>) {
        let token = self.book.next();
        if let Err(error) = send(&self.request, token) {
            self.finish(Err(anyhow!("request {token} was not taken: {error}")));
        }
    }

    /// Answers still come for the other requests in flight, and find the work over.
    #[cold]
    fn finish(&self, outcome: anyhow::Result<()>) {
        self.book.finish(outcome);
    }
}

impl ResponseHandler for RpcLoad {
    #[inline]
    fn on_response(
        &self,
        context: &ResponseContext<'_>,
        token: u64,
        outcome: Result<ReceivedBytes<'_>, RequestError>,
    ) {
        if self.book.turn(context.now_ns()) {
            return self.finish(Ok(()));
        }
        let checked = match outcome {
            Ok(body) => self.book.check(token, body.bytes()),
            Err(error) => Err(anyhow!("request {token} failed: {error}")),
        };
        match checked {
            Ok(()) => self.send(|body, token| context.send_rpc(body, None, token)),
            Err(error) => self.finish(Err(error)),
        }
    }
}
