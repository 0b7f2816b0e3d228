struct Item {
    price: u64,
}

#[ringrail::interface]
trait Shop {
    fn put(&mut self, item: Item);
}

fn main() {}
