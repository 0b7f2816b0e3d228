use ringrail::rpc::{Failure, Handler, Received, RpcEndpoint};

struct Add(u64);

struct Counter;

impl RpcEndpoint for Counter {
    type Messages = ();
}

impl Handler<Add> for Counter {
    fn handle(&mut self, _: Received<'_, Add>) -> Result<(), Failure> {
        Ok(())
    }
}

fn main() {}
