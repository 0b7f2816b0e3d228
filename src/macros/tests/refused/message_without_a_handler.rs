use ringrail::rpc::{RpcEndpoint, RpcEndpointRef};

#[ringrail::message]
struct Add(u64);

struct Counter;

impl RpcEndpoint for Counter {
    type Messages = ();
}

fn ask(counter: &RpcEndpointRef<Counter>) {
    let _ = counter.send(Add(1));
}

fn main() {}
