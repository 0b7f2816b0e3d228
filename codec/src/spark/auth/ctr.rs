//! AES in counter mode: one key stream per direction, over the plain frames.

use std::fmt;

use aes::{Aes128, Aes256};
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};

use super::session::{SessionKey, Sized};

/// The key stream of one direction. Encrypting and decrypting are the same, and the bytes may come in pieces
/// of any length, in their order.
///
/// It hides the plaintext and authenticates nothing: an attacker on the path can flip any bit of
/// it.
pub struct CtrStream(Stream);

enum Stream {
    Aes128(Box<Ctr128BE<Aes128>>),
    Aes256(Box<Ctr128BE<Aes256>>),
}

impl CtrStream {
    pub(super) fn new(key: &SessionKey, iv: &[u8; 16]) -> Self {
        let iv = iv.into();
        Self(match key.sized() {
            Sized::Aes128(key) => Stream::Aes128(Box::new(Ctr128BE::new(key.into(), iv))),
            Sized::Aes256(key) => Stream::Aes256(Box::new(Ctr128BE::new(key.into(), iv))),
        })
    }

    /// Encrypts or decrypts the next bytes in place.
    pub fn apply(&mut self, bytes: &mut [u8]) {
        match &mut self.0 {
            Stream::Aes128(stream) => stream.apply_keystream(bytes),
            Stream::Aes256(stream) => stream.apply_keystream(bytes),
        }
    }
}

impl fmt::Debug for CtrStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CtrStream(..)")
    }
}
