//! CRC32C sums of the pieces of a block that does not change, each computed at most once.
//!
//! A slice's sum is combined from those of the pieces (granules) that it is made of. Granules begin at
//! multiples of [`GRANULE_LEN`] from the block's start, so whoever cuts slices there finds every sum, and
//! a slice that begins or ends within a granule has that part summed anew. Shards share a table: a sum that
//! two of them compute at once is the same, and whichever is stored last changes nothing.

use std::sync::atomic::{AtomicU64, Ordering};

use ringrail_codec::native::{RunningCrc, crc_of};

/// Bytes whose sum is kept as one: small enough to be in the cache while it is summed and sent, large enough
/// that a table takes 1/8192 of what it is for.
pub const GRANULE_LEN: u64 = 64 << 10;

/// Marks a sum that is known: sums have 32 bits.
const KNOWN: u64 = 1 << 32;

/// The sums of one block.
#[derive(Debug)]
pub(crate) struct BlockSums {
    /// Bytes of the block.
    len: u64,
    granules: Box<[AtomicU64]>,
}

/// How much of a range had to be summed, and its sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Summed {
    pub(crate) crc: u32,
    /// Bytes that were looked at; the others' sums were known.
    pub(crate) computed: usize,
}

impl Summed {
    /// The sum of bytes of which nothing is known.
    pub(crate) fn whole(bytes: &[u8]) -> Self {
        Self {
            crc: crc_of(bytes),
            computed: bytes.len(),
        }
    }
}

impl BlockSums {
    /// A table for a block of `len` bytes, with no sum in it.
    pub(crate) fn new(len: u64) -> Self {
        let granules = (0..Self::granules_of(len))
            .map(|_| AtomicU64::new(0))
            .collect();
        Self { len, granules }
    }

    /// Bytes of memory that the sums of a block of `len` bytes take.
    pub(crate) fn memory_for(len: u64) -> u64 {
        Self::granules_of(len) * size_of::<AtomicU64>() as u64
    }

    fn granules_of(len: u64) -> u64 {
        len.div_ceil(GRANULE_LEN)
    }

    /// The sum of `len` bytes from `start` on, where that of every part is known.
    pub(crate) fn known(&self, start: u64, len: u64) -> Option<u32> {
        let end = start.checked_add(len).filter(|end| *end <= self.len)?;
        let mut sum = RunningCrc::default();
        for part in Parts::new(start, end, self.len) {
            let crc = part.granule.and_then(|at| self.get(at))?;
            sum.add_sum(crc, part.len);
        }
        Some(sum.value())
    }

    /// The sum of `bytes`, which are the block's from `start` on; what had to be computed is kept. A file
    /// may have more bytes than its length said: those are summed and nothing is kept.
    pub(crate) fn fill(&self, start: u64, bytes: &[u8]) -> Summed {
        let end = start.saturating_add(bytes.len() as u64);
        if end > self.len {
            return Summed::whole(bytes);
        }
        let (mut sum, mut computed, mut rest) = (RunningCrc::default(), 0, bytes);
        for part in Parts::new(start, end, self.len) {
            let (piece, behind) = rest.split_at(part.len as usize);
            rest = behind;
            let crc = match part.granule.and_then(|at| self.get(at)) {
                Some(crc) => crc,
                None => {
                    let crc = crc_of(piece);
                    computed += piece.len();
                    if let Some(at) = part.granule {
                        self.granules[at].store(u64::from(crc) | KNOWN, Ordering::Relaxed);
                    }
                    crc
                }
            };
            sum.add_sum(crc, part.len);
        }
        let crc = sum.value();
        Summed { crc, computed }
    }

    fn get(&self, at: usize) -> Option<u32> {
        let sum = self.granules[at].load(Ordering::Relaxed);
        (sum & KNOWN != 0).then_some(sum as u32)
    }
}

/// A range cut at the granules of its block.
struct Parts {
    at: u64,
    end: u64,
    block_len: u64,
}

struct Part {
    len: u64,
    /// The granule that it is, where it is a whole one.
    granule: Option<usize>,
}

impl Parts {
    fn new(at: u64, end: u64, block_len: u64) -> Self {
        Self { at, end, block_len }
    }
}

impl Iterator for Parts {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        if self.at >= self.end {
            return None;
        }
        let granule = self.at / GRANULE_LEN;
        let from = granule * GRANULE_LEN;
        let to = (from + GRANULE_LEN).min(self.block_len);
        let whole = self.at == from && to <= self.end;
        let len = to.min(self.end) - self.at;
        self.at += len;
        Some(Part {
            len,
            granule: whole.then_some(granule as usize),
        })
    }
}

