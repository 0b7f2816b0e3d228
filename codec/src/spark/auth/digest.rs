//! The sums of DIGEST-MD5 (RFC 2831), with Spark's names in them.

use md5::{Digest, Md5};
use zeroize::Zeroizing;

use super::Secret;

/// The user that every Spark process is: `sparkSaslUser` in base64.
pub(super) const USER: &str = "c3BhcmtTYXNsVXNlcg==";
/// The realm.
pub(super) const REALM: &str = "default";
/// The service: a protocol that Spark gives as null, and a server's name.
pub(super) const DIGEST_URI: &str = "null/default";
/// The count of a nonce's uses: there is one.
pub(super) const NONCE_COUNT: &str = "00000001";
/// The bytes of a nonce, before base64.
pub(super) const NONCE_LEN: usize = 30;

/// The values that both sides include in their digests.
pub(super) struct Exchange<'a> {
    pub(super) realm: &'a str,
    pub(super) nonce: &'a str,
    pub(super) cnonce: &'a str,
}

impl Exchange<'_> {
    /// The client's proof that it knows the secret.
    pub(super) fn response(&self, secret: &Secret) -> [u8; 32] {
        self.sum(secret, &format!("AUTHENTICATE:{DIGEST_URI}"))
    }

    /// The server's proof that it knows the secret.
    pub(super) fn rspauth(&self, secret: &Secret) -> [u8; 32] {
        self.sum(secret, &format!(":{DIGEST_URI}"))
    }

    fn sum(&self, secret: &Secret, a2: &str) -> [u8; 32] {
        let Self {
            realm,
            nonce,
            cnonce,
        } = self;
        let password = secret.password();
        let who = Zeroizing::new(format!("{USER}:{realm}:{}", password.as_str()));
        let a1 = Md5::new()
            .chain_update(Md5::digest(who.as_bytes()))
            .chain_update(format!(":{nonce}:{cnonce}"))
            .finalize();
        let sum = Md5::new()
            .chain_update(hex(a1.into()))
            .chain_update(format!(":{nonce}:{NONCE_COUNT}:{cnonce}:auth:"))
            .chain_update(hex(Md5::digest(a2).into()))
            .finalize();
        hex(sum.into())
    }
}

fn hex(sum: [u8; 16]) -> [u8; 32] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = [0; 32];
    for (pair, byte) in out.as_chunks_mut::<2>().0.iter_mut().zip(sum) {
        *pair = [byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]);
    }
    out
}
