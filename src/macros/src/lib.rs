//! The macros of ringrail: derives for messages, interfaces of endpoints. Use them by the crate `ringrail`, which exports
//! all of them.
//!
//! ```text
//! attributes (attrs) ─► what is to be written (message, schema, interface) ─► tokens
//! ```
//!
//! The macros write calls of public API of `ringrail::rpc` alone; each documents the same code written by hand.
#![forbid(unsafe_code)]

mod attrs;
mod interface;
mod message;
mod schema;

use proc_macro::TokenStream;

/// Writes `Message` and `Schema` for a type that has rkyv's derives.
///
/// `#[message(..)]` takes, all optional:
///
/// | | |
/// |---|---|
/// | `name = "counter.Add"` | what the message is called in every program; by default the path of its module and its own name, `my_crate::api::Add`, so it is the same where both programs use one crate, and changes where the type moves |
/// | `reply = u64` | what answers it; by default `()` |
/// | `lane = liveness` | that it overtakes others (`Lane::Liveness`) |
/// | `crate = path` | where ringrail is, for programs that have it by another name |
///
/// [`macro@message`] adds rkyv's derives as well.
///
/// ```
/// use ringrail::rkyv::{Archive, Deserialize, Serialize};
/// use ringrail::rpc::Message;
///
/// #[derive(Archive, Serialize, Deserialize, Message)]
/// #[rkyv(crate = ringrail::rkyv)]
/// #[message(name = "counter.Add", reply = u64)]
/// struct Add {
///     n: u64,
/// }
/// assert_eq!(Add::NAME, "counter.Add");
/// ```
///
/// It writes this, but for `Fingerprint` (see [`macro@Schema`]):
///
/// ```
/// # use ringrail::rkyv::{Archive, Deserialize, Serialize};
/// # use ringrail::rpc::{Fingerprint, Message, Schema, message_schema};
/// # #[derive(Archive, Serialize, Deserialize)]
/// # #[rkyv(crate = ringrail::rkyv)]
/// # struct Add { n: u64 }
/// # impl Schema for Add {
/// #     const FINGERPRINT: u64 = Fingerprint::new("struct").field::<u64>("n").finish();
/// # }
/// impl Message for Add {
///     type Reply = u64;
///     const NAME: &'static str = "counter.Add";
///     const SCHEMA: u64 = message_schema::<Self, u64>();
/// }
/// ```
#[proc_macro_derive(Message, attributes(message, schema, rkyv))]
pub fn derive_message(item: TokenStream) -> TokenStream {
    written(syn::parse(item).and_then(|item| message::derive(&item)))
}

/// Writes `Schema`: the fingerprint of the fields of a struct or enum, which two programs compare.
///
/// Names, order and types of fields and variants count, all the way down; the name of the type does not. A field with
/// `#[schema(opaque)]` counts by the text of its type: for types of other crates, and for types that contain each other.
/// So do fields with `#[rkyv(with = ..)]`, and fields that contain the type itself.
///
/// ```
/// use ringrail::rkyv::{Archive, Deserialize, Serialize};
/// use ringrail::rpc::{Fingerprint, Schema};
///
/// #[derive(Archive, Serialize, Deserialize, Schema)]
/// #[rkyv(crate = ringrail::rkyv)]
/// enum Shape {
///     Point,
///     Circle { radius: f64 },
/// }
///
/// let by_hand = Fingerprint::new("enum")
///     .text("Point")
///     .number(0) // fields
///     .text("Circle")
///     .number(1)
///     .field::<f64>("radius")
///     .finish();
/// assert_eq!(Shape::FINGERPRINT, by_hand);
/// ```
#[proc_macro_derive(Schema, attributes(schema, rkyv))]
pub fn derive_schema(item: TokenStream) -> TokenStream {
    written(syn::parse(item).and_then(|item| schema::derive(&item)))
}

/// Makes a struct or enum a message: rkyv's derives, `Message` and `Schema`. Takes what `#[message(..)]` takes beside
/// [`derive(Message)`](macro@Message).
///
/// ```
/// use ringrail::rpc::Message;
///
/// #[ringrail::message(name = "counter.Add", reply = u64)]
/// struct Add {
///     n: u64,
/// }
/// assert_eq!(Add::NAME, "counter.Add");
/// ```
#[proc_macro_attribute]
pub fn message(args: TokenStream, item: TokenStream) -> TokenStream {
    written(message::attribute(args.into(), item.into()))
}

