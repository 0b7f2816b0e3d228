//! The keys that a handshake of the auth engine has agreed on.

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::gcm::{GcmReceiver, GcmSender};
use super::{Cipher, CtrStream, Opener, Records, Sealer};

/// An AES key of 16 or 32 bytes.
#[derive(Clone)]
pub(super) struct SessionKey {
    bytes: Zeroizing<[u8; 32]>,
    len: usize,
}

impl SessionKey {
    /// A key of 32 bytes (AES-256).
    pub(super) fn long(bytes: &[u8; 32]) -> Self {
        let bytes = Zeroizing::new(*bytes);
        Self { bytes, len: 32 }
    }

    /// A key of `len` bytes, 16 or 32, derived from another by HKDF-SHA256.
    pub(super) fn derived(len: usize, from: &[u8], salt: &[u8], info: &[&[u8]]) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        derive(from, salt, info, &mut bytes[..len]);
        Self { bytes, len }
    }

    /// Its bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// The key by its length.
    pub(super) fn sized(&self) -> Sized<'_> {
        match self.bytes().as_array() {
            Some(short) => Sized::Aes128(short),
            None => Sized::Aes256(&self.bytes),
        }
    }
}

pub(super) enum Sized<'a> {
    Aes128(&'a [u8; 16]),
    Aes256(&'a [u8; 32]),
}

/// HKDF-SHA256.
pub(super) fn derive(from: &[u8], salt: &[u8], info: &[&[u8]], out: &mut [u8]) {
    Hkdf::<Sha256>::new(Some(salt), from)
        .expand_multi_info(info, out)
        .expect("it gives up to 8160 bytes");
}

/// The keys that a handshake yields, as seen from one side.
pub(super) struct SessionKeys {
    pub(super) key: SessionKey,
    pub(super) send_iv: [u8; 16],
    pub(super) receive_iv: [u8; 16],
}

impl SessionKeys {
    pub(super) fn records(&self, cipher: Cipher) -> Records {
        match cipher {
            Cipher::AesCtr => Records {
                sealer: Sealer::Ctr(CtrStream::new(&self.key, &self.send_iv)),
                opener: Opener::Ctr(CtrStream::new(&self.key, &self.receive_iv)),
            },
            Cipher::AesGcm => Records {
                sealer: Sealer::Gcm(GcmSender::new(self.key.clone())),
                opener: Opener::Gcm(GcmReceiver::new(self.key.clone())),
            },
        }
    }
}
