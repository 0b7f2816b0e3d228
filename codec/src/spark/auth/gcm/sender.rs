//! Encrypting messages.

use std::fmt;

use super::super::session::SessionKey;
use super::super::{Random, RecordError};
use super::{MAX_HEAD_LEN, PLAIN_LEN, Segments, TAG_LEN, head_len};

/// The length of a message of `plain_len` bytes under a key, or that it is too long.
fn sealed_len(key: &SessionKey, plain_len: u64) -> Result<u64, RecordError> {
    let segments = plain_len.div_ceil(PLAIN_LEN as u64);
    if segments > u64::from(u32::MAX) {
        return Err(RecordError::TooLong { len: plain_len });
    }
    Ok(head_len(key) as u64 + plain_len + segments * TAG_LEN as u64)
}

/// Encrypts messages.
pub struct GcmSender {
    key: SessionKey,
}

impl GcmSender {
    pub(in super::super) const fn new(key: SessionKey) -> Self {
        Self { key }
    }

    /// The length that a message of `plain_len` bytes has on the wire.
    ///
    /// # Errors
    /// [`RecordError::TooLong`] from 2^32 segments (128 TiB) on.
    pub fn sealed_len(&self, plain_len: u64) -> Result<u64, RecordError> {
        sealed_len(&self.key, plain_len)
    }

    /// Begins a message of exactly `plain_len` bytes.
    ///
    /// # Errors
    /// As [`GcmSender::sealed_len`].
    pub fn begin(
        &self,
        plain_len: u64,
        random: &mut dyn Random,
    ) -> Result<GcmMessage, RecordError> {
        let total = self.sealed_len(plain_len)?;
        let mut head = [0; MAX_HEAD_LEN];
        let head_len = head_len(&self.key);
        head[..8].copy_from_slice(&total.to_be_bytes());
        head[8] = (head_len - 8) as u8;
        random.fill(&mut head[9..head_len]);
        Ok(GcmMessage {
            segments: Segments::new(&self.key, &head[..head_len]),
            head,
            head_len,
            left: plain_len,
        })
    }

    /// Appends a whole message to `out`: the bytes of all `parts`, one behind the other.
    ///
    /// # Errors
    /// As [`GcmSender::sealed_len`]; nothing is appended then.
    pub fn seal(
        &self,
        parts: &[&[u8]],
        random: &mut dyn Random,
        out: &mut Vec<u8>,
    ) -> Result<(), RecordError> {
        let plain_len = parts.iter().map(|part| part.len() as u64).sum();
        let mut message = self.begin(plain_len, random)?;
        out.reserve(self.sealed_len(plain_len)? as usize);
        out.extend_from_slice(message.head());
        let mut parts = parts.iter();
        let mut part: &[u8] = &[];
        while let Some(len) = message.next_len() {
            let at = out.len();
            while out.len() < at + len {
                let (front, rest) = part.split_at(part.len().min(at + len - out.len()));
                out.extend_from_slice(front);
                part = rest;
                if part.is_empty() {
                    part = parts.next().copied().unwrap_or_default();
                }
            }
            out.extend_from_slice(&[0; TAG_LEN]);
            message.seal_next(&mut out[at..]);
        }
        Ok(())
    }
}

impl fmt::Debug for GcmSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GcmSender(..)")
    }
}

/// A message on its way: first its [`head`](Self::head) is to be sent, then segment by segment what
/// [`seal_next`](Self::seal_next) has encrypted.
pub struct GcmMessage {
    segments: Segments,
    head: [u8; MAX_HEAD_LEN],
    head_len: usize,
    left: u64,
}

impl GcmMessage {
    /// The bytes that a segment has more than its plaintext.
    pub const TAG_LEN: usize = TAG_LEN;

    /// The first bytes of the message.
    pub fn head(&self) -> &[u8] {
        &self.head[..self.head_len]
    }

    /// The number of plaintext bytes in the next segment; `None` at the end of the message.
    pub const fn next_len(&self) -> Option<usize> {
        match self.left {
            0 => None,
            left if left < PLAIN_LEN as u64 => Some(left as usize),
            _ => Some(PLAIN_LEN),
        }
    }

    /// Encrypts the next segment in place: the plaintext, and behind it [`GcmMessage::TAG_LEN`] bytes of
    /// room.
    ///
    /// # Panics
    /// If the plaintext is not of [`GcmMessage::next_len`] bytes.
    pub fn seal_next(&mut self, segment: &mut [u8]) {
        let len = self.next_len().map(|len| len + TAG_LEN);
        assert_eq!(Some(segment.len()), len, "a segment has its length");
        self.left -= (segment.len() - TAG_LEN) as u64;
        self.segments.seal(segment, self.left == 0);
    }
}

impl fmt::Debug for GcmMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GcmMessage({} bytes left)", self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_segments_do_not_come_back() {
        let sender = GcmSender::new(SessionKey::derived(16, b"key", b"", &[]));
        let most = u64::from(u32::MAX) * PLAIN_LEN as u64;
        assert!(sender.begin(most, &mut |_: &mut [u8]| {}).is_ok());
        let error = sender.sealed_len(most + 1);
        assert_eq!(error, Err(RecordError::TooLong { len: most + 1 }));
    }
}
