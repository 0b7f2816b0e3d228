//! The content of every payload, chunk source and test file: a function of the offset, so that
//! either side can check any byte without holding a copy.
//!
//! Word `n` of a source (eight bytes, little-endian) is the SplitMix64 hash of `n`. An RPC's
//! payload is the start of the pattern; a chunk is the piece of the source at its offset.

/// The eight bytes at word index `n`.
#[inline]
fn word(n: u64) -> u64 {
    let mut z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Offset of chunk number `id` in a source of `chunks` chunks of `chunk_len` bytes, in bytes: ids
/// wrap around.
#[must_use]
#[inline]
pub fn chunk_offset(id: u64, chunks: u64, chunk_len: u64) -> u64 {
    (id % chunks.max(1)) * chunk_len
}

/// Fills `out` with what a source holds from byte `offset` on.
///
/// ```
/// let (mut whole, mut piece) = ([0; 32], [0; 5]);
/// ringrail_floors::pattern::fill(100, &mut whole);
/// ringrail_floors::pattern::fill(103, &mut piece);
/// assert_eq!(whole[3..8], piece);
/// ```
pub fn fill(offset: u64, out: &mut [u8]) {
    let mut at = offset;
    let mut rest = out;
    while !rest.is_empty() {
        let bytes = word(at / 8).to_le_bytes();
        let skip = (at % 8) as usize;
        let take = (8 - skip).min(rest.len());
        let (head, tail) = rest.split_at_mut(take);
        head.copy_from_slice(&bytes[skip..skip + take]);
        rest = tail;
        at += take as u64;
    }
}

/// Whether `bytes` is what a source holds from byte `offset` on.
#[must_use]
pub fn matches(offset: u64, bytes: &[u8]) -> bool {
    let mut at = offset;
    let mut rest = bytes;
    while !rest.is_empty() {
        let skip = (at % 8) as usize;
        if skip == 0 {
            let (words, tail) = rest.as_chunks::<8>();
            if !words
                .iter()
                .zip(at / 8..)
                .all(|(&w, n)| u64::from_le_bytes(w) == word(n))
            {
                return false;
            }
            at += 8 * words.len() as u64;
            rest = tail;
        }
        let skip = (at % 8) as usize;
        let take = (8 - skip).min(rest.len());
        if rest[..take] != word(at / 8).to_le_bytes()[skip..skip + take] {
            return false;
        }
        rest = &rest[take..];
        at += take as u64;
    }
    true
}

/// Bytes compared at each place that [`spot_check`] looks at.
const SPOT_LEN: usize = 16;

/// Whether three places of a chunk that starts at `offset` hold the pattern: its start, its end,
/// and one that moves with `salt`. A check of a few cache lines, cheap enough for every chunk.
#[must_use]
pub fn spot_check(offset: u64, bytes: &[u8], salt: u64) -> bool {
    if bytes.len() <= SPOT_LEN {
        return matches(offset, bytes);
    }
    let last = bytes.len() - SPOT_LEN;
    let moving = (word(salt) % last as u64) as usize;
    [0, moving, last]
        .into_iter()
        .all(|at| matches(offset + at as u64, &bytes[at..at + SPOT_LEN]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_words_are_splitmix64_from_seed_zero() {
        // Published test vector of SplitMix64 with seed 0.
        assert_eq!(word(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(word(1), 0x6e78_9e6a_a1b9_65f4);
    }

    #[test]
    fn one_flipped_bit_anywhere_is_seen() {
        let mut bytes = vec![0; 50];
        fill(3, &mut bytes);
        assert!(matches(3, &bytes));
        for at in 0..bytes.len() {
            bytes[at] ^= 1;
            assert!(!matches(3, &bytes), "byte {at}");
            bytes[at] ^= 1;
        }
    }

    #[test]
    fn a_chunk_of_another_place_fails_the_spot_check() {
        let mut bytes = vec![0; 4096];
        fill(4096, &mut bytes);
        assert!((0..100).all(|salt| spot_check(4096, &bytes, salt)));
        assert!(!spot_check(0, &bytes, 1));
        bytes[4095] ^= 1;
        assert!(!spot_check(4096, &bytes, 1));
    }

    #[test]
    fn chunk_ids_wrap_around_the_source() {
        assert_eq!(chunk_offset(0, 4, 10), 0);
        assert_eq!(chunk_offset(7, 4, 10), 30);
        assert_eq!(chunk_offset(7, 1, 10), 0);
    }
}
