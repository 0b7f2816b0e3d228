//! The file that chunks are served from.

use crate::pattern;
use crate::workload::Source;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use tempfile::NamedTempFile;

/// Length of one write in bytes. Long writes make the page cache keep the file in large folios,
/// whose pages a receiver's copy need not look up one by one: a quarter of its time with small
/// ones.
const WRITE_LEN: usize = 16 << 20;

/// A file full of [`pattern`], removed when dropped.
#[derive(Debug)]
pub struct PatternFile {
    file: NamedTempFile,
    bytes: u64,
}

impl PatternFile {
    /// Writes `bytes` bytes to a new file in `dir`. They are on disk when this returns, so that no
    /// write-back disturbs a measurement, and in the page cache.
    ///
    /// # Errors
    /// The system's: no such directory, no space.
    pub fn create(dir: &Path, bytes: u64) -> io::Result<Self> {
        let mut file = tempfile::Builder::new()
            .prefix("ringrail-floors-")
            .tempfile_in(dir)?;
        write_pattern(file.as_file_mut(), bytes)?;
        file.as_file().sync_data()?;
        Ok(Self { file, bytes })
    }

    /// The file as a workload's source.
    #[must_use]
    pub fn source(&self) -> Source {
        Source::File {
            path: self.file.path().to_path_buf(),
            bytes: self.bytes,
        }
    }
}

fn write_pattern(file: &mut File, bytes: u64) -> io::Result<()> {
    let mut block = vec![0; WRITE_LEN];
    let mut at = 0;
    while at < bytes {
        let len = (bytes - at).min(WRITE_LEN as u64) as usize;
        pattern::fill(at, &mut block[..len]);
        file.write_all(&block[..len])?;
        at += len as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_file_holds_the_pattern_and_goes_with_its_owner() {
        let bytes = WRITE_LEN as u64 + 13;
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = PatternFile::create(dir.path(), bytes).expect("room");
        let Source::File {
            path,
            bytes: stated,
        } = file.source()
        else {
            panic!("a file is a file")
        };
        let content = fs::read(&path).expect("just written");
        assert_eq!((content.len() as u64, stated), (bytes, bytes));
        assert!(pattern::matches(0, &content));
        drop(file);
        assert!(!path.exists());
    }
}
