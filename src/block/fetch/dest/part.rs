//! A file that is not complete yet.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{FallocateFlags, Mode, OFlags, fallocate, fstat, ftruncate, openat};
use rustix::io::Errno;

use crate::block::BlockId;

/// An unfinished file in the stage, under a name made from its path.
#[derive(Debug)]
pub(in super::super) struct Part {
    file: File,
    name: String,
    resumed: bool,
}

/// Requirements of a part.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Need {
    /// Bytes that the file will have.
    pub(in super::super) len: u64,
    /// Whether to continue the part of an earlier attempt.
    pub(in super::super) resume: bool,
    /// Whether to allocate all its disk space at once.
    pub(in super::super) reserve: bool,
}

/// The name in the stage of a file that belongs to `path`; its length does not depend on the
/// path's.
pub(super) fn name_of(path: &BlockId, suffix: &str) -> String {
    let hash = blake3::hash(path.as_bytes()).to_hex();
    format!("{}.{suffix}", &hash[..32])
}

impl Part {
    pub(super) fn open(stage: &OwnedFd, path: &BlockId, need: Need) -> Result<Self, Errno> {
        let Need {
            len,
            resume,
            reserve,
        } = need;
        let name = name_of(path, "part");
        let mut flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if !resume {
            flags |= OFlags::TRUNC;
        }
        let file = openat(stage, &*name, flags, Mode::RUSR | Mode::WUSR)?;
        let found = u64::try_from(fstat(&file)?.st_size).unwrap_or(0);
        if found > len {
            ftruncate(&file, len)?;
        }
        if reserve && found != len {
            take_room(&file, len)?;
        }
        Ok(Self {
            file: file.into(),
            name,
            resumed: resume && found > 0,
        })
    }

    /// The file.
    pub(in super::super) fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// True if an earlier attempt left a part.
    pub(in super::super) fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// Writes a chunk.
    pub(in super::super) fn write(&self, data: &[u8], offset: u64) -> std::io::Result<()> {
        self.file.write_all_at(data, offset)
    }

    /// Reads the part of a chunk that is on disk.
    pub(in super::super) fn read(&self, into: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.file.read_exact_at(into, offset)
    }
}

/// Takes the room for a large file at once: a full disk shows before the first byte is fetched.
fn take_room(file: &OwnedFd, len: u64) -> Result<(), Errno> {
    match fallocate(file, FallocateFlags::empty(), 0, len) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => ftruncate(file, len),
        done => done,
    }
}
