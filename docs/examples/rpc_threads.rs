//! Plain threads ask and block; a timeout says what it waited for.
//!
//! ```sh
//! cargo run --example rpc_threads
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::thread;
use std::time::Duration;

use ringrail::rpc::{FnEndpoint, Message, RpcEnv, RpcTimeout};
use rkyv::{Archive, Deserialize, Serialize};

#[derive(Archive, Serialize, Deserialize)]
struct Next;

impl Message for Next {
    type Reply = u64;
    const NAME: &'static str = "tickets.Next";
}

/// Asks for something that never comes.
#[derive(Archive, Serialize, Deserialize)]
struct Never;

impl Message for Never {
    type Reply = ();
    const NAME: &'static str = "tickets.Never";
}

/// So many threads draw so many tickets each; the highest ticket, and what a timeout says.
pub(crate) fn run(threads: usize, each: usize) -> Result<(u64, String), Box<dyn Error>> {
    let env = RpcEnv::builder("tickets").build()?;
    let (mut drawn, mut kept) = (0, Vec::new());
    let tickets = FnEndpoint::new()
        .on::<Next>(move |_, call| {
            // No lock: one handler of an endpoint runs at a time.
            drawn += 1;
            call.reply(drawn);
            Ok(())
        })
        .on::<Never>(move |_, call| {
            kept.push(call.defer());
            Ok(())
        });
    let tickets = env.setup_endpoint("tickets", tickets)?;
    let drawing: Vec<_> = (0..threads)
        .map(|_| {
            let tickets = tickets.clone();
            thread::spawn(move || {
                let draws = (0..each).map(|_| tickets.ask_blocking(Next));
                draws.collect::<Result<Vec<_>, _>>()
            })
        })
        .collect();
    let mut highest = 0;
    for thread in drawing {
        let drawn = thread.join().map_err(|_| "a thread panicked")??;
        highest = drawn.into_iter().fold(highest, u64::max);
    }
    let soon = RpcTimeout::new(Duration::from_millis(20), "tickets.patience");
    let refused = tickets.ask_timeout(Never, soon).wait();
    let error = refused.err().ok_or("an answer came")?;
    Ok((highest, error.to_string()))
}

fn main() -> Result<(), Box<dyn Error>> {
    let (highest, error) = run(4, 100)?;
    println!("{highest} tickets were drawn; and: {error}");
    Ok(())
}
