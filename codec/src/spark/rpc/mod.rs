//! Spark's RPCs: the envelope of `NettyRpcEnv`, and the messages of the standalone cluster as Rust structs.
//!
//! The body of an [`RpcRequest`](super::RpcRequest) or [`OneWayMessage`](super::OneWayMessage) is an envelope
//! ([`RequestHead`]) with one Java stream behind it; the body of an [`RpcResponse`](super::RpcResponse) is the
//! stream alone. [`Message::decode`] reads a stream and gives the message as a struct that has Spark's name and
//! fields; [`Message::encode`] writes it with the class descriptors of a [`Version`]. What is not modelled is
//! kept as a tree of Java objects ([`Kept`]) and can be passed on as it came.
//!
//! Data flows from the transport's frames through [`RequestHead::decode`] and [`java`](crate::java) to the
//! messages, and back. The format and the limits are written down in `docs/spark-rpc.md`.
//!
//! ```
//! use ringrail_codec::java::Limits;
//! use ringrail_codec::spark::rpc::{CheckExistence, Message, RequestHead, Version};
//! let head = RequestHead {
//!     sender: None,
//!     receiver: Some(("10.1.0.1", 7077).into()),
//!     endpoint: RequestHead::VERIFIER.into(),
//! };
//! let mut body = Vec::new();
//! head.append_to(&mut body)?;
//! let question = Message::from(CheckExistence { name: "Master".into() });
//! question.encode(Version::V3_5.profile(), &Limits::DEFAULT, &mut body)?;
//!
//! let (head, stream) = RequestHead::decode(&body)?;
//! assert_eq!(head.endpoint, "endpoint-verifier");
//! assert_eq!(Message::decode(stream, &Limits::DEFAULT)?, question);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod convert;
mod envelope;
mod jdk;
mod messages;
mod profiles;
mod scala;

pub use convert::{
    Builder, Carried, ConvertError, ConvertErrorKind, DecodeError, EncodeError, JavaValue, Kept,
    OrNull, Reader, decode, encode,
};
pub use envelope::{EnvelopeError, RequestHead, SocketName};
pub use jdk::{Date, JavaArray, Throwable, TimeUnit, Uri};
pub use messages::*;
pub use profiles::Version;
pub use scala::{DriverState, ExecutorState, Map, RecoveryState};
