//! Digests of blocks: BLAKE3, cut at chunk boundaries.
//!
//! BLAKE3 is a tree, and a chunk whose length is a power of two (of at least 1 KiB) is a whole
//! subtree of it. So each chunk has a digest of its own that can be computed and compared alone, in
//! any order and on any thread, and the digests of all chunks together give the digest of the whole:
//! the very one that `b3sum` prints. Nothing is hashed twice.

use blake3::Hasher;
use blake3::hazmat::{
    ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root,
};

/// 32 bytes: a BLAKE3 digest, or a chunk's part of one.
pub type Digest = [u8; 32];

/// How a file is cut: every chunk but the last has the same length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunking {
    len: u64,
    chunk_len: u32,
}

impl Chunking {
    /// The shortest chunk: 16 KiB.
    pub const MIN_CHUNK_LEN: u32 = 16 << 10;
    /// The longest chunk: 64 MiB.
    pub const MAX_CHUNK_LEN: u32 = 64 << 20;
    /// Default length of a chunk: 4 MiB.
    pub const DEFAULT_CHUNK_LEN: u32 = 4 << 20;

    /// `len` bytes in chunks of `chunk_len`; `None` where that is no power of two between
    /// [`MIN_CHUNK_LEN`](Self::MIN_CHUNK_LEN) and [`MAX_CHUNK_LEN`](Self::MAX_CHUNK_LEN), or gives
    /// more chunks than a `u32` can number.
    pub fn new(len: u64, chunk_len: u32) -> Option<Self> {
        let allowed = (Self::MIN_CHUNK_LEN..=Self::MAX_CHUNK_LEN).contains(&chunk_len);
        if !allowed || !chunk_len.is_power_of_two() {
            return None;
        }
        let countable = len.div_ceil(u64::from(chunk_len)) <= u64::from(u32::MAX);
        countable.then_some(Self { len, chunk_len })
    }

    /// Bytes in all.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// True for no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of every chunk but the last.
    pub fn chunk_len(&self) -> u32 {
        self.chunk_len
    }

    /// Number of chunks; none for no bytes.
    pub fn count(&self) -> u32 {
        // `new` has checked that it fits.
        self.len.div_ceil(u64::from(self.chunk_len)) as u32
    }

    /// First byte and length of a chunk; `None` behind the last.
    pub fn range(&self, index: u32) -> Option<(u64, u32)> {
        let offset = u64::from(index) * u64::from(self.chunk_len);
        let left = self.len.checked_sub(offset).filter(|left| *left > 0)?;
        Some((offset, left.min(u64::from(self.chunk_len)) as u32))
    }

    /// Starts the digest of chunk `index`.
    pub fn hasher(&self, index: u32) -> ChunkHasher {
        let mut hasher = Hasher::new();
        let alone = self.count() <= 1;
        if !alone {
            hasher.set_input_offset(u64::from(index) * u64::from(self.chunk_len));
        }
        ChunkHasher { hasher, alone }
    }

    /// The digest of chunk `index`, whose bytes are `data`.
    pub fn digest(&self, index: u32, data: &[u8]) -> Digest {
        let mut hasher = self.hasher(index);
        hasher.update(data);
        hasher.finish()
    }

    /// The digest of the whole from those of all its chunks; `None` if their number is wrong.
    pub fn root(&self, chunks: &[Digest]) -> Option<Digest> {
        if chunks.len() != self.count() as usize {
            return None;
        }
        match chunks {
            [] => Some(*blake3::hash(b"").as_bytes()),
            [alone] => Some(*alone),
            _ => {
                let (left, right) = halves(chunks);
                let root = merge_subtrees_root(&merge(left), &merge(right), Mode::Hash);
                Some(*root.as_bytes())
            }
        }
    }
}

/// The left subtree holds the largest power of two of chunks that leaves some for the right.
fn halves(chunks: &[Digest]) -> (&[Digest], &[Digest]) {
    chunks.split_at(chunks.len().next_power_of_two() / 2)
}

fn merge(chunks: &[Digest]) -> ChainingValue {
    match chunks {
        [alone] => *alone,
        _ => {
            let (left, right) = halves(chunks);
            merge_subtrees_non_root(&merge(left), &merge(right), Mode::Hash)
        }
    }
}

/// The digest of one chunk, piece by piece.
#[derive(Clone, Debug)]
pub struct ChunkHasher {
    hasher: Hasher,
    alone: bool,
}

impl ChunkHasher {
    /// Takes the next bytes of the chunk.
    ///
    /// # Panics
    /// If one of several chunks gets more bytes than the chunk length.
    pub fn update(&mut self, data: &[u8]) {
        self.hasher.update(data);
    }

    /// The digest.
    pub fn finish(&self) -> Digest {
        if self.alone {
            *self.hasher.finalize().as_bytes()
        } else {
            self.hasher.finalize_non_root()
        }
    }
}

/// A digest as people write it: 64 hexadecimal digits.
pub fn to_hex(digest: &Digest) -> String {
    blake3::Hash::from_bytes(*digest).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: u32 = Chunking::MIN_CHUNK_LEN;

    #[test]
    fn chunks_together_give_the_digest_of_the_whole() {
        let chunk = CHUNK as usize;
        let mut lens = vec![0, 1, 1024, 1025, chunk - 1, chunk, chunk + 1];
        lens.extend((2..20).map(|count| count * chunk + count * 77));
        lens.extend([2 * chunk, 3 * chunk, 4 * chunk, 16 * chunk]);
        for len in lens {
            let data: Vec<u8> = (0..len).map(|at| (at * 31 + at / 251) as u8).collect();
            let cut = Chunking::new(len as u64, CHUNK).unwrap();
            let digests: Vec<Digest> = data
                .chunks(chunk)
                .enumerate()
                .map(|(index, part)| cut.digest(index as u32, part))
                .collect();
            let whole = blake3::hash(&data);
            assert_eq!(cut.root(&digests), Some(*whole.as_bytes()), "{len} bytes");
        }
    }

    #[test]
    fn chunks_cover_every_byte_once() {
        for len in [0, 1, 16 << 10, (16 << 10) + 1, 100_000] {
            let cut = Chunking::new(len, CHUNK).unwrap();
            let mut at = 0;
            for index in 0..cut.count() {
                let (offset, part) = cut.range(index).unwrap();
                assert_eq!(offset, at);
                assert!(part > 0);
                at += u64::from(part);
            }
            assert_eq!(at, len);
            assert_eq!(cut.range(cut.count()), None);
        }
    }

    #[test]
    fn lengths_that_are_no_subtree_are_refused() {
        for bad in [0, 1024, 3 << 20, 128 << 20, u32::MAX] {
            assert_eq!(Chunking::new(1, bad), None, "{bad}");
        }
        assert_eq!(Chunking::new(u64::MAX, CHUNK), None);
        assert_eq!(
            Chunking::new(1 << 20, 16 << 10)
                .unwrap()
                .root(&[[0; 32]; 3]),
            None
        );
    }

    #[test]
    fn equal_bytes_at_different_places_differ() {
        let cut = Chunking::new(4 * u64::from(CHUNK), CHUNK).unwrap();
        let data = vec![7; CHUNK as usize];
        assert_ne!(cut.digest(0, &data), cut.digest(1, &data));
    }
}
