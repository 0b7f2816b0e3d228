//! An endpoint, and somebody who asks it from another environment.
//!
//! ```sh
//! cargo run --example rpc_hello
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use ringrail::rkyv::{Archive, Deserialize, Serialize};
use ringrail::rpc::{
    Handle, Message, Received, RpcCallContext, RpcEndpoint, RpcEnv, RpcError, View,
};

/// A program that depends on `ringrail` alone tells the derives where `rkyv` is.
#[derive(Archive, Serialize, Deserialize)]
#[rkyv(crate = ringrail::rkyv)]
struct Hello {
    name: String,
}

impl Message for Hello {
    type Reply = String;
    const NAME: &'static str = "greeter.Hello";
}

#[derive(Default)]
struct Greeter {
    greeted: u64,
}

impl RpcEndpoint for Greeter {
    type Messages = (Hello,);
}

impl Handle<Hello> for Greeter {
    fn handle(
        &mut self,
        hello: Received<'_, Hello>,
        call: RpcCallContext<'_, String>,
    ) -> Result<(), RpcError> {
        self.greeted += 1;
        // From another process, the name is read in the receive buffer; from here, as it was sent.
        let reply = match hello.view() {
            View::Archived(hello) => {
                format!("Hello, {}! You are number {}.", hello.name, self.greeted)
            }
            View::Local(hello) => {
                format!("Hello, {}! You are number {}.", hello.name, self.greeted)
            }
        };
        call.reply(reply);
        Ok(())
    }
}

/// Greets these names; what came back.
pub(crate) fn run(names: &[&str]) -> Result<Vec<String>, Box<dyn Error>> {
    let server = RpcEnv::builder("greeters").build()?;
    server.setup_endpoint("greeter", Greeter::default())?;
    let address = server.address().ok_or("it listens")?;

    // As another process would: by address and name.
    let asker = RpcEnv::builder("asker").client_mode().build()?;
    let uri = format!("rail://greeter@{address}");
    let greeter = asker.setup_endpoint_ref_by_uri_blocking(&uri)?;
    let ask = |name: &&str| {
        greeter.ask_blocking(Hello {
            name: (*name).to_owned(),
        })
    };
    Ok(names.iter().map(ask).collect::<Result<_, _>>()?)
}

fn main() -> Result<(), Box<dyn Error>> {
    for reply in run(&["Ada", "Grace", "Barbara"])? {
        println!("{reply}");
    }
    Ok(())
}
