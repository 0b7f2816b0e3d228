//! Replies that borrow: serialised exactly as the owned types that they stand for.

use rkyv::rancor::Fallible;
use rkyv::ser::{Allocator, Writer};
use rkyv::string::{ArchivedString, StringResolver};
use rkyv::vec::{ArchivedVec, VecResolver};
use rkyv::{Archive, Place, Serialize, SerializeUnsized};

/// A slice that is serialised as the `Vec` of its elements; for
/// [`RpcCallContext::reply_as`](super::RpcCallContext::reply_as).
#[derive(Clone, Copy, Debug)]
pub struct Slice<'a, T>(
    /// The elements.
    pub &'a [T],
);

impl<T: Archive> Archive for Slice<'_, T> {
    type Archived = ArchivedVec<T::Archived>;
    type Resolver = VecResolver;

    fn resolve(&self, resolver: Self::Resolver, out: Place<Self::Archived>) {
        ArchivedVec::resolve_from_len(self.0.len(), resolver, out);
    }
}

impl<T, S> Serialize<S> for Slice<'_, T>
where
    T: Serialize<S>,
    S: Fallible + Allocator + Writer + ?Sized,
{
    fn serialize(&self, serializer: &mut S) -> Result<Self::Resolver, S::Error> {
        ArchivedVec::serialize_from_slice(self.0, serializer)
    }
}

/// A text that is serialised as the `String` of it; for
/// [`RpcCallContext::reply_as`](super::RpcCallContext::reply_as).
#[derive(Clone, Copy, Debug)]
pub struct Text<'a>(
    /// The text.
    pub &'a str,
);

impl Archive for Text<'_> {
    type Archived = ArchivedString;
    type Resolver = StringResolver;

    fn resolve(&self, resolver: Self::Resolver, out: Place<Self::Archived>) {
        ArchivedString::resolve_from_str(self.0, resolver, out);
    }
}

impl<S> Serialize<S> for Text<'_>
where
    S: Fallible<Error: rkyv::rancor::Source> + ?Sized,
    str: SerializeUnsized<S>,
{
    fn serialize(&self, serializer: &mut S) -> Result<Self::Resolver, S::Error> {
        ArchivedString::serialize_from_str(self.0, serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::body::encode_aligned;

    #[test]
    fn borrowed_forms_are_serialised_as_the_owned_ones() {
        for len in [0usize, 1, 7, 1000] {
            let bytes = vec![3u8; len];
            let numbers: Vec<u64> = (0..len as u64).collect();
            let text = "x".repeat(len);
            assert_eq!(
                encode_aligned(&Slice(&bytes)).unwrap()[..],
                encode_aligned(&bytes).unwrap()[..]
            );
            assert_eq!(
                encode_aligned(&Slice(&numbers)).unwrap()[..],
                encode_aligned(&numbers).unwrap()[..]
            );
            assert_eq!(
                encode_aligned(&Text(&text)).unwrap()[..],
                encode_aligned(&text).unwrap()[..]
            );
        }
    }
}
