//! Opening files below a directory, and nowhere else.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fcntl_setfl, fstat, openat, openat2};

/// Resolved paths stay below the root, whatever links lie there; races with renames are refused.
const INSIDE: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS);

/// So often a lookup is tried that the kernel gave up because somebody renamed within the tree.
const RENAME_RACES: usize = 16;

/// A directory that files are opened below.
#[derive(Debug)]
pub(super) struct Root(OwnedFd);

impl Root {
    /// # Errors
    /// There is no such directory, or it cannot be read.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(openat(CWD, path, flags, Mode::empty())?))
    }

    /// A regular file below; `None` where there is none, or only one outside.
    ///
    /// # Errors
    /// It is there and cannot be opened.
    pub(super) fn file(&self, name: &Path) -> io::Result<Option<File>> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let mut opened = Err(rustix::io::Errno::AGAIN);
        for _ in 0..RENAME_RACES {
            opened = openat2(&self.0, name, flags, Mode::empty(), INSIDE);
            if !matches!(opened, Err(rustix::io::Errno::AGAIN)) {
                break;
            }
        }
        regular(opened)
    }
}

/// A regular file at `path`; `None` where there is none.
///
/// # Errors
/// It is there and cannot be opened.
pub(super) fn file_at(path: &Path) -> io::Result<Option<File>> {
    // Not to hang where a pipe lies there.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    regular(openat(CWD, path, flags, Mode::empty()))
}

fn regular(opened: rustix::io::Result<OwnedFd>) -> io::Result<Option<File>> {
    use rustix::io::Errno;
    let fd = match opened {
        Ok(fd) => fd,
        // XDEV: the name leads outside. It is not said whether anything lies there.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::XDEV | Errno::LOOP) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if FileType::from_raw_mode(fstat(&fd)?.st_mode) != FileType::RegularFile {
        return Ok(None);
    }
    fcntl_setfl(&fd, OFlags::RDONLY)?;
    Ok(Some(File::from(fd)))
}