/// Makes a struct or enum something that messages and replies may contain: rkyv's derives, and
/// [`Schema`](macro@Schema). Takes `crate = path`.
///
/// ```
/// #[ringrail::payload]
/// #[derive(Debug, PartialEq)]
/// struct Point {
///     x: i32,
///     y: i32,
/// }
///
/// #[ringrail::message(reply = Vec<Point>)]
/// struct Path {
///     from: Point,
///     to: Point,
/// }
/// ```
#[proc_macro_attribute]
pub fn payload(args: TokenStream, item: TokenStream) -> TokenStream {
    written(message::payload(args.into(), item.into()))
}

/// Makes a trait the interface of an endpoint: a message for each method, and a typed client.
///
/// For `trait Counter { fn add(&mut self, n: u64) -> Result<u64, Failure>; }` it writes, beside the trait:
///
/// | | |
/// |---|---|
/// | `struct CounterAdd { n: u64 }` | a message for each method, called `my_crate::Counter.add` on the wire |
/// | `CounterMessages` | the set of them: an implementor with `type Messages = CounterMessages` is an endpoint |
/// | `CounterClient` | `add(n)` gives an `Ask<u64>`, to `.await` in any runtime or to `.wait()` for; `connect`, `connect_blocking`, `new`, `with_timeout`, `target` |
/// | `CounterLocalClient` | the same on the thread that the endpoint or its connection lives on, by `CounterClient::as_local`, without an allocation |
///
/// **Methods** take `&self` or `&mut self` and arguments by value, or `&str` and `&[u8]`, which are read where they lie: in
/// the receive buffer, or in the value of a caller of the same process (the client's method takes whatever becomes a
/// `String` or `Vec<u8>`). They return the reply, or a `Result` of it whose error
/// becomes a `Failure`: of any error type, by the same conversion as `?`. A `fn` runs at once and must not block; an
/// `async fn` may await, and the endpoint's next message waits until it is done. Types that arguments and replies are made
/// of have [`macro@payload`]. A result is known by its name: an alias must be called `Result` too.
///
/// **On a method**, `#[message(..)]` takes `name = "counter.Add"` (the whole name on the wire), `one_way` (nobody waits for
/// it; the client's method is a `send`) and `lane = liveness`. **On the trait**, the macro takes `name = "counter"`, which
/// names the messages `counter.add`, and `crate = path`.
///
/// ```
/// use std::time::Duration;
/// use ringrail::rpc::{Failure, FailureCode, RpcEndpoint, RpcEnv};
///
/// #[ringrail::interface]
/// trait Counter {
///     /// Adds, and returns the sum.
///     fn add(&mut self, n: u64) -> Result<u64, Failure>;
///     fn reset(&mut self);
/// }
///
/// struct Counting(u64);
///
/// impl RpcEndpoint for Counting {
///     type Messages = CounterMessages;
/// }
///
/// impl Counter for Counting {
///     fn add(&mut self, n: u64) -> Result<u64, Failure> {
///         let sum = self.0.checked_add(n);
///         self.0 = sum.ok_or_else(|| Failure::new(FailureCode::InvalidArgument, "too much"))?;
///         Ok(self.0)
///     }
///
///     fn reset(&mut self) {
///         self.0 = 0;
///     }
/// }
///
/// let env = RpcEnv::builder("counters").backend("local").build()?;
/// let counter = CounterClient::new(&env.setup_endpoint("counter", Counting(0))?);
/// assert_eq!(counter.add(2).wait()?, 2); // or `.await`
/// counter.with_timeout(Duration::from_secs(5)).reset().wait()?;
/// assert_eq!(counter.add(3).wait()?, 3);
/// # Ok::<(), ringrail::rpc::RpcError>(())
/// ```
///
/// By hand, the same is a `#[derive(Message)]` per method, and a `Handler` or `HandlerAsync` for each.
#[proc_macro_attribute]
pub fn interface(args: TokenStream, item: TokenStream) -> TokenStream {
    written(interface::expand(args.into(), item.into()))
}

/// The expansion, or a compile error at the offending place.
fn written(outcome: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    outcome
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}
