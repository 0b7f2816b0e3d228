//! How a message is declared: its fields in the order of the wire, from which reading and writing follow.

use super::{MessageEncodeError, MessageError, MessageKind};
use crate::native::NoRoom;
use crate::spark::FieldError;
use crate::spark::wire::{Fields, Writer};

/// The body of a message behind its type.
pub(super) trait Body<'a>: Sized {
    const KIND: MessageKind;

    fn body_len(&self) -> usize;
    fn write_body(&self, out: &mut Writer<'_>);
    fn read_body(fields: &mut Fields<'a>) -> Result<Self, FieldError>;
}

/// A message's type, with its fields in the order of the wire. `check` looks at the fields together once they
/// are read.
macro_rules! message {
    ($(#[$doc:meta])* $name:ident $(<$life:lifetime>)? $(check $check:path)? {
        $($(#[$field_doc:meta])* $field:ident: $type:ty,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name $(<$life>)? {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl<'a> $crate::spark::shuffle::message::Body<'a> for message!(@type $name $($life)?) {
            const KIND: $crate::spark::shuffle::MessageKind =
                $crate::spark::shuffle::MessageKind::$name;

            fn body_len(&self) -> usize {
                0 $(+ $crate::spark::wire::Field::wire_len(&self.$field))*
            }

            fn write_body(&self, out: &mut $crate::spark::wire::Writer<'_>) {
                $(out.put(&self.$field);)*
            }

            fn read_body(
                fields: &mut $crate::spark::wire::Fields<'a>,
            ) -> Result<Self, $crate::spark::FieldError> {
                let message = Self { $($field: fields.get(stringify!($field))?,)* };
                $($check(&message)?;)?
                Ok(message)
            }
        }

        impl<'a> message!(@type $name $($life)?) {
            /// Reads the message at the front of an RPC's body, its type included. Bytes after its last
            /// field are ignored.
            ///
            /// # Errors
            /// [`MessageError`](super::MessageError)
            pub fn decode(body: &'a [u8]) -> Result<Self, super::MessageError> {
                $crate::spark::shuffle::message::decode(body)
            }

            /// The length of the message in bytes, its type included.
            pub fn encoded_len(&self) -> usize {
                $crate::spark::shuffle::message::encoded_len(self)
            }

            /// Writes the message to the front of `out` and returns its length.
            ///
            /// # Errors
            /// [`MessageEncodeError`](super::MessageEncodeError); nothing is written then.
            pub fn encode(&self, out: &mut [u8]) -> Result<usize, super::MessageEncodeError> {
                $crate::spark::shuffle::message::encode(self, out)
            }
        }
    };
    (@type $name:ident) => { $name };
    (@type $name:ident $life:lifetime) => { $name<'a> };
}

pub(super) use message;

/// The type of the message at the front of `body`, and what stands behind it.
pub(super) fn split(body: &[u8]) -> Result<(MessageKind, Fields<'_>), MessageError> {
    let (&kind, fields) = body.split_first().ok_or(MessageError::Empty)?;
    Ok((MessageKind::try_from(kind)?, Fields::new(fields)))
}

pub(super) fn read<'a, B: Body<'a>>(fields: &mut Fields<'a>) -> Result<B, MessageError> {
    let kind = B::KIND;
    B::read_body(fields).map_err(|field| MessageError::Malformed { kind, field })
}

pub(super) fn decode<'a, B: Body<'a>>(body: &'a [u8]) -> Result<B, MessageError> {
    let (found, mut fields) = split(body)?;
    if found != B::KIND {
        let expected = B::KIND;
        return Err(MessageError::WrongKind { expected, found });
    }
    read(&mut fields)
}

pub(super) fn encoded_len<'a>(message: &impl Body<'a>) -> usize {
    1 + message.body_len()
}

pub(super) fn encode<'a, B: Body<'a>>(
    message: &B,
    out: &mut [u8],
) -> Result<usize, MessageEncodeError> {
    let need = encoded_len(message);
    if need > i32::MAX as usize {
        let kind = B::KIND;
        return Err(MessageEncodeError::TooLarge { kind, len: need });
    }
    let room = out.len();
    let Some(out) = out.get_mut(..need) else {
        return Err(NoRoom { need, room }.into());
    };
    let mut out = Writer::new(out);
    out.put(&(B::KIND as u8));
    message.write_body(&mut out);
    Ok(out.written())
}