/// Bytes of whole granules that a cut must make, to be worth a frame of its own.
const WORTH_CUTTING: u64 = 4 * GRANULE_LEN;

/// How long a slice should be that begins at `at` of a block, where `left` bytes are to be sent and a slice has
/// `most`: such that slices are made of whole granules, but for the ends of a body that begins or ends within
/// one. Short bodies are not cut for it.
pub(crate) fn granular_len(at: u64, left: u64, most: u64) -> u64 {
    let want = left.min(most);
    let head = (GRANULE_LEN - at % GRANULE_LEN) % GRANULE_LEN;
    if head != 0 {
        return match want >= head && left >= head + WORTH_CUTTING {
            true => head,
            false => want,
        };
    }
    let whole = want - want % GRANULE_LEN;
    let least = match want == left {
        true => WORTH_CUTTING,
        false => GRANULE_LEN,
    };
    match whole >= least {
        true => whole,
        false => want,
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn content(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at * 31 + at / 977) as u8).collect()
    }

    #[test]
    fn a_granule_is_summed_once_however_often_it_is_sent() {
        let block = content(300_000);
        let sums = BlockSums::new(300_000);
        assert_eq!(sums.known(0, 300_000), None);
        let (crc, all) = (crc_of(&block), block.len());
        assert_eq!(sums.fill(0, &block), Summed { crc, computed: all });
        assert_eq!(sums.fill(0, &block), Summed { crc, computed: 0 });
        assert_eq!(sums.known(0, 300_000), Some(crc));
        let (second, third) = (64 << 10, 128 << 10);
        let crc = crc_of(&block[second..third]);
        assert_eq!(sums.known(64 << 10, 64 << 10), Some(crc));
        let crc = crc_of(&block[256 << 10..]);
        assert_eq!(sums.known(256 << 10, 300_000 - (256 << 10)), Some(crc));
    }

    #[test]
    fn parts_of_granules_are_summed_anew_and_kept_by_nobody() {
        let block = content(200_000);
        let sums = BlockSums::new(200_000);
        let crc = crc_of(&block[100..150_000]);
        // Bytes 64 KiB to 128 KiB are the one whole granule of the range.
        let computed = 150_000 - 100;
        assert_eq!(
            sums.fill(100, &block[100..150_000]),
            Summed { crc, computed }
        );
        let computed = computed - (64 << 10);
        assert_eq!(
            sums.fill(100, &block[100..150_000]),
            Summed { crc, computed }
        );
        assert_eq!(sums.known(100, 149_900), None);
        assert!(sums.known(64 << 10, 64 << 10).is_some());
        assert_eq!(sums.known(64 << 10, 1 << 20), None, "beyond its end");
        assert_eq!(sums.known(u64::MAX, 2), None);
        assert_eq!(sums.fill(7, &[]).computed, 0);
        let beyond = sums.fill(199_999, &block[..100]);
        assert_eq!(beyond, Summed::whole(&block[..100]));
        assert_eq!(sums.fill(u64::MAX, &block[..9]), Summed::whole(&block[..9]));
        assert_eq!(sums.known(196_608, 200_000 - 196_608), None);
    }

    #[test]
    fn slices_end_at_granules_where_they_can() {
        const MIB: u64 = 1 << 20;
        assert_eq!(granular_len(0, 4 * MIB, MIB), MIB);
        assert_eq!(granular_len(GRANULE_LEN, GRANULE_LEN, MIB), GRANULE_LEN);
        assert_eq!(granular_len(0, 4 * MIB, MIB - 16), MIB - GRANULE_LEN);
        assert_eq!(granular_len(16, 4 * MIB, MIB), GRANULE_LEN - 16, "its head");
        assert_eq!(granular_len(0, MIB + 7, 4 * MIB), MIB, "then its end");
        assert_eq!(granular_len(MIB, 7, 4 * MIB), 7);
        assert_eq!(granular_len(16, 4 * MIB, 1 << 16), GRANULE_LEN - 16);
        assert_eq!(granular_len(16, 4 * MIB, 4096), 4096);
        assert_eq!(granular_len(16, 100_000, MIB), 100_000, "too short");
        assert_eq!(granular_len(0, 100_000, MIB), 100_000, "too short");
        assert_eq!(granular_len(0, MIB, 4096), 4096, "slices of less than one");
        assert_eq!(granular_len(0, 0, MIB), 0);
    }

    #[test]
    fn a_table_takes_8_bytes_for_64_kib() {
        assert_eq!(BlockSums::memory_for(0), 0);
        assert_eq!(BlockSums::memory_for(1), 8);
        assert_eq!(BlockSums::memory_for(1 << 30), 128 << 10);
    }
}
