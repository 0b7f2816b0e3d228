//! The files that an executor leaves behind: shuffle data, index and checksums, where Spark's
//! DiskBlockManager puts them. Written here from Spark's rules, not with the product's own code.

use std::fs;
use std::path::{Path, PathBuf};

/// Sub-directories of each local directory.
pub(crate) const SUB_DIRS: usize = 64;
/// The shuffle manager that executors name.
pub(crate) const MANAGER: &str = "org.apache.spark.shuffle.sort.SortShuffleManager";

/// An executor's id and local directories.
pub(crate) struct Executor {
    pub(crate) id: String,
    pub(crate) dirs: Vec<PathBuf>,
}

impl Executor {
    /// One with `dirs` local directories below the service's.
    pub(crate) fn new(id: &str, root: &Path, dirs: usize) -> Self {
        let dir = |n| root.join(format!("spark-{id}/blockmgr-{n}"));
        let dirs: Vec<_> = (0..dirs).map(dir).collect();
        for dir in &dirs {
            fs::create_dir_all(dir).expect("a directory");
        }
        Self {
            id: id.to_owned(),
            dirs,
        }
    }

    /// The directories as a command wants them.
    pub(crate) fn dirs_joined(&self) -> String {
        let dirs = self.dirs.iter().map(|dir| dir.display().to_string());
        dirs.collect::<Vec<_>>().join(",")
    }

    /// The path of the file of this name.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        let hash = java_hash(name).checked_abs().unwrap_or(0) as usize;
        let dir = &self.dirs[hash % self.dirs.len()];
        let sub = format!("{:02x}", hash / self.dirs.len() % SUB_DIRS);
        dir.join(sub).join(name)
    }

    /// Writes a file where it belongs.
    pub(crate) fn write(&self, name: &str, content: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("below a directory")).expect("a directory");
        fs::write(path, content).expect("room");
    }

    /// Writes one map task's output: one block for each reducer.
    pub(crate) fn write_map(&self, shuffle: u32, map: i64, blocks: &[Vec<u8>]) {
        let mut index = 0_i64.to_be_bytes().to_vec();
        let mut end = 0_i64;
        for block in blocks {
            end += block.len() as i64;
            index.extend(end.to_be_bytes());
        }
        self.write(&format!("shuffle_{shuffle}_{map}_0.index"), &index);
        self.write(&format!("shuffle_{shuffle}_{map}_0.data"), &blocks.concat());
    }
}

/// Java's `String.hashCode` of an ASCII name.
fn java_hash(name: &str) -> i32 {
    name.bytes().fold(0_i32, |hash, byte| {
        hash.wrapping_mul(31).wrapping_add(byte.into())
    })
}
