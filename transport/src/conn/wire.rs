//! The protocol that a connection speaks, by what it can say.
//!
//! Shared code asks for an ability, not for a protocol: what it means that Spark's protocol has no credit, no
//! refusals and no pings is said here, once. Code that reads or writes frames belongs to one protocol alone
//! (`shard/conn` and `shard/conn/spark`).

use ringrail_codec::native::HEADER_LEN;

/// Bytes in which a head of Spark's protocol is first looked for: every head with a body of its own is at least
/// as long.
pub(crate) const SPARK_HEAD_LEN: usize = 21;

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    Native,
    Spark,
}

/// A receive for the header that follows a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NextHeader {
    /// Bytes to receive.
    pub(crate) len: usize,
    /// All of them are needed.
    pub(crate) whole: bool,
    /// Bytes after which it is worth looking.
    pub(crate) need: usize,
}

impl Wire {
    /// Credit, cancels, drains and pings exist as frames. Where they do not, nothing stands for them.
    #[inline(always)]
    pub(crate) fn has_control_frames(self) -> bool {
        self == Wire::Native
    }

    /// A peer that is silent while nothing is asked of it can be pinged.
    pub(crate) fn has_pings(self) -> bool {
        self.has_control_frames()
    }

    /// A request can be refused such that its sender asks again later. To Spark's clients a failure is final, and
    /// the end of a connection a reason to ask again.
    pub(crate) fn has_refusals(self) -> bool {
        self == Wire::Native
    }

    /// The handshake tells the peer how many requests it may have outstanding. Where it does not, the peer is not
    /// read beyond that number.
    #[inline(always)]
    pub(crate) fn announces_limits(self) -> bool {
        self == Wire::Native
    }

    /// A body is sent whole before the next begins.
    pub(crate) fn sends_bodies_in_order(self) -> bool {
        self == Wire::Spark
    }

    /// A header can be written in front of a body of unknown length, in place.
    #[inline(always)]
    pub(crate) fn frames_in_place(self) -> bool {
        self == Wire::Native
    }

    /// The receive of the header that follows a body. A frame of Spark's protocol may be shorter than its longest
    /// head, so that not all bytes of it may be waited for.
    pub(crate) fn next_header(self) -> NextHeader {
        match self {
            Wire::Native => NextHeader {
                len: HEADER_LEN,
                whole: true,
                need: HEADER_LEN,
            },
            Wire::Spark => NextHeader {
                len: SPARK_HEAD_LEN,
                whole: false,
                need: 1,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_never_waited_for_beyond_the_shortest_frame() {
        for wire in [Wire::Native, Wire::Spark] {
            let next = wire.next_header();
            assert!(next.need <= next.len);
            assert_eq!(next.whole, next.need == next.len, "{wire:?}");
        }
    }
}
