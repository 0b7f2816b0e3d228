//! Numbers that stand for names on the wire: of endpoints and of message types.
//!
//! FNV-1a (<http://www.isthe.com/chongo/tech/comp/fnv/>) of the name's bytes, 64 bits, the highest
//! cleared: stable across processes, versions and machines, and computed when the program is built.
//! That bit tells a long envelope from a short one (`wire`).

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// The bit that no id has.
pub(crate) const SPARE_BIT: u64 = 1 << 63;

/// FNV-1a, 64 bits.
pub(crate) const fn fnv1a(bytes: &[u8]) -> u64 {
    fnv1a_more(OFFSET, bytes)
}

/// FNV-1a of what `hash` stands for, followed by `bytes`.
pub(crate) const fn fnv1a_more(mut hash: u64, bytes: &[u8]) -> u64 {
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(PRIME);
        at += 1;
    }
    hash
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(u64);

        impl $name {
            /// The id of a name.
            pub const fn of(name: &str) -> Self {
                Self(fnv1a(name.as_bytes()) & !SPARE_BIT)
            }

            /// The number that travels.
            pub const fn to_wire(self) -> u64 {
                self.0
            }

            /// The id with this number.
            pub(crate) const fn from_wire(number: u64) -> Self {
                Self(number & !SPARE_BIT)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:#018x})"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#018x}", self.0)
            }
        }
    };
}

id! {
    /// Stands for the name of an endpoint.
    EndpointId
}

id! {
    /// Stands for the name of a message type ([`Message::NAME`](super::Message::NAME)).
    MessageId
}

/// Hashes numbers that are hashes already.
#[derive(Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = fnv1a(bytes);
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = id;
    }
}

/// A table by numbers that are hashes already.
pub(crate) type IdMap<T> = HashMap<u64, T, BuildHasherDefault<IdHasher>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_fnv1a_of_the_name_less_one_bit() {
        // From the published test vectors.
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(EndpointId::of("foobar").to_wire(), 0x0594_4171_f739_67e8);
        assert_eq!(MessageId::from_wire(u64::MAX).to_wire(), u64::MAX >> 1);
    }
}
