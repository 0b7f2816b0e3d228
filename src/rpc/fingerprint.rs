//! [`Schema`]: a number that stands for the fields of a type, computed when the program is built.
//!
//! Two programs that exchange a message compare these numbers (`schema`), so that a field that was renamed, moved or given
//! another type of the same size is noticed before any archive is misread. The derives write the implementations; each of
//! them can be written by hand.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::num;
use std::ops::{Range, RangeInclusive};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::RpcEndpointRef;
use super::id::fnv1a_more;

/// A type whose fields have a fingerprint: the same number in two programs where names, order and types of the fields are
/// the same, all the way down.
///
/// Implemented for numbers, texts, tuples, arrays, the collections of `std` and [`RpcEndpointRef`]; derived for structs and
/// enums by `#[derive(Schema)]`, [`ringrail::message`](crate::message) and [`ringrail::payload`](crate::payload). The name
/// of the type itself does not count: two programs may call it differently.
///
/// ```
/// use ringrail::rpc::{Fingerprint, Schema};
///
/// #[ringrail::payload]
/// struct Size {
///     width: u32,
///     height: u32,
/// }
///
/// // By hand, the same number:
/// struct Extent;
/// impl Schema for Extent {
///     const FINGERPRINT: u64 = Fingerprint::new("struct")
///         .field::<u32>("width")
///         .field::<u32>("height")
///         .finish();
/// }
/// assert_eq!(Size::FINGERPRINT, Extent::FINGERPRINT);
/// ```
#[diagnostic::on_unimplemented(
    message = "the fields of `{Self}` are not known, so two programs cannot compare them",
    label = "has no fingerprint of its fields",
    note = "put `#[ringrail::payload]` on `{Self}`, or `#[derive(Schema)]` beside its rkyv derives",
    note = "for a type of another crate, put `#[schema(opaque)]` on the field: then the type's path is compared, not its fields"
)]
pub trait Schema {
    /// The number.
    const FINGERPRINT: u64;
}

/// Makes a [`Schema::FINGERPRINT`], part by part. FNV-1a (64 bits) over parts that each end in a byte that is part of no
/// UTF-8 text, so that two sequences of parts never look alike.
#[derive(Clone, Copy, Debug)]
pub struct Fingerprint(u64);

/// Ends each part; no UTF-8 text contains it.
const END: u8 = 0xff;

impl Fingerprint {
    /// Begins with the kind of a type: `struct`, `enum`, or the name of a primitive.
    pub const fn new(kind: &str) -> Self {
        Self(super::id::fnv1a(kind.as_bytes())).end()
    }

    /// Adds a text: the name of a variant, for example.
    pub const fn text(self, text: &str) -> Self {
        Self(fnv1a_more(self.0, text.as_bytes())).end()
    }

    /// Adds a number.
    pub const fn number(self, number: u64) -> Self {
        Self(fnv1a_more(self.0, &number.to_le_bytes())).end()
    }

    /// Adds a field: its name, or its place in a tuple, and its type.
    pub const fn field<T: Schema + ?Sized>(self, name: &str) -> Self {
        self.text(name).number(T::FINGERPRINT)
    }

    /// The number.
    pub const fn finish(self) -> u64 {
        self.0
    }

    const fn end(self) -> Self {
        Self(fnv1a_more(self.0, &[END]))
    }
}

/// The fingerprint of a message and its reply: [`Message::SCHEMA`](super::Message::SCHEMA) of derived messages.
pub const fn message_schema<M: Schema, R: Schema>() -> u64 {
    Fingerprint::new("message")
        .field::<M>("message")
        .field::<R>("reply")
        .finish()
}

macro_rules! primitives {
    ($($type:ty)*) => {
        $(impl Schema for $type {
            const FINGERPRINT: u64 = Fingerprint::new(stringify!($type)).finish();
        })*
    };
}

primitives!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64 bool char str String);
primitives!(Duration IpAddr Ipv4Addr Ipv6Addr SocketAddr SocketAddrV4 SocketAddrV6);
primitives!(num::NonZeroU8 num::NonZeroU16 num::NonZeroU32 num::NonZeroU64 num::NonZeroU128);
primitives!(num::NonZeroI8 num::NonZeroI16 num::NonZeroI32 num::NonZeroI64 num::NonZeroI128);

macro_rules! containers {
    ($($name:literal $type:ty, <$($of:ident),+>;)*) => {
        $(impl<$($of: Schema),+> Schema for $type {
            const FINGERPRINT: u64 = Fingerprint::new($name)$(.number($of::FINGERPRINT))+.finish();
        })*
    };
}

