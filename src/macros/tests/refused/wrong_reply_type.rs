use ringrail::rpc::{Failure, Handler, Received, RpcEndpoint};

#[ringrail::message(reply = u64)]
struct Add {
    n: u64,
}

struct Counter;

impl RpcEndpoint for Counter {
    type Messages = (Add,);
}

impl Handler<Add> for Counter {
    fn handle(&mut self, _: Received<'_, Add>) -> Result<u64, Failure> {
        Ok("three")
    }
}

fn main() {}
