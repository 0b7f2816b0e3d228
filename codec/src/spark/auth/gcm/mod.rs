//! AES-GCM in segments: Tink's `AesGcmHkdfStreaming` with a length in front, as Spark uses it.
//!
//! A message is what its sender makes one: Spark a frame, with the body in it or behind it. On the wire it is
//!
//! ```text
//! i64 total, itself included | u8 header_len | salt, as long as the key | nonce prefix (7) | segments
//! ```
//!
//! Every message has a key of its own, derived from the session's with the salt and the total. The plaintext
//! is cut into segments of 32,752 bytes; each is encrypted with the nonce *prefix, number, whether it is the
//! last*, and carries a tag. A message without plaintext has no segment.

mod receiver;
mod sender;

pub use receiver::GcmReceiver;
pub use sender::{GcmMessage, GcmSender};

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes128Gcm, Aes256Gcm, KeyInit};

use super::RecordError;
use super::session::{SessionKey, Sized};

/// The length of a whole segment of AES-GCM on the wire, in bytes: no plaintext comes out in longer parts.
pub const SEGMENT_LEN: usize = 32 << 10;
/// The length of a segment's tag.
const TAG_LEN: usize = 16;
/// The length of the nonce that all segments of a message share.
const PREFIX_LEN: usize = 7;
/// The plaintext of a whole segment.
const PLAIN_LEN: usize = SEGMENT_LEN - TAG_LEN;
/// The longest beginning of a message: total, length, salt and prefix.
const MAX_HEAD_LEN: usize = 8 + 1 + 32 + PREFIX_LEN;

/// The length of a message's beginning under a key.
fn head_len(key: &SessionKey) -> usize {
    8 + 1 + key.bytes().len() + PREFIX_LEN
}

/// The key and the nonces of one message.
struct Segments {
    aead: Aead,
    prefix: [u8; PREFIX_LEN],
    next: u32,
}

enum Aead {
    Aes128(Box<Aes128Gcm>),
    Aes256(Box<Aes256Gcm>),
}

impl Segments {
    /// `head` is the whole beginning of a message.
    fn new(session: &SessionKey, head: &[u8]) -> Self {
        let (total, rest) = head.split_at(8);
        let (salt, prefix) = rest[1..].split_at(session.bytes().len());
        let key = SessionKey::derived(salt.len(), session.bytes(), salt, &[total]);
        let aead = match key.sized() {
            Sized::Aes128(key) => Aead::Aes128(Box::new(Aes128Gcm::new(key.into()))),
            Sized::Aes256(key) => Aead::Aes256(Box::new(Aes256Gcm::new(key.into()))),
        };
        let mut own = [0; PREFIX_LEN];
        own.copy_from_slice(prefix);
        let (prefix, next) = (own, 0);
        Self { aead, prefix, next }
    }

    fn nonce(&mut self, last: bool) -> [u8; 12] {
        let mut nonce = [0; 12];
        nonce[..7].copy_from_slice(&self.prefix);
        nonce[7..11].copy_from_slice(&self.next.to_be_bytes());
        nonce[11] = u8::from(last);
        self.next = self.next.wrapping_add(1);
        nonce
    }

    /// Encrypts the plaintext in front of the room for its tag.
    fn seal(&mut self, segment: &mut [u8], last: bool) {
        let nonce = self.nonce(last).into();
        let (plain, room) = segment.split_at_mut(segment.len() - TAG_LEN);
        let tag = match &self.aead {
            Aead::Aes128(aead) => aead.encrypt_inout_detached(&nonce, b"", plain.into()),
            Aead::Aes256(aead) => aead.encrypt_inout_detached(&nonce, b"", plain.into()),
        };
        room.copy_from_slice(&tag.expect("a segment is far below the limit of 64 GiB"));
    }

    /// Decrypts a segment in place and gives its plaintext.
    fn open<'a>(&mut self, segment: &'a mut [u8], last: bool) -> Result<&'a [u8], RecordError> {
        let nonce = self.nonce(last).into();
        let (cipher, tag) = segment
            .split_last_chunk_mut::<TAG_LEN>()
            .ok_or(RecordError::Damaged)?;
        let tag = (&*tag).into();
        match &self.aead {
            Aead::Aes128(aead) => {
                aead.decrypt_inout_detached(&nonce, b"", (&mut *cipher).into(), tag)
            }
            Aead::Aes256(aead) => {
                aead.decrypt_inout_detached(&nonce, b"", (&mut *cipher).into(), tag)
            }
        }
        .map_err(|_| RecordError::Damaged)?;
        Ok(cipher)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonces_tell_number_and_end() {
        let key = SessionKey::derived(32, b"key", b"", &[]);
        let mut segments = Segments::new(&key, &[9; 48]);
        assert_eq!(segments.nonce(false), [9, 9, 9, 9, 9, 9, 9, 0, 0, 0, 0, 0]);
        assert_eq!(segments.nonce(true), [9, 9, 9, 9, 9, 9, 9, 0, 0, 0, 1, 1]);
    }
}
