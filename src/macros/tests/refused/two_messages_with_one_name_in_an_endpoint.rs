use ringrail::rpc::{Failure, Handler, Received, RpcEndpoint, RpcEnv};

#[ringrail::message(name = "counter.Add")]
struct Add(u64);

#[ringrail::message(name = "counter.Add")]
struct Increase(u64);

struct Counter;

impl RpcEndpoint for Counter {
    type Messages = (Add, Increase);
}

impl Handler<Add> for Counter {
    fn handle(&mut self, _: Received<'_, Add>) -> Result<(), Failure> {
        Ok(())
    }
}

impl Handler<Increase> for Counter {
    fn handle(&mut self, _: Received<'_, Increase>) -> Result<(), Failure> {
        Ok(())
    }
}

fn main() {
    let env = RpcEnv::builder("env").build().unwrap();
    env.setup_endpoint("counter", Counter).unwrap();
}
