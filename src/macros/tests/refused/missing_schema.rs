use ringrail::rkyv::{Archive, Deserialize, Serialize};

#[derive(Archive, Serialize, Deserialize)]
#[rkyv(crate = ringrail::rkyv)]
struct Item {
    price: u64,
}

#[ringrail::message]
struct Put {
    item: Item,
}

fn main() {}
