//! A server that echoes, and plain threads that ask it over one connection.
//!
//! ```sh
//! cargo run --example echo_from_threads
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::rc::Rc;

use ringrail::{
    Connection, Engine, ReceivedBytes, Responder, RpcHandler, TransportConf, TransportContext,
};

/// One of these lives on each shard, and is called by that shard alone: it needs no lock.
struct Echo;

impl RpcHandler for Echo {
    fn receive(&self, _from: &Connection, body: ReceivedBytes<'_>, reply: Responder<'_>) {
        // Read in the receive buffer, written into the send buffer.
        reply.reply(body.bytes());
    }
}

/// Asks from `threads` threads, `calls` times each; how many answers were right.
pub(crate) fn run(threads: usize, calls: usize) -> Result<usize, Box<dyn Error>> {
    let engine = Engine::builder(TransportConf::default())
        .shards(1)
        .start()?;
    let context = TransportContext::new(engine, || Rc::new(Echo));
    let server = context.create_server("127.0.0.1:0".parse()?)?;
    let client = context.connect(&server.local_addr().to_string())?;

    let workers: Vec<_> = (0..threads)
        .map(|thread| {
            let client = client.clone();
            std::thread::spawn(move || {
                let ask = |call: usize| {
                    let question = format!("call {call} of thread {thread}");
                    let answer = client.send_rpc(question.clone()).wait();
                    answer.is_ok_and(|answer| answer[..] == *question.as_bytes())
                };
                (0..calls).filter(|&call| ask(call)).count()
            })
        })
        .collect();
    let right = workers
        .into_iter()
        .map(|worker| worker.join().unwrap_or(0))
        .sum();
    server.drain()?;
    Ok(right)
}

fn main() -> Result<(), Box<dyn Error>> {
    let right = run(4, 1000)?;
    println!("{right} of 4000 answers are right");
    Ok(())
}
