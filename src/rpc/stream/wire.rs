//! The messages between a reader and its source, and those that a source sends itself.

use std::marker::PhantomData;

use rkyv::{Archive, Deserialize, Serialize};

use crate::rpc::fingerprint::{Fingerprint, Schema, message_schema};
use crate::rpc::message::Message;

use super::StreamItem;

/// Asks for up to so many items.
#[derive(Archive, Serialize, Deserialize)]
pub(super) struct Pull<T: 'static> {
    pub(super) credit: u32,
    pub(super) items: PhantomData<fn() -> T>,
}

/// Items, at least one unless they are the last.
#[derive(Archive, Serialize, Deserialize)]
pub(super) struct Batch<T> {
    pub(super) items: Vec<T>,
    pub(super) is_last: bool,
}

impl<T: Schema> Schema for Pull<T> {
    const FINGERPRINT: u64 = Fingerprint::new("Pull").field::<u32>("credit").finish();
}

impl<T: Schema> Schema for Batch<T> {
    const FINGERPRINT: u64 = Fingerprint::new("Batch")
        .field::<Vec<T>>("items")
        .field::<bool>("is_last")
        .finish();
}

impl<T: StreamItem> Message for Pull<T> {
    type Reply = Batch<T>;
    const NAME: &'static str = T::PULL;
    const SCHEMA: u64 = message_schema::<Self, Batch<T>>();
}

/// The reader wants no more.
#[derive(Archive, Serialize, Deserialize)]
pub(super) struct Close;

impl Message for Close {
    type Reply = ();
    const NAME: &'static str = "rpc.stream.Close";
}

/// The next item may be there; from the stream's own waker.
#[derive(Archive, Serialize, Deserialize)]
pub(super) struct GoOn;

impl Message for GoOn {
    type Reply = ();
    const NAME: &'static str = "rpc.stream.GoOn";
}

/// Time has passed; from the stream's own timer.
#[derive(Archive, Serialize, Deserialize)]
pub(super) struct Look;

impl Message for Look {
    type Reply = ();
    const NAME: &'static str = "rpc.stream.Look";
}
