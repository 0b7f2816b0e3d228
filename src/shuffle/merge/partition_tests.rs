use std::cell::Cell;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::*;

const RULES: Rules = Rules {
    min_chunk_len: 10,
    max_io_errors: 2,
};

/// Files in a directory, of which some cannot be opened.
struct Disk {
    dir: tempfile::TempDir,
    broken: Cell<Option<MergedPart>>,
}

impl Disk {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            broken: Cell::new(None),
        }
    }

    fn path(&self, part: MergedPart) -> PathBuf {
        let name = match part {
            MergedPart::Data => "data",
            MergedPart::Index => "index",
            MergedPart::Meta => "meta",
        };
        Path::new(self.dir.path()).join(name)
    }

    fn read(&self, part: MergedPart) -> Vec<u8> {
        fs::read(self.path(part)).unwrap()
    }

    fn offsets(&self) -> Vec<i64> {
        let bytes = self.read(MergedPart::Index);
        let (words, rest) = bytes.as_chunks::<8>();
        assert!(rest.is_empty());
        words.iter().map(|word| i64::from_be_bytes(*word)).collect()
    }

    fn chunks(&self) -> Vec<Vec<u32>> {
        let bytes = self.read(MergedPart::Meta);
        let mut rest = &bytes[..];
        let mut chunks = Vec::new();
        while !rest.is_empty() {
            let maps = RoaringBitmap::deserialize_from(&mut rest).unwrap();
            chunks.push(maps.iter().collect());
        }
        chunks
    }

    fn open(&self, part: MergedPart, make: bool) -> io::Result<File> {
        if self.broken.get() == Some(part) {
            return Err(io::ErrorKind::Other.into());
        }
        File::options()
            .write(true)
            .create(make)
            .truncate(make)
            .open(self.path(part))
    }
}

fn append(partition: &mut Partition, disk: &Disk, map: u32, parts: &[&[u8]]) -> Appended {
    partition.append(map, parts, RULES, &|part, make| disk.open(part, make))
}

fn merged(appended: Appended) {
    assert!(matches!(appended, Appended::Merged), "{appended:?}");
}

#[test]
fn blocks_lie_one_behind_the_other_and_chunks_end_with_whole_blocks() {
    let (disk, mut partition) = (Disk::new(), Partition::default());
    merged(append(&mut partition, &disk, 3, &[b"aaaa", b"bb"]));
    assert_eq!(disk.offsets(), [0], "no chunk is long enough");
    merged(append(&mut partition, &disk, 0, &[b"cccc"]));
    assert_eq!(disk.offsets(), [0, 10]);
    merged(append(&mut partition, &disk, 70_000, &[b"dddddddddddd"]));
    merged(append(&mut partition, &disk, 7, &[b"e"]));
    let end = partition
        .finalize(&|part, make| disk.open(part, make))
        .unwrap();
    assert_eq!(end.len, 23);
    assert_eq!(end.maps.iter().collect::<Vec<_>>(), [0, 3, 7, 70_000]);
    assert_eq!(disk.read(MergedPart::Data), b"aaaabbccccdddddddddddde");
    assert_eq!(disk.offsets(), [0, 10, 22, 23]);
    assert_eq!(disk.chunks(), [vec![0, 3], vec![70_000], vec![7]]);
    let late = append(&mut partition, &disk, 9, &[b"x"]);
    assert!(matches!(late, Appended::Closed(Closed::Finalized)));
}

#[test]
fn a_block_comes_once() {
    let (disk, mut partition) = (Disk::new(), Partition::default());
    merged(append(&mut partition, &disk, 1, &[b"first"]));
    let again = append(&mut partition, &disk, 1, &[b"again"]);
    assert!(matches!(again, Appended::Duplicate));
    partition
        .finalize(&|part, make| disk.open(part, make))
        .unwrap();
    assert_eq!(disk.read(MergedPart::Data), b"first");
}

#[test]
fn what_a_torn_block_leaves_is_overwritten_and_cut_off() {
    let (disk, mut partition) = (Disk::new(), Partition::default());
    merged(append(&mut partition, &disk, 1, &[b"good"]));
    fs::write(disk.path(MergedPart::Data), b"goodtorn apart").unwrap();
    merged(append(&mut partition, &disk, 3, &[b"next"]));
    fs::write(disk.path(MergedPart::Meta), b"torn").unwrap();
    let end = partition
        .finalize(&|part, make| disk.open(part, make))
        .unwrap();
    assert_eq!(end.maps.iter().collect::<Vec<_>>(), [1, 3]);
    assert_eq!(disk.read(MergedPart::Data), b"goodnext");
    assert_eq!(disk.chunks(), [vec![1, 3]]);
}

#[test]
fn a_disk_that_fails_too_often_ends_the_merging() {
    let (disk, mut partition) = (Disk::new(), Partition::default());
    merged(append(&mut partition, &disk, 1, &[b"good"]));
    disk.broken.set(Some(MergedPart::Data));
    for _ in 0..=RULES.max_io_errors {
        let failed = append(&mut partition, &disk, 2, &[b"x"]);
        assert!(matches!(failed, Appended::Failed(_)), "{failed:?}");
    }
    disk.broken.set(None);
    let aborted = append(&mut partition, &disk, 2, &[b"x"]);
    assert!(matches!(aborted, Appended::Aborted), "{aborted:?}");
    let end = partition
        .finalize(&|part, make| disk.open(part, make))
        .unwrap();
    assert_eq!(
        end.maps.iter().collect::<Vec<_>>(),
        [1],
        "what was merged before is kept"
    );
}

#[test]
fn a_chunk_that_cannot_be_ended_is_ended_with_the_next_block() {
    for broken in [MergedPart::Index, MergedPart::Meta] {
        let (disk, mut partition) = (Disk::new(), Partition::default());
        merged(append(&mut partition, &disk, 1, &[b"good"]));
        disk.broken.set(Some(broken));
        merged(append(&mut partition, &disk, 2, &[b"more than ten"]));
        disk.broken.set(None);
        merged(append(&mut partition, &disk, 3, &[b"x"]));
        assert_eq!(
            (disk.offsets(), disk.chunks()),
            (vec![0, 18], vec![vec![1, 2, 3]])
        );
        let end = partition
            .finalize(&|part, make| disk.open(part, make))
            .unwrap();
        assert_eq!(end.len, 18);
    }
}

#[test]
fn blocks_of_a_chunk_that_cannot_be_ended_at_last_do_not_count() {
    let (disk, mut partition) = (Disk::new(), Partition::default());
    merged(append(&mut partition, &disk, 1, &[b"a whole chunk"]));
    merged(append(&mut partition, &disk, 2, &[b"half"]));
    // Opened once more than it may be: ending the chunk fails, cutting does not.
    let failures = Cell::new(1);
    let end = partition.finalize(&|part, make| {
        if part == MergedPart::Meta && failures.replace(0) == 1 {
            return Err(io::ErrorKind::Other.into());
        }
        disk.open(part, make)
    });
    let end = end.unwrap();
    assert_eq!(
        (end.maps.iter().collect::<Vec<_>>(), end.len),
        (vec![1], 13)
    );
    assert_eq!(disk.read(MergedPart::Data), b"a whole chunk");
}

#[test]
fn nothing_merged_is_nothing() {
    let mut partition = Partition::default();
    assert!(
        partition
            .finalize(&|_, _| unreachable!("there is no file"))
            .is_none()
    );
}
