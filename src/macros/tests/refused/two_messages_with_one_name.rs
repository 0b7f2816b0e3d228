#[ringrail::interface]
trait Counter {
    #[message(name = "counter.Add")]
    fn add(&mut self, n: u64);
    #[message(name = "counter.Add")]
    fn increase(&mut self, n: u64);
}

fn main() {}
