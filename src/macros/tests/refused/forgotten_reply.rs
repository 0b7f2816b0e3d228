use ringrail::rpc::{Failure, RpcEndpoint};

#[ringrail::interface]
trait Counter {
    fn add(&mut self, n: u64) -> Result<u64, Failure>;
}

struct Counting(u64);

impl RpcEndpoint for Counting {
    type Messages = CounterMessages;
}

impl Counter for Counting {
    fn add(&mut self, n: u64) -> Result<u64, Failure> {
        self.0 += n;
    }
}

fn main() {}
