//! The layout of a request's body: an envelope, and the archive of the message behind it.
//!
//! ```text
//!  0  u64  id of the endpoint; the highest bit says that the envelope is long
//!  8  u64  id of the message type
//! 16  u64  idempotency token          (long envelopes only)
//! 24  u64  0                          (long envelopes only)
//! ..  the archive of the message, aligned to 16
//! ```
//!
//! Little-endian. The envelope is a multiple of 16 long, so the archive behind it is aligned where
//! the body is. A reply's body is the archive of the reply, nothing else.

use rkyv::rancor::{Fallible, Source, fail};
use rkyv::ser::Writer;
use rkyv::{Archive, Place, Serialize};

use super::id::{EndpointId, MessageId, SPARE_BIT};

/// Bytes of an envelope without a token.
const SHORT_LEN: usize = 16;

/// Bytes of an envelope with a token.
const LONG_LEN: usize = 32;

/// The endpoint that a message is for, and the message's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) endpoint: EndpointId,
    pub(crate) message: MessageId,
    /// Requests with the same token are the same request.
    pub(crate) token: Option<u64>,
}

impl Envelope {
    /// The envelope of a body, and its length; `None` where the body is too short to have one.
    #[inline]
    pub(crate) fn read(body: &[u8]) -> Option<(Self, usize)> {
        let word = |at: usize| -> Option<u64> {
            let bytes = body.get(at..at + 8)?;
            Some(u64::from_le_bytes(bytes.try_into().ok()?))
        };
        let (endpoint, message) = (word(0)?, word(8)?);
        let (token, len) = if endpoint & SPARE_BIT == 0 {
            (None, SHORT_LEN)
        } else {
            word(24)?;
            (Some(word(16)?), LONG_LEN)
        };
        debug_assert!(len <= body.len(), "the envelope lies in the body");
        let envelope = Self {
            endpoint: EndpointId::from_wire(endpoint),
            message: MessageId::from_wire(message),
            token,
        };
        Some((envelope, len))
    }

    /// Two times 16 bytes, the second for a token: of a known length, so that they are stored at once.
    #[inline]
    fn write<S>(&self, serializer: &mut S) -> Result<(), S::Error>
    where
        S: Fallible + Writer + ?Sized,
    {
        debug_assert_eq!(
            self.endpoint.to_wire() & SPARE_BIT,
            0,
            "no id has the spare bit"
        );
        let long = if self.token.is_some() { SPARE_BIT } else { 0 };
        serializer.write(&pair(
            self.endpoint.to_wire() | long,
            self.message.to_wire(),
        ))?;
        match self.token {
            None => Ok(()),
            Some(token) => serializer.write(&pair(token, 0)),
        }
    }
}

#[inline]
fn pair(first: u64, second: u64) -> [u8; SHORT_LEN] {
    (u128::from(first) | u128::from(second) << 64).to_le_bytes()
}

/// A message in its envelope, as it is serialised: the envelope's bytes first, then the archive.
pub(crate) struct Enveloped<'a, T> {
    pub(crate) envelope: Envelope,
    pub(crate) message: &'a T,
    /// The longest that the whole may be, in bytes.
    pub(crate) max_len: u64,
}

/// A message is longer than its env allows.
#[derive(Debug, thiserror::Error)]
#[error(
    "it has more than {max_len} bytes, which {} allows: raise it on both sides, or send parts",
    super::settings::MESSAGE_KEY
)]
struct TooLong {
    max_len: u64,
}

impl<T: Archive> Archive for Enveloped<'_, T> {
    type Archived = T::Archived;
    type Resolver = T::Resolver;

    fn resolve(&self, resolver: Self::Resolver, out: Place<Self::Archived>) {
        self.message.resolve(resolver, out);
    }
}

impl<T, S> Serialize<S> for Enveloped<'_, T>
where
    T: Serialize<S>,
    S: Fallible<Error: Source> + Writer + ?Sized,
{
    #[inline]
    fn serialize(&self, serializer: &mut S) -> Result<Self::Resolver, S::Error> {
        self.envelope.write(serializer)?;
        let resolver = self.message.serialize(serializer)?;
        let len = serializer.pos() + size_of::<T::Archived>();
        if len as u64 > self.max_len {
            let max_len = self.max_len;
            fail!(TooLong { max_len });
        }
        Ok(resolver)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::body::encode_aligned;
    use ringrail_codec::archive::access;

    #[test]
    fn a_message_comes_out_of_its_envelope_as_it_went_in() {
        for token in [None, Some(0), Some(u64::MAX)] {
            let envelope = Envelope {
                endpoint: EndpointId::of("counter"),
                message: MessageId::of("counter.Add"),
                token,
            };
            let message = (String::from("a text that is no short string"), 7u64);
            let bytes = encode_aligned(&Enveloped {
                envelope,
                message: &message,
                max_len: 1 << 20,
            })
            .unwrap();
            let (read, len) = Envelope::read(&bytes).unwrap();
            assert_eq!(read, envelope);
            let view = access::<(String, u64)>(&bytes[len..]).unwrap();
            assert_eq!(
                (view.0.as_str(), view.1.to_native()),
                (message.0.as_str(), 7)
            );
        }
    }

    #[test]
    fn a_message_without_fields_is_its_envelope() {
        let envelope = Envelope {
            endpoint: EndpointId::of("a"),
            message: MessageId::of("b"),
            token: None,
        };
        let bytes = encode_aligned(&Enveloped {
            envelope,
            message: &(),
            max_len: 1 << 20,
        })
        .unwrap();
        assert_eq!(bytes.len(), SHORT_LEN);
        assert_eq!(&bytes[..8], EndpointId::of("a").to_wire().to_le_bytes());
        access::<()>(&bytes[SHORT_LEN..]).unwrap();
    }

    #[test]
    fn bodies_too_short_for_an_envelope_have_none() {
        assert!(Envelope::read(&[0; 15]).is_none());
        assert!(Envelope::read(&[0xff; 31]).is_none(), "long, and cut off");
        assert!(Envelope::read(&[0xff; 32]).is_some());
    }
}
