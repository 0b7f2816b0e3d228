//! The fastest way to ask: code on the shard itself, answers by callback, nothing allocated per request.
//!
//! ```sh
//! cargo run --release --example callbacks_on_a_shard
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::cell::Cell;
use std::error::Error;
use std::rc::Rc;
use std::sync::mpsc;

use ringrail::{
    Connection, Engine, RequestError, Responder, ResponseContext, ResponseHandler, RpcHandler,
    TransportConf, TransportContext, transport,
};

struct Echo;

impl RpcHandler for Echo {
    fn receive(
        &self,
        _from: &Connection,
        body: transport::ReceivedBytes<'_>,
        reply: Responder<'_>,
    ) {
        reply.reply(body.bytes());
    }
}

/// Keeps requests in flight until `left` have been sent.
struct Load {
    left: Cell<u32>,
    answered: Cell<u32>,
    done: mpsc::Sender<Result<u32, RequestError>>,
}

impl ResponseHandler for Load {
    fn on_response(
        &self,
        context: &ResponseContext<'_>,
        token: u64,
        outcome: Result<transport::ReceivedBytes<'_>, RequestError>,
    ) {
        // The body lies in the receive buffer, and is gone when this returns.
        let sent = outcome.and_then(|body| {
            assert_eq!(body.bytes(), b"hello");
            self.answered.set(self.answered.get() + 1);
            match self.left.get() {
                0 => Ok(0),
                left => {
                    self.left.set(left - 1);
                    // By the same handler, over the connection that the answer came by.
                    context.send_rpc(b"hello", None, token)
                }
            }
        });
        if let Err(error) = sent {
            // The waiting thread may already have its result.
            let _ = self.done.send(Err(error));
        }
    }
}

impl Drop for Load {
    /// The transport drops the handler with its last answer.
    fn drop(&mut self) {
        let _ = self.done.send(Ok(self.answered.get()));
    }
}

/// Asks `calls` times, `in_flight` at once; how many answers came.
pub(crate) fn run(calls: u32, in_flight: u32) -> Result<u32, Box<dyn Error>> {
    let engine = Engine::builder(TransportConf::default())
        .shards(1)
        .start()?;
    let context = TransportContext::new(engine.clone(), || Rc::new(Echo));
    let server = context.create_server("127.0.0.1:0".parse()?)?;
    let client = context.connect(&server.local_addr().to_string())?;

    let (done, result) = mpsc::channel();
    let shard = client.shard().index();
    engine.run_on(shard, move |_| {
        // `here` gives the connection itself, on its shard's thread alone.
        let connection = client.here().ok_or("the connection has closed")?;
        let load: Rc<dyn ResponseHandler> = Rc::new(Load {
            left: Cell::new(calls.saturating_sub(in_flight)),
            answered: Cell::new(0),
            done,
        });
        for token in 0..in_flight.min(calls) {
            connection
                .send_rpc_with(b"hello", None, &load, u64::from(token))
                .map_err(|error| error.to_string())?;
        }
        Ok::<_, String>(())
    })??;
    let answered = result.recv()??;
    server.drain()?;
    Ok(answered)
}

fn main() -> Result<(), Box<dyn Error>> {
    let answered = run(100_000, 64)?;
    println!("{answered} answers");
    Ok(())
}
