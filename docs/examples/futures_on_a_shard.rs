//! Futures on the shard itself: no other thread is woken, and nothing needs to be `Send`.
//!
//! ```sh
//! cargo run --release --example futures_on_a_shard
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::cell::RefCell;
use std::error::Error;
use std::rc::Rc;
use std::time::Duration;

use ringrail::transport::server::DeferredResponder;
use ringrail::{
    Connection, Engine, Responder, RpcHandler, ShardHandle, TransportClient, TransportConf,
    TransportContext, transport,
};

/// Echoes; requests that say so are never answered.
#[derive(Default)]
struct Echo {
    kept: RefCell<Vec<DeferredResponder>>,
}

impl RpcHandler for Echo {
    fn receive(
        &self,
        _from: &Connection,
        body: transport::ReceivedBytes<'_>,
        reply: Responder<'_>,
    ) {
        match body.bytes() {
            b"never" => self.kept.borrow_mut().push(reply.defer()),
            bytes => reply.reply(bytes),
        }
    }
}

/// Asks `calls` times at once, rests, and gives up waiting for what never comes.
async fn ask(
    shard: ShardHandle,
    client: TransportClient,
    calls: u32,
) -> Result<(u32, String), Box<dyn Error>> {
    let connection = client.here().ok_or("the connection has closed")?;
    let mut asks = Vec::new();
    for call in 0..calls {
        let connection = connection.clone();
        asks.push(shard.spawn(async move {
            let answer = connection.send_rpc(&call.to_le_bytes(), None).await;
            answer.is_ok_and(|answer| answer[..] == call.to_le_bytes())
        })?);
    }
    let mut right = 0;
    for ask in asks {
        right += u32::from(ask.await?);
    }
    shard.sleep(Duration::from_millis(1)).await;
    let never = connection.send_rpc(b"never", None);
    // The request is retracted when its future is dropped.
    let given_up = shard.timeout(Duration::from_millis(20), never).await;
    let error = given_up.err().ok_or("an answer came")?;
    Ok((right, error.to_string()))
}

/// How many of `calls` answers were right, and what the timeout says.
pub(crate) fn run(calls: u32) -> Result<(u32, String), Box<dyn Error>> {
    let engine = Engine::builder(TransportConf::default())
        .shards(1)
        .start()?;
    let context = TransportContext::new(engine.clone(), || Rc::new(Echo::default()));
    let server = context.create_server("127.0.0.1:0".parse()?)?;
    let client = context.connect(&server.local_addr().to_string())?;
    let asked = engine.spawn_on(client.shard().index(), move |shard| {
        let asked = ask(shard.clone(), client, calls);
        async { asked.await.map_err(|error| error.to_string()) }
    });
    Ok(asked.wait()??)
}

fn main() -> Result<(), Box<dyn Error>> {
    let (right, error) = run(1000)?;
    println!("{right} of 1000 answers are right; and: {error}");
    Ok(())
}
