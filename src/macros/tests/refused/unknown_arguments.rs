#[ringrail::message(repl = u64)]
struct Add(u64);

#[ringrail::message(lane = fast)]
struct Beat;

#[ringrail::interface]
trait Counter {
    #[message(one_way)]
    fn add(&mut self, n: u64) -> u64;
}

fn main() {}
