//! Spark's frames, one file each: the fields of a kind by name, to and from its head.
//!
//! A head is all of a frame before its body: length, type and header fields. Kinds without a body in their
//! frame write it with `encode`; the others have heads of one length and give them as an array, to be sent
//! in front of a body that stays where it is.

mod any;
mod chunk_fetch_failure;
mod chunk_fetch_request;
mod chunk_fetch_success;
mod merged_block_meta_request;
mod merged_block_meta_success;
mod one_way_message;
mod rpc_failure;
mod rpc_request;
mod rpc_response;
mod stream_failure;
mod stream_request;
mod stream_response;
mod upload_stream;

pub use any::Frame;
pub use chunk_fetch_failure::ChunkFetchFailure;
pub use chunk_fetch_request::ChunkFetchRequest;
pub use chunk_fetch_success::ChunkFetchSuccess;
pub use merged_block_meta_request::MergedBlockMetaRequest;
pub use merged_block_meta_success::MergedBlockMetaSuccess;
pub use one_way_message::OneWayMessage;
pub use rpc_failure::RpcFailure;
pub use rpc_request::RpcRequest;
pub use rpc_response::RpcResponse;
pub use stream_failure::StreamFailure;
pub use stream_request::StreamRequest;
pub use stream_response::StreamResponse;
pub use upload_stream::UploadStream;

use super::error::{EncodeError, FrameTooLarge};
use super::limits::{MAX_FRAME_SIZE, PREFIX_LEN};
use super::wire::{Fields, Writer};
use super::{FieldError, Kind};
use crate::native::NoRoom;

/// The header fields of one kind.
pub(super) trait Header<'a>: Sized {
    const KIND: Kind;

    fn fields_len(&self) -> usize;
    fn write_fields(&self, out: &mut Writer<'_>);
    fn read_fields(fields: &mut Fields<'a>) -> Result<Self, FieldError>;
}

/// A frame's type with its fields in the order of the wire.
macro_rules! frame {
    ($(#[$doc:meta])* $name:ident $(<$life:lifetime>)? {
        $($(#[$field_doc:meta])* $field:ident: $type:ty,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name $(<$life>)? {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl<'a> $crate::spark::frame::Header<'a> for frame!(@type $name $($life)?) {
            const KIND: $crate::spark::Kind = $crate::spark::Kind::$name;

            #[inline]
            fn fields_len(&self) -> usize {
                0 $(+ $crate::spark::wire::Field::wire_len(&self.$field))*
            }

            #[inline]
            fn write_fields(&self, out: &mut $crate::spark::wire::Writer<'_>) {
                $(out.put(&self.$field);)*
            }

            #[inline]
            fn read_fields(
                fields: &mut $crate::spark::wire::Fields<'a>,
            ) -> Result<Self, $crate::spark::FieldError> {
                Ok(Self { $($field: fields.get(stringify!($field))?,)* })
            }
        }
    };
    (@type $name:ident) => { $name };
    (@type $name:ident $life:lifetime) => { $name<'a> };
}

use frame;

/// Writes the head of a frame that has no body in it; `behind` is the length of a body behind it.
fn encode_head<'a, H: Header<'a>>(
    frame: &H,
    behind: u64,
    out: &mut [u8],
) -> Result<usize, EncodeError> {
    let kind = H::KIND;
    let need = PREFIX_LEN + frame.fields_len();
    if need as u64 - 8 >= MAX_FRAME_SIZE as u64 {
        let len = need as u64;
        return Err(FrameTooLarge { kind, len }.into());
    }
    if behind > i64::MAX as u64 {
        return Err(FrameTooLarge { kind, len: behind }.into());
    }
    let room = out.len();
    let Some(out) = out.get_mut(..need) else {
        return Err(NoRoom { need, room }.into());
    };
    let mut out = Writer::new(out);
    out.put(&(need as i64));
    out.put(&(kind as u8));
    frame.write_fields(&mut out);
    Ok(out.written())
}

/// The head of a frame whose body of `body_len` bytes is a part of it; `LEN` bytes, the fields written by
/// `fields`.
#[inline]
fn head_before<const LEN: usize>(
    kind: Kind,
    body_len: u64,
    fields: impl FnOnce(&mut Writer<'_>),
) -> Result<[u8; LEN], FrameTooLarge> {
    let len = body_len.saturating_add(LEN as u64);
    if len - 8 >= MAX_FRAME_SIZE as u64 {
        return Err(FrameTooLarge { kind, len });
    }
    let mut head = [0; LEN];
    let mut out = Writer::new(&mut head);
    out.put(&(len as i64));
    out.put(&(kind as u8));
    fields(&mut out);
    Ok(head)
}

/// As much of a failure's text as every reader takes: the front of it, cut between two characters at
/// [`Limits::DEFAULT_MAX_FAILURE_LEN`](super::Limits::DEFAULT_MAX_FAILURE_LEN) bytes.
///
/// ```
/// use ringrail_codec::spark::failure_text;
/// assert_eq!(failure_text("Stream 'x' was not found."), "Stream 'x' was not found.");
/// assert_eq!(failure_text(&"\u{e9}".repeat(1 << 20)).len(), 1 << 20);
/// ```
pub const fn failure_text(text: &str) -> &str {
    let end = text.floor_char_boundary(super::Limits::DEFAULT_MAX_FAILURE_LEN as usize);
    text.split_at(end).0
}