// Those that have one archive have one name.
containers! {
    "Option" Option<T>, <T>;
    "Result" Result<T, E>, <T, E>;
    "Vec" Vec<T>, <T>;
    "Vec" VecDeque<T>, <T>;
    "Range" Range<T>, <T>;
    "RangeInclusive" RangeInclusive<T>, <T>;
    "HashMap" HashMap<K, V>, <K, V>;
    "HashSet" HashSet<K>, <K>;
    "BTreeMap" BTreeMap<K, V>, <K, V>;
    "BTreeSet" BTreeSet<K>, <K>;
}

macro_rules! pointers {
    ($($name:literal $type:ty;)*) => {
        $(impl<T: Schema + ?Sized> Schema for $type {
            const FINGERPRINT: u64 = Fingerprint::new($name).number(T::FINGERPRINT).finish();
        })*
    };
}

pointers! {
    "Box" Box<T>;
    "Shared" Rc<T>;
    "Shared" Arc<T>;
}

impl<T: Schema> Schema for [T] {
    const FINGERPRINT: u64 = Fingerprint::new("slice").number(T::FINGERPRINT).finish();
}

impl<T: Schema, const N: usize> Schema for [T; N] {
    const FINGERPRINT: u64 = Fingerprint::new("array")
        .number(N as u64)
        .number(T::FINGERPRINT)
        .finish();
}

/// The endpoint's type does not travel with a ref, so it does not count.
impl<E> Schema for RpcEndpointRef<E> {
    const FINGERPRINT: u64 = Fingerprint::new("RpcEndpointRef").finish();
}

macro_rules! tuples {
    ($($name:ident)*) => {
        impl<$($name: Schema),*> Schema for ($($name,)*) {
            const FINGERPRINT: u64 = Fingerprint::new("tuple")$(.number($name::FINGERPRINT))*.finish();
        }
    };
}

tuples!();
tuples!(A);
tuples!(A B);
tuples!(A B C);
tuples!(A B C D);
tuples!(A B C D E);
tuples!(A B C D E F);
tuples!(A B C D E F G);
tuples!(A B C D E F G H);
tuples!(A B C D E F G H I);
tuples!(A B C D E F G H I J);
tuples!(A B C D E F G H I J K);
tuples!(A B C D E F G H I J K L);

#[cfg(test)]
mod tests {
    use super::*;

    fn of<T: Schema + ?Sized>() -> u64 {
        T::FINGERPRINT
    }

    #[test]
    fn types_of_one_size_differ() {
        let all = [
            of::<u64>(),
            of::<i64>(),
            of::<f64>(),
            of::<(u32, u32)>(),
            of::<[u32; 2]>(),
            of::<[u8; 8]>(),
            of::<Vec<u8>>(),
            of::<Vec<i8>>(),
            of::<String>(),
            of::<Box<str>>(),
            of::<Option<u32>>(),
            of::<HashMap<u8, u8>>(),
            of::<BTreeMap<u8, u8>>(),
            of::<()>(),
        ];
        let distinct: HashSet<u64> = all.into_iter().collect();
        assert_eq!(distinct.len(), all.len());
    }

    #[test]
    fn what_has_one_archive_has_one_fingerprint() {
        assert_eq!(of::<Vec<u8>>(), of::<VecDeque<u8>>());
        assert_eq!(of::<Rc<u8>>(), of::<Arc<u8>>());
        assert_eq!(of::<RpcEndpointRef>(), of::<RpcEndpointRef<String>>());
    }

    #[test]
    fn parts_are_told_apart() {
        let of = |parts: &[&str]| {
            let part = |all: Fingerprint, part: &&str| all.text(part);
            parts.iter().fold(Fingerprint::new("struct"), part).finish()
        };
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["a", ""]), of(&["a"]));
        assert_ne!(of(&["a", "b"]), of(&["b", "a"]));
    }

    /// Programs of different versions compare these numbers: they never change.
    #[test]
    fn fingerprints_stay_as_they_are() {
        let numbers = [
            of::<u64>(),
            of::<(String, Vec<u8>)>(),
            message_schema::<u64, ()>(),
        ];
        let wanted = [
            13_824_855_572_169_910_295,
            11_058_095_770_204_127_171,
            3_600_303_036_727_908_138,
        ];
        assert_eq!(numbers, wanted);
    }
}
