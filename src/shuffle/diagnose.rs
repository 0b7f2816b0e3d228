//! Diagnosis of corrupt blocks (Spark: `ShuffleChecksumHelper.diagnoseCorruption`).
//!
//! The writer stores a checksum of each partition beside the data; the reader sends its own. If the checksum
//! of the file differs from the writer's, the disk is the cause; if it matches and the reader's differs, the
//! network is.

use crc_fast::CrcAlgorithm;
use std::fs::File;
use std::os::unix::fs::FileExt;

use ringrail_codec::spark::shuffle::{Cause, DiagnoseCorruption};

use super::block::{ALGORITHMS, Block, FileName};
use super::files::Files;
use super::resolve::locate;
use super::roots::{Place, Wait};
use super::service::Shared;
use ringrail_transport::buf::ManagedBuffer;

/// Bytes that are read at once.
const READ_LEN: usize = 64 << 10;

/// Finds the cause; unknown if a file or checksum is missing. Reads the whole block.
pub(super) fn diagnose(shared: &Shared, asked: &DiagnoseCorruption<'_>) -> Cause {
    if !ALGORITHMS.contains(&asked.algorithm) {
        return Cause::UnsupportedChecksumAlgorithm;
    }
    let (Some(written), Some(now)) = (written(shared, asked), computed(shared, asked)) else {
        return Cause::UnknownIssue;
    };
    if written != now {
        Cause::DiskIssue
    } else if written != asked.checksum {
        Cause::NetworkIssue
    } else {
        Cause::ChecksumVerifyPass
    }
}

/// The checksum that the writer stored.
fn written(shared: &Shared, asked: &DiagnoseCorruption<'_>) -> Option<i64> {
    let executor = shared.executors.get(asked.app_id, asked.exec_id)?;
    let file = FileName::Checksum {
        shuffle: u32::try_from(asked.shuffle_id).ok()?,
        map: u64::try_from(asked.map_id).ok()?,
        algorithm: asked.algorithm,
    };
    let mut place = Place::default();
    locate(executor.layout(), &file, &mut place);
    let (file, _) = shared.roots.open_file(&place, Wait::Allowed).ok()?;
    let mut checksum = [0; 8];
    let at = u64::try_from(asked.reduce_id).ok()? * 8;
    file.read_exact_at(&mut checksum, at).ok()?;
    Some(i64::from_be_bytes(checksum))
}

/// The checksum of the file's present content.
fn computed(shared: &Shared, asked: &DiagnoseCorruption<'_>) -> Option<i64> {
    let executor = shared.executors.get(asked.app_id, asked.exec_id)?;
    let range = (asked.reduce_id, asked.reduce_id.checked_add(1)?);
    let block = Block::of_shuffle(asked.shuffle_id, asked.map_id, range).ok()?;
    // No cache: the request is rare and runs outside the shard.
    let found = Files::new(0, 1, Wait::Allowed)
        .find(&shared.roots, (executor.layout(), asked.app_id), block)
        .ok()?;
    let mut sum = Checksum::new(asked.algorithm)?;
    if let ManagedBuffer::File(part) = &found.data {
        read_through(&part.file, part.offset, part.len, |bytes| sum.update(bytes))?;
    }
    Some(i64::from(sum.finish()))
}

fn read_through(file: &File, from: u64, len: u64, mut take: impl FnMut(&[u8])) -> Option<()> {
    let mut buffer = vec![0; READ_LEN];
    let mut done = 0;
    while done < len {
        let want = (len - done).min(READ_LEN as u64) as usize;
        file.read_exact_at(&mut buffer[..want], from + done).ok()?;
        take(&buffer[..want]);
        done += want as u64;
    }
    Some(())
}

/// One of the kinds that Spark writes.
#[expect(clippy::large_enum_variant, reason = "one at a time, on the stack")]
enum Checksum {
    Adler32(adler2::Adler32),
    Crc(crc_fast::Digest),
}

impl Checksum {
    fn new(algorithm: &str) -> Option<Self> {
        match algorithm {
            "ADLER32" => Some(Checksum::Adler32(adler2::Adler32::new())),
            "CRC32" => Some(Self::crc(CrcAlgorithm::Crc32IsoHdlc)),
            "CRC32C" => Some(Self::crc(CrcAlgorithm::Crc32Iscsi)),
            _ => None,
        }
    }

    fn crc(algorithm: CrcAlgorithm) -> Self {
        Checksum::Crc(crc_fast::Digest::new(algorithm))
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Checksum::Adler32(sum) => sum.write_slice(bytes),
            Checksum::Crc(sum) => sum.update(bytes),
        }
    }

    fn finish(self) -> u32 {
        match self {
            Checksum::Adler32(sum) => sum.checksum(),
            // Sums of 32 bits in the low half.
            Checksum::Crc(sum) => sum.finalize() as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_the_published_ones() {
        // The check values of the catalogue of CRC algorithms, and of RFC 1950's Adler-32.
        for (algorithm, expected) in [
            ("ADLER32", 0x091e_01de),
            ("CRC32", 0xcbf4_3926),
            ("CRC32C", 0xe306_9283),
        ] {
            let mut sum = Checksum::new(algorithm).unwrap();
            sum.update(b"1234");
            sum.update(b"56789");
            assert_eq!(sum.finish(), expected, "{algorithm}");
        }
    }
}
