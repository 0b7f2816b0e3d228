//! Files of a simulated executor: data and index files of one shuffle, in the page cache.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use ringrail_floors::pattern;
use tempfile::TempDir;

use super::Shuffle;

/// Sub-directories of the executor's one directory.
pub(super) const SUB_DIRS: u32 = 64;

/// The files; they go with this value.
pub(super) struct Files {
    root: TempDir,
    dir: PathBuf,
}

impl Files {
    /// Writes the output of all map tasks.
    pub(super) fn write(shuffle: Shuffle) -> anyhow::Result<Self> {
        let root = tempfile::tempdir().context("a temporary directory")?;
        let dir = root.path().join("blockmgr");
        let files = Self { root, dir };
        let len = shuffle.reduces as usize * shuffle.size as usize;
        let mut data = vec![0; len];
        let ends = (0..=shuffle.reduces).map(|at| u64::from(at) * u64::from(shuffle.size));
        let index: Vec<u8> = ends.flat_map(u64::to_be_bytes).collect();
        for map in 0..shuffle.maps {
            pattern::fill(shuffle.offset(map, 0), &mut data);
            files.place(&format!("shuffle_0_{map}_0.data"), &data)?;
            files.place(&format!("shuffle_0_{map}_0.index"), &index)?;
        }
        Ok(files)
    }

    /// The service's local directory.
    pub(super) fn root(&self) -> &Path {
        self.root.path()
    }

    /// The executor's directory.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    fn place(&self, name: &str, content: &[u8]) -> anyhow::Result<()> {
        // Java's String.hashCode; the directory is the only one.
        let hash = name.bytes().fold(0_i32, |hash, byte| {
            hash.wrapping_mul(31).wrapping_add(byte.into())
        });
        let sub = hash.checked_abs().unwrap_or(0) as u32 % SUB_DIRS;
        let dir = self.dir.join(format!("{sub:02x}"));
        fs::create_dir_all(&dir).context("a sub-directory")?;
        fs::write(dir.join(name), content).context("writing a map's output")
    }
}
