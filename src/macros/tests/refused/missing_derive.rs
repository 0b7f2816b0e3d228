use ringrail::rpc::Message;

#[derive(Message)]
#[message(name = "counter.Add", reply = u64)]
struct Add {
    n: u64,
}

fn main() {}
