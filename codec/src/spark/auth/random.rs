//! Randomness comes from the caller.

/// A source of random bytes for nonces and keys.
///
/// It must be a cryptographic one, such as the system's; everything rests on it. Every `FnMut(&mut [u8])` is
/// a source.
///
/// ```
/// use ringrail_codec::spark::auth::Random;
/// // For a test only: not random at all.
/// let mut source = |out: &mut [u8]| out.fill(7);
/// let mut bytes = [0; 2];
/// source.fill(&mut bytes);
/// assert_eq!(bytes, [7, 7]);
/// ```
pub trait Random {
    /// Fills `out`. A source that has none left must not return.
    fn fill(&mut self, out: &mut [u8]);
}

impl<F: FnMut(&mut [u8])> Random for F {
    fn fill(&mut self, out: &mut [u8]) {
        self(out);
    }
}

/// `N` random bytes.
pub(super) fn bytes<const N: usize>(random: &mut dyn Random) -> [u8; N] {
    let mut out = [0; N];
    random.fill(&mut out);
    out
}
