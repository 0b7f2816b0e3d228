//! Storage of a server's chunks: a filled region of memory, or a mapped file.

use crate::pattern;
use crate::region::{FileMap, Region};
use crate::workload::Source;
use anyhow::{Context, Result, ensure};
use std::fs::File;

/// A chunk source, mapped into this process and ready to send from.
#[derive(Debug)]
pub(crate) enum Chunks {
    /// Filled memory.
    Memory(Region),
    /// A file and its mapping.
    ///
    /// It is the harness's own, and no process truncates it while a floor runs; a server of files
    /// that others may truncate must not send from a mapping like this.
    File {
        /// The open file.
        file: File,
        /// Its content.
        map: FileMap,
    },
}

impl Chunks {
    /// Fills the memory or maps the file.
    ///
    /// # Errors
    /// The file cannot be opened or is shorter than the workload says, or the mapping fails.
    pub(crate) fn open(source: &Source) -> Result<Self> {
        match source {
            Source::Memory { bytes } => {
                let mut region = Region::new(usize::try_from(*bytes)?)
                    .with_context(|| format!("mapping {bytes} bytes of memory"))?;
                pattern::fill(0, region.bytes_mut());
                Ok(Self::Memory(region))
            }
            Source::File { path, bytes } => {
                let file =
                    File::open(path).with_context(|| format!("opening {}", path.display()))?;
                let found = file.metadata()?.len();
                ensure!(
                    found >= *bytes,
                    "{} has {found} bytes, not {bytes}",
                    path.display()
                );
                let map = FileMap::new(&file, usize::try_from(*bytes)?)
                    .with_context(|| format!("mapping {}", path.display()))?;
                Ok(Self::File { file, map })
            }
        }
    }

    /// All of it.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Memory(region) => region.bytes(),
            Self::File { map, .. } => map.bytes(),
        }
    }

    /// The file behind it, if there is one.
    pub(crate) fn file(&self) -> Option<&File> {
        match self {
            Self::Memory(_) => None,
            Self::File { file, .. } => Some(file),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn memory_and_file_hold_the_same_pattern() {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary directory");
        let mut bytes = vec![0; 10_000];
        pattern::fill(0, &mut bytes);
        file.write_all(&bytes).expect("room");
        let path = file.path().to_path_buf();
        let from_file = Chunks::open(&Source::File {
            path,
            bytes: 10_000,
        })
        .expect("just written");
        let from_memory = Chunks::open(&Source::Memory { bytes: 10_000 }).expect("little memory");
        assert_eq!(from_file.bytes(), bytes);
        assert_eq!(from_memory.bytes(), bytes);
        assert!(from_file.file().is_some() && from_memory.file().is_none());
    }

    #[test]
    fn a_file_that_is_too_short_is_refused() {
        let file = tempfile::NamedTempFile::new().expect("a temporary directory");
        let path = file.path().to_path_buf();
        let refused = Chunks::open(&Source::File { path, bytes: 1 }).expect_err("an empty file");
        assert!(refused.to_string().contains("0 bytes, not 1"), "{refused}");
    }
}
