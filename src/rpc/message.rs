//! Messages: rkyv types with a name and a reply type.

use ringrail_codec::archive::{ArchiveError, Encode, decode};
use rkyv::api::high::{HighDeserializer, HighValidator};
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::Error;
use rkyv::{Archive, Deserialize};

use super::id::MessageId;

/// A value that can travel: every type that derives rkyv's `Archive`, `Serialize` and
/// `Deserialize` and may go to another thread.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot travel between programs",
    label = "has no archive, or is bound to its thread or to a lifetime",
    note = "put `#[ringrail::payload]` on `{Self}`, or rkyv's derives with `#[rkyv(crate = ringrail::rkyv)]`"
)]
pub trait Payload:
    Encode
    + Archive<
        Archived: for<'a> CheckBytes<HighValidator<'a, Error>>
                      + Deserialize<Self, HighDeserializer<Error>>,
    > + Send
    + Sized
    + 'static
{
}

#[diagnostic::do_not_recommend]
impl<T> Payload for T where
    T: Encode
        + Archive<
            Archived: for<'a> CheckBytes<HighValidator<'a, Error>>
                          + Deserialize<T, HighDeserializer<Error>>,
        > + Send
        + 'static
{
}

/// The queue of an inbox that a message waits in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Lane {
    /// In the order of arrival.
    #[default]
    Normal,
    /// Before all normal ones, in places of its own: heartbeats and the like, which must get
    /// through however busy the endpoint is.
    Liveness,
}

/// A message: what it is called on the wire, and what answers it.
///
/// ```
/// use ringrail::rpc::Message;
/// use rkyv::{Archive, Deserialize, Serialize};
///
/// #[derive(Archive, Serialize, Deserialize)]
/// struct Add {
///     n: u64,
/// }
///
/// impl Message for Add {
///     type Reply = u64;
///     const NAME: &'static str = "counter.Add";
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no message",
    label = "not a message",
    note = "put `#[ringrail::message(reply = ..)]` on `{Self}`, or `#[derive(Message)]` beside its rkyv derives"
)]
pub trait Message: Payload {
    /// The type of the reply to an ask; `()` where there is nothing to say.
    type Reply: Payload;

    /// The name that both processes know it by. Two types of the same name are the same message to the peer:
    /// change the name, or [`SCHEMA`](Self::SCHEMA), when the fields change. Within one program a name is for one
    /// type: setting up an endpoint with another one fails.
    const NAME: &'static str;

    /// A number that is another one when the fields change. What can be seen of the types without it (sizes and
    /// alignments of the archives of message and reply) is compared between programs anyhow.
    const SCHEMA: u64 = 0;

    /// The queue that it waits in.
    const LANE: Lane = Lane::Normal;

    /// The number that stands for the name on the wire.
    const ID: MessageId = MessageId::of(Self::NAME);
}

/// An owned value of the archive in `bytes`.
pub(crate) fn read<T: Payload>(bytes: &[u8]) -> Result<T, ArchiveError> {
    decode::<T>(bytes)
}

/// An owned value of an archive that has been validated.
#[inline]
pub(crate) fn owned<T: Payload>(view: &T::Archived) -> Result<T, Error> {
    rkyv::deserialize(view)
}
