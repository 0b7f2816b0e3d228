//! "Random" bytes that are the same in every run.

use ringrail_codec::spark::auth::Random;

/// Bytes that follow from a seed (xorshift); the stored handshakes were made with them.
pub(crate) struct Seeded(pub(crate) u64);

impl Random for Seeded {
    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            *byte = (self.0 >> 32) as u8;
        }
    }
}

/// The bytes given, in their order, and no more.
pub(crate) struct Given(pub(crate) Vec<u8>);

impl Random for Given {
    fn fill(&mut self, out: &mut [u8]) {
        let rest = self.0.split_off(out.len());
        out.copy_from_slice(&self.0);
        self.0 = rest;
    }
}

/// Bytes that differ, for a body of `len`.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + 7 + (i >> 8)) as u8).collect()
}
