//! The names of blocks and of the files they lie in.
//!
//! A name from a peer is never used as a part of a path: it is taken apart into numbers, and the file's name
//! is made of these.

use std::fmt;

use super::error::ShuffleError;

/// A block that a chunk is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Block {
    /// The partitions from `first` to before `end` of one map's output.
    Shuffle {
        shuffle: u32,
        map: u64,
        first: u32,
        end: u32,
    },
    /// A partition of an RDD: a whole file.
    Rdd { rdd: u32, split: u32 },
    /// A chunk of a merged partition: push-based shuffle.
    Merged {
        shuffle: u32,
        merge: u32,
        reduce: u32,
        chunk: u32,
    },
}

impl Block {
    /// Reads a name of an `OpenBlocks` (Spark: `ExternalBlockHandler.ManagedBufferIterator`).
    ///
    /// # Errors
    /// It is no such name; Spark's text.
    pub(super) fn parse(id: &str) -> Result<Self, ShuffleError> {
        let unexpected = || ShuffleError::BlockName { id: id.to_owned() };
        let (kind, numbers) = id.split_once('_').ok_or_else(unexpected)?;
        let block = match kind {
            "shuffle" => fields(numbers).and_then(|[shuffle, map, reduce]| {
                let first = number(reduce)?;
                Some(Block::Shuffle {
                    shuffle: number(shuffle)?,
                    map: map_number(map)?,
                    first,
                    end: first + 1,
                })
            }),
            "rdd" => fields(numbers).and_then(|[rdd, split]| {
                Some(Block::Rdd {
                    rdd: number(rdd)?,
                    split: number(split)?,
                })
            }),
            "shuffleChunk" => fields(numbers).and_then(|[shuffle, merge, reduce, chunk]| {
                Some(Block::Merged {
                    shuffle: number(shuffle)?,
                    merge: number(merge)?,
                    reduce: number(reduce)?,
                    chunk: number(chunk)?,
                })
            }),
            _ => None,
        };
        block.ok_or_else(unexpected)
    }

    /// Blocks in it, as Spark counts them.
    pub(super) fn count(&self) -> u32 {
        match *self {
            Block::Shuffle { first, end, .. } => end - first,
            Block::Rdd { .. } | Block::Merged { .. } => 1,
        }
    }

    /// The shuffle block of these numbers, as in a `FetchShuffleBlocks`.
    ///
    /// # Errors
    /// A number is negative, or the range is none.
    pub(super) fn of_shuffle(
        shuffle: i32,
        map: i64,
        (first, end): (i32, i32),
    ) -> Result<Self, ShuffleError> {
        let bad = || ShuffleError::BadIndices {
            shuffle,
            map,
            first,
            end,
        };
        let index = |number: i32| u32::try_from(number).map_err(|_| bad());
        let block = Block::Shuffle {
            shuffle: index(shuffle)?,
            map: u64::try_from(map).map_err(|_| bad())?,
            first: index(first)?,
            end: index(end)?,
        };
        if first > end { Err(bad()) } else { Ok(block) }
    }

    /// The chunk of these numbers, as in a `FetchShuffleBlockChunks`.
    ///
    /// # Errors
    /// A number is negative.
    pub(super) fn of_merge(
        shuffle: i32,
        merge: i32,
        (reduce, chunk): (i32, i32),
    ) -> Result<Self, ShuffleError> {
        let numbers = [shuffle, merge, reduce, chunk].map(u32::try_from);
        let [Ok(shuffle), Ok(merge), Ok(reduce), Ok(chunk)] = numbers else {
            return Err(ShuffleError::BadMergeNumbers { shuffle, merge });
        };
        Ok(Block::Merged {
            shuffle,
            merge,
            reduce,
            chunk,
        })
    }
}

/// A file that contains blocks, or that belongs to one that does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileName<'a> {
    /// The bytes of one map's output.
    Data { shuffle: u32, map: u64 },
    /// The offsets of its partitions.
    Index { shuffle: u32, map: u64 },
    /// The checksums of its partitions, of one algorithm.
    Checksum {
        shuffle: u32,
        map: u64,
        algorithm: &'a str,
    },
    /// A partition of an RDD.
    Rdd { rdd: u32, split: u32 },
    /// One of the files of a merged partition. The application's id [fits](is_part_of_a_name).
    Merged {
        app: &'a str,
        shuffle: u32,
        merge: u32,
        reduce: u32,
        part: MergedPart,
    },
}

/// The files of a merged partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MergedPart {
    /// The blocks, concatenated.
    Data,
    /// The offsets of its chunks.
    Index,
    /// The maps whose blocks each chunk contains.
    Meta,
}

impl MergedPart {
    pub(super) const ALL: [MergedPart; 3] = [MergedPart::Data, MergedPart::Index, MergedPart::Meta];

    fn suffix(self) -> &'static str {
        match self {
            MergedPart::Data => "data",
            MergedPart::Index => "index",
            MergedPart::Meta => "meta",
        }
    }
}

/// Whether a text of a peer may be a part of a file's name: it leads nowhere and leaves room for the rest.
pub(super) fn is_part_of_a_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= 128 && !text.contains(['/', '\0'])
}

