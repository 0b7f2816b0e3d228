//! The same server, asked by a tokio program: requests are futures that any executor can poll.
//!
//! ```sh
//! cargo run --example echo_from_tokio
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use ringrail::{
    Connection, Engine, ReceivedBytes, Responder, RpcHandler, TransportConf, TransportContext,
};

struct Echo;

impl RpcHandler for Echo {
    fn receive(&self, _from: &Connection, body: ReceivedBytes<'_>, reply: Responder<'_>) {
        if body.bytes() == b"later" {
            // Kept, and answered from another thread; the shard goes on meanwhile.
            let reply = reply.defer();
            std::thread::spawn(move || reply.reply(Bytes::from_static(b"here it is")));
            return;
        }
        reply.reply(body.bytes());
    }
}

/// Asks `calls` times, all at once, and once for an answer that comes later.
pub(crate) fn run(calls: usize) -> Result<usize, Box<dyn Error>> {
    // Shards are threads of their own: they are started, and listen, outside of the runtime.
    let engine = Engine::builder(TransportConf::default())
        .shards(1)
        .start()?;
    let context = TransportContext::new(engine, || Rc::new(Echo));
    let server = context.create_server("127.0.0.1:0".parse()?)?;
    let address = server.local_addr().to_string();

    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let right = runtime.block_on(async {
        let client = context.connect_async(&address).await?;
        let tasks: Vec<_> = (0..calls)
            .map(|call| {
                let client = client.clone();
                // Dropping the future before its answer is here retracts the request.
                tokio::spawn(async move {
                    let question = format!("call {call}");
                    let answer = client.send_rpc(question.clone()).await;
                    answer.is_ok_and(|answer| answer[..] == *question.as_bytes())
                })
            })
            .collect();
        let later = client
            .send_rpc_timeout("later", Some(Duration::from_secs(10)))
            .await?;
        let mut right = usize::from(later[..] == *b"here it is");
        for task in tasks {
            right += usize::from(task.await?);
        }
        Ok::<_, Box<dyn Error>>(right)
    })?;
    server.drain()?;
    Ok(right)
}

fn main() -> Result<(), Box<dyn Error>> {
    let right = run(1000)?;
    println!("{right} of 1001 answers are right");
    Ok(())
}
