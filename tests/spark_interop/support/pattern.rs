//! Content that either side can compute.

use sha2::{Digest, Sha256};

/// `len` bytes of the pattern that the Java peers have too, from byte `offset` on.
pub(crate) fn pattern(offset: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    ringrail_floors::pattern::fill(offset, &mut bytes);
    bytes
}

/// SHA-256 in hexadecimal.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
