#[ringrail::interface]
trait Store<T> {
    fn put(&mut self, value: T);
}

#[ringrail::message]
struct Put<T> {
    value: T,
}

fn main() {}