impl<'a> FileName<'a> {
    /// Reads the name of a file that a peer may have deleted.
    pub(super) fn parse(name: &'a str) -> Option<Self> {
        if let Some(numbers) = name.strip_prefix("rdd_") {
            let [rdd, split] = fields(numbers)?;
            return Some(FileName::Rdd {
                rdd: number(rdd)?,
                split: number(split)?,
            });
        }
        let (numbers, kind) = name.strip_prefix("shuffle_")?.split_once('.')?;
        let [shuffle, map, "0"] = fields(numbers)? else {
            return None;
        };
        let (shuffle, map) = (number(shuffle)?, map_number(map)?);
        match kind {
            "data" => Some(FileName::Data { shuffle, map }),
            "index" => Some(FileName::Index { shuffle, map }),
            _ => {
                let algorithm = kind.strip_prefix("checksum.")?;
                ALGORITHMS
                    .contains(&algorithm)
                    .then_some(FileName::Checksum {
                        shuffle,
                        map,
                        algorithm,
                    })
            }
        }
    }
}

/// The kinds of checksums that Spark writes.
pub(super) const ALGORITHMS: [&str; 3] = ["ADLER32", "CRC32", "CRC32C"];

impl fmt::Display for FileName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            FileName::Data { shuffle, map } => write!(f, "shuffle_{shuffle}_{map}_0.data"),
            FileName::Index { shuffle, map } => write!(f, "shuffle_{shuffle}_{map}_0.index"),
            FileName::Checksum {
                shuffle,
                map,
                algorithm,
            } => write!(f, "shuffle_{shuffle}_{map}_0.checksum.{algorithm}"),
            FileName::Rdd { rdd, split } => write!(f, "rdd_{rdd}_{split}"),
            FileName::Merged {
                app,
                shuffle,
                merge,
                reduce,
                part,
            } => {
                let suffix = part.suffix();
                write!(f, "shuffleMerged_{app}_{shuffle}_{merge}_{reduce}.{suffix}")
            }
        }
    }
}

/// Exactly `N` parts between underscores.
fn fields<const N: usize>(text: &str) -> Option<[&str; N]> {
    let mut parts = text.split('_');
    let mut found = [""; N];
    for place in &mut found {
        *place = parts.next()?;
    }
    parts.next().is_none().then_some(found)
}

/// A Java int that is not negative, as Java writes it: digits only, no zeros in front.
fn number(text: &str) -> Option<u32> {
    map_number(text)
        .filter(|number| *number <= i32::MAX as u64)
        .map(|number| number as u32)
}

/// A Java long that is not negative.
fn map_number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let padded = text.len() > 1 && text.starts_with('0');
    let number: u64 = text.parse().ok().filter(|_| digits && !padded)?;
    (number <= i64::MAX as u64).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart_and_tricks_are_not_names() {
        let block = Block::parse("shuffle_7_5000000000_3").unwrap();
        let expected = Block::of_shuffle(7, 5_000_000_000, (3, 4)).unwrap();
        assert_eq!(block, expected);
        assert_eq!(
            Block::parse("rdd_3_4").unwrap(),
            Block::Rdd { rdd: 3, split: 4 }
        );
        assert_eq!(
            Block::parse("shuffleChunk_1_2_3_4").unwrap(),
            Block::of_merge(1, 2, (3, 4)).unwrap()
        );
        assert!(Block::of_merge(1, 2, (3, -1)).is_err());
        for bad in [
            "",
            "rdd",
            "rdd_",
            "rdd_1",
            "rdd_1_2_3",
            "rdd_-1_2",
            "rdd_+1_2",
            "rdd_01_2",
            "rdd_1_2/../3",
            "shuffle_1_2",
            "shuffle_1_2_99999999999",
            "shuffle_a_2_3",
            "../rdd_1_2",
            "shuffle_1_2_3.data",
            "broadcast_1_2",
            "rdd_1_2147483648",
            "shuffle_1_9223372036854775808_0",
            "rdd_1_2\0",
        ] {
            assert!(Block::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn files_that_may_be_deleted_are_those_of_spark() {
        for good in [
            "rdd_1_2",
            "shuffle_0_12_0.data",
            "shuffle_0_12_0.index",
            "shuffle_0_12_0.checksum.CRC32C",
        ] {
            assert_eq!(FileName::parse(good).unwrap().to_string(), good);
        }
        for bad in [
            "shuffle_0_1_2.data",
            "shuffle_0_1_0",
            "shuffle_0_1_0.data/..",
            "shuffle_0_1_0.checksum.MD5",
            "shuffle_0_1_0.checksum.",
            "rdd_1_../../x",
            "temp_shuffle_1",
            "shuffle_0_1_0.index.tmp",
            "shuffleMerged_app_0_0_0.data",
            "..",
        ] {
            assert_eq!(FileName::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn numbers_that_are_no_blocks_are_refused() {
        let refused = [
            (-1, 0, (0, 1)),
            (0, -1, (0, 1)),
            (0, 0, (-1, 1)),
            (0, 0, (2, 1)),
            (0, 0, (i32::MIN, i32::MIN)),
        ];
        for (shuffle, map, range) in refused {
            assert!(Block::of_shuffle(shuffle, map, range).is_err());
        }
        assert!(Block::of_shuffle(i32::MAX, i64::MAX, (i32::MAX, i32::MAX)).is_ok());
    }
}
