//! Tells from the first bytes of a connection who is at the other end, so that a wrong port gives a clear
//! message on both sides instead of a hang.

use std::fmt;

/// Begins every Hello.
pub(super) const HELLO_MAGIC: [u8; 8] = *b"RINGRAIL";
/// Begins every Refusal.
pub(super) const REFUSAL_MAGIC: [u8; 8] = *b"RINGNOPE";

/// The protocol that the first bytes of a connection belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sniff {
    /// A native Hello.
    Native,
    /// A native Refusal.
    Refusal,
    /// A frame of Spark's transport.
    Spark,
    /// An HTTP request or response.
    Http,
    /// A TLS record with a handshake.
    Tls,
    /// Nothing can be said before there are more bytes; [`Sniff::DECIDES_AT`] always suffice.
    NeedMore,
    /// None of the above.
    Unknown,
}

/// The beginnings that stand for themselves.
const TEXTS: [(&[u8], Sniff); 13] = [
    (&HELLO_MAGIC, Sniff::Native),
    (&REFUSAL_MAGIC, Sniff::Refusal),
    (b"GET ", Sniff::Http),
    (b"PUT ", Sniff::Http),
    (b"HEAD ", Sniff::Http),
    (b"POST ", Sniff::Http),
    (b"PATCH ", Sniff::Http),
    (b"TRACE ", Sniff::Http),
    (b"DELETE ", Sniff::Http),
    (b"OPTIONS ", Sniff::Http),
    (b"CONNECT ", Sniff::Http),
    (b"PRI * HTTP/2", Sniff::Http),
    (b"HTTP/", Sniff::Http),
];

impl Sniff {
    /// The number of first bytes that always gives an answer.
    pub const DECIDES_AT: usize = 12;

    /// The answer to such a peer before closing, in the peer's own protocol, so that its user sees an
    /// error message and not a broken connection. `None`: send a [`Refusal`](super::Refusal).
    pub const fn courtesy(self) -> Option<&'static [u8]> {
        match self {
            Sniff::Http => Some(HTTP_ANSWER),
            // A fatal alert, protocol_version.
            Sniff::Tls => Some(&[0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x46]),
            _ => None,
        }
    }
}

const HTTP_ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
Content-Type: text/plain\r\n\
Content-Length: 68\r\n\
Connection: close\r\n\
\r\n\
This port speaks ringrail's native protocol (rail://host:port) only.";

impl fmt::Display for Sniff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Sniff::Native => "the peer speaks ringrail's native protocol",
            Sniff::Refusal => "the peer refuses the connection",
            Sniff::Spark => {
                "the peer speaks Spark's transport protocol; this port takes ringrail's native protocol \
                 (check which port the Spark side was given)"
            }
            Sniff::Http => {
                "the peer speaks HTTP; this port takes ringrail's native protocol (use a rail:// address \
                 with a ringrail client, or the port of the HTTP service)"
            }
            Sniff::Tls => {
                "the peer began with a TLS handshake; this port takes ringrail's native protocol without \
                 TLS (turn TLS off at the peer, or put a TLS proxy in front)"
            }
            Sniff::NeedMore => "the peer has not sent enough to tell its protocol",
            Sniff::Unknown => {
                "the peer does not speak ringrail's native protocol (check host and port; the first bytes \
                 are of no protocol known here)"
            }
        })
    }
}

/// Looks at the first bytes of a connection. Never asks for more than [`Sniff::DECIDES_AT`].
///
/// ```
/// use ringrail_codec::native::{Sniff, sniff};
/// assert_eq!(sniff(b"RING"), Sniff::NeedMore);
/// assert_eq!(sniff(b"GET / HTTP/1.1\r\n"), Sniff::Http);
/// ```
pub fn sniff(bytes: &[u8]) -> Sniff {
    let mut open = false;
    for (text, verdict) in TEXTS {
        let len = text.len().min(bytes.len());
        if bytes[..len] == text[..len] {
            if len == text.len() {
                return verdict;
            }
            open = true;
        }
    }
    match bytes {
        [0x16, 0x03, 0x00..=0x04, ..] => Sniff::Tls,
        [0x16] | [0x16, 0x03] => Sniff::NeedMore,
        [0, ..] => sniff_spark(bytes),
        _ if open => Sniff::NeedMore,
        _ => Sniff::Unknown,
    }
}

/// A Spark frame: an i64 length of at least 9 (big-endian, less than 2^31 + 8), then a type of 0 to 12.
fn sniff_spark(bytes: &[u8]) -> Sniff {
    let zeros = bytes.len().min(4);
    if bytes[..zeros] != [0; 4][..zeros] {
        return Sniff::Unknown;
    }
    let &[_, _, _, _, a, b, c, d, kind, ..] = bytes else {
        return Sniff::NeedMore;
    };
    let len = u32::from_be_bytes([a, b, c, d]);
    if (9..(1 << 31) + 8).contains(&len) && kind <= 12 {
        Sniff::Spark
    } else {
        Sniff::Unknown
    }
}
