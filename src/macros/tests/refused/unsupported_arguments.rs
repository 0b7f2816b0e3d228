use std::borrow::Cow;

#[ringrail::interface]
trait Greeter {
    fn greet(&self, name: &String) -> String;
    fn change(&self, name: &mut str);
    fn sum(&self, numbers: &[u64]) -> u64;
    fn borrow(&self, text: Cow<'_, str>);
    fn any(&self, it: impl Send);
    fn pair(&self, (a, b): (u64, u64));
    fn give(self);
    fn read(&self) -> &str;
    fn generic<T>(&self);
    fn connect(&self);
    const N: u64;
}

fn main() {}
