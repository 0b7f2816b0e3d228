//! Peers that speak another protocol, at a port that takes Spark's alone.
//!
//! Their first bytes are read as the length of a frame, which no frame has. The connection's owner asks here for
//! the peer's protocol, sends the answer in that protocol, and closes. Spark itself sends nothing.

use std::fmt;

use crate::native::{Refusal, RefusalCode, Sniff, sniff};

use super::FrameError;

/// Bytes that suffice for every answer.
pub const STRAY_ANSWER_ROOM: usize = 512;

/// A peer of another protocol, known by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stray {
    peer: Sniff,
}

impl Stray {
    /// The protocol of the peer that caused this error; `None` if the bytes match no protocol known
    /// here.
    ///
    /// ```
    /// use ringrail_codec::spark::{Limits, Stray, decode_head};
    /// let error = decode_head(b"GET / HTTP/1.1\r\n", &Limits::default()).expect_err("no frame");
    /// let stray = Stray::of(&error).expect("a browser");
    /// assert!(stray.to_string().starts_with("the peer speaks HTTP"));
    /// ```
    pub fn of(error: &FrameError) -> Option<Self> {
        let FrameError::TooLarge { len } = error else {
            return None;
        };
        // The error counts what is behind the length field, the field counts itself.
        let peer = sniff(&len.wrapping_add(8).to_be_bytes());
        matches!(peer, Sniff::Native | Sniff::Http | Sniff::Tls).then_some(Self { peer })
    }

    /// Writes what the peer is to be told to the front of `out`, and returns its length; 0 if there is no room.
    pub fn answer(&self, out: &mut [u8; STRAY_ANSWER_ROOM]) -> usize {
        let text = self.to_string();
        match self.peer {
            Sniff::Http => {
                let len = text.len();
                let answer = format!(
                    "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: {len}\r\n\
                     Connection: close\r\n\r\n{text}"
                );
                put(out, answer.as_bytes())
            }
            Sniff::Native => Refusal::new(RefusalCode::NotNative, &text)
                .encode(out)
                .unwrap_or(0),
            other => put(out, other.courtesy().unwrap_or_default()),
        }
    }
}

impl fmt::Display for Stray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (peer, instead) = match self.peer {
            Sniff::Http => (
                "HTTP",
                "use the port of the HTTP service, or of the metrics",
            ),
            Sniff::Tls => ("TLS", "turn TLS (spark.ssl.rpc.enabled) off at the peer"),
            _ => (
                "ringrail's native protocol",
                "check the port, or connect with create_spark_client_factory",
            ),
        };
        write!(
            f,
            "the peer speaks {peer}; this port takes Spark's transport protocol alone ({instead})"
        )
    }
}

fn put(out: &mut [u8], bytes: &[u8]) -> usize {
    match out.get_mut(..bytes.len()) {
        Some(place) => {
            place.copy_from_slice(bytes);
            bytes.len()
        }
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spark::{Limits, decode_head};

    fn stray(bytes: &[u8]) -> Option<Stray> {
        let error = decode_head(bytes, &Limits::default()).expect_err("no frame");
        Stray::of(&error)
    }

    #[test]
    fn strays_are_answered_in_their_own_protocol() {
        let mut out = [0; STRAY_ANSWER_ROOM];
        let http = stray(b"POST /x HTTP/1.1\r\n").expect("known");
        let len = http.answer(&mut out);
        let text = std::str::from_utf8(&out[..len]).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        assert!(head.contains(&format!("Content-Length: {}", body.len())));
        assert!(body.contains("Spark's transport protocol alone"), "{body}");
        let tls = stray(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc]).expect("known");
        assert_eq!(tls.answer(&mut out), 7);
        assert_eq!(out[0], 0x15);
        let native = stray(b"RINGRAIL\x01\0").expect("known");
        assert!(native.answer(&mut out) > Refusal::FIXED_LEN);
        assert_eq!(out[..8], *b"RINGNOPE");
        assert_eq!(stray(b"SSH-2.0-OpenSSH"), None);
        assert_eq!(Stray::of(&FrameError::NotPositive { len: 0 }), None);
    }
}
