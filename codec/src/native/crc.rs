//! CRC32C (Castagnoli) of slices: of bytes, and of two parts from the sums of both.
//!
//! A sender keeps the sums of the pieces of a block that does not change, and combines them for whatever
//! slice it cuts ([`combine_crc`]). A receiver sums a slice piece by piece while it comes in
//! ([`RunningCrc`]). Neither touches a byte twice.

/// The polynomial without its highest term, lowest power in the highest bit.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// The polynomial 1 in that order of bits.
const ONE: u32 = 1 << 31;

/// `x` to the power `8 << n` for each `n`: appending `1 << n` zero bytes multiplies a sum by it.
const ZEROS: [u32; 64] = {
    // x^8: the term of power 8 is that many bits below the highest.
    let mut powers = [ONE >> 8; 64];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = multiply(powers[at - 1], powers[at - 1]);
        at += 1;
    }
    powers
};

/// The CRC32C of `bytes`.
///
/// ```
/// assert_eq!(ringrail_codec::native::crc_of(b"123456789"), 0xe306_9283);
/// ```
#[inline]
pub fn crc_of(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// The CRC32C of two parts one behind the other, from the sums of both and the length of the second in
/// bytes. Costs tens of nanoseconds for each bit that is set in the length.
///
/// ```
/// use ringrail_codec::native::{combine_crc, crc_of};
/// assert_eq!(combine_crc(crc_of(b"12345"), crc_of(b"6789"), 4), crc_of(b"123456789"));
/// ```
pub const fn combine_crc(first: u32, second: u32, second_len: u64) -> u32 {
    let (mut sum, mut left) = (first, second_len);
    while left != 0 {
        sum = multiply(sum, ZEROS[left.trailing_zeros() as usize]);
        left &= left - 1;
    }
    sum ^ second
}

/// The product of two polynomials over GF(2), modulo the CRC's.
const fn multiply(a: u32, b: u32) -> u32 {
    let (mut product, mut shifted, mut bit) = (0, b, ONE);
    while bit != 0 {
        // All ones where the term is there: no branch depends on the data.
        product ^= shifted & 0u32.wrapping_sub((a & bit != 0) as u32);
        shifted = (shifted >> 1) ^ (POLYNOMIAL & 0u32.wrapping_sub(shifted & 1));
        bit >>= 1;
    }
    product
}

/// The sum of bytes that come in pieces.
///
/// ```
/// use ringrail_codec::native::{RunningCrc, crc_of};
/// let mut sum = RunningCrc::default();
/// sum.add(b"1234");
/// sum.add(b"56789");
/// assert_eq!((sum.value(), sum.len()), (crc_of(b"123456789"), 9));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunningCrc {
    crc: u32,
    len: u64,
}

impl RunningCrc {
    /// Sums `bytes` behind what has been summed.
    pub fn add(&mut self, bytes: &[u8]) {
        self.add_sum(crc_of(bytes), bytes.len() as u64);
    }

    /// Takes in the sum of `len` bytes behind what has been summed.
    pub const fn add_sum(&mut self, crc: u32, len: u64) {
        self.crc = match self.len {
            0 => crc,
            _ => combine_crc(self.crc, crc, len),
        };
        self.len += len;
    }

    /// The sum so far; that of no bytes is 0.
    pub const fn value(&self) -> u32 {
        self.crc
    }

    /// Bytes summed.
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// True where nothing has been summed.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(len: usize) -> Vec<u8> {
        let mut state = 7u32;
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..len).map(next).collect()
    }

    #[test]
    fn parts_combine_to_the_whole_wherever_it_is_cut() {
        let whole = bytes(70_000);
        let sum = crc_of(&whole);
        for cut in [0, 1, 2, 15, 16, 4095, 4096, 65_535, 65_536, 69_999, 70_000] {
            let (first, second) = whole.split_at(cut);
            let combined = combine_crc(crc_of(first), crc_of(second), second.len() as u64);
            assert_eq!(combined, sum, "cut at {cut}");
        }
    }

    #[test]
    fn a_long_run_of_zeros_combines_as_if_it_were_summed() {
        let first = bytes(1000);
        let zeros = vec![0; (5 << 20) + 3];
        let whole: Vec<u8> = first.iter().chain(&zeros).copied().collect();
        let combined = combine_crc(crc_of(&first), crc_of(&zeros), zeros.len() as u64);
        assert_eq!(combined, crc_of(&whole));
        // Appending in two steps is appending at once, for lengths that nobody sums.
        let (half, more) = (1 << 40, (1 << 50) + 77);
        let steps = combine_crc(combine_crc(5, 0, half), 0, more);
        assert_eq!(steps, combine_crc(5, 0, half + more));
    }

    #[test]
    fn a_running_sum_is_that_of_the_whole() {
        let whole = bytes(100_000);
        let mut sum = RunningCrc::default();
        for piece in whole.chunks(7777) {
            sum.add(piece);
        }
        assert_eq!((sum.value(), sum.len()), (crc_of(&whole), 100_000));
        sum.add(&[]);
        assert_eq!(sum.value(), crc_of(&whole));
        assert!(RunningCrc::default().is_empty());
        assert_eq!(RunningCrc::default().value(), crc_of(&[]));
    }
}
