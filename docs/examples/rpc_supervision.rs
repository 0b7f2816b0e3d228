//! An isolated endpoint that panics, and is made anew.
//!
//! ```sh
//! cargo run --example rpc_supervision
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::Duration;

use ringrail::rpc::{EndpointOptions, Failure, RpcEndpoint, RpcEnv, Supervision};

/// Divides, and remembers how often.
#[ringrail::interface]
trait Divider {
    fn divide(&mut self, what: u64, by: u64) -> Result<u64, Failure>;
    fn divisions(&self) -> u64;
}

#[derive(Default)]
struct Dividing {
    divisions: u64,
}

impl RpcEndpoint for Dividing {
    type Messages = DividerMessages;
}

impl Divider for Dividing {
    fn divide(&mut self, what: u64, by: u64) -> Result<u64, Failure> {
        self.divisions += 1;
        // Panics where `by` is 0.
        Ok(what / by)
    }

    fn divisions(&self) -> u64 {
        self.divisions
    }
}

/// The divisions that the endpoint knows of before and after it has panicked.
pub(crate) fn run() -> Result<(u64, u64), Box<dyn Error>> {
    let env = RpcEnv::builder("maths").backend("local").build()?;
    let options = EndpointOptions {
        supervision: Supervision::Restart {
            at_most: 3,
            pause: Duration::from_millis(1),
        },
        ..EndpointOptions::isolated()
    };
    let divider = env.setup_supervised("divider", options, Dividing::default)?;
    let divider = DividerClient::new(&divider);
    assert_eq!(divider.divide(6, 2).wait()?, 3);
    let before = divider.divisions().wait()?;
    let panicked = divider.divide(6, 0).wait();
    println!("told: {:?}", panicked.map_err(|error| error.to_string()));
    // By the new one, which starts from nothing.
    let after = divider.divisions().wait()?;
    Ok((before, after))
}

fn main() -> Result<(), Box<dyn Error>> {
    let (before, after) = run()?;
    println!("divisions: {before}, and {after} after the restart");
    Ok(())
}
