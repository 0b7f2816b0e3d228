//! The destination: files are written in a stage and get their names when they are complete.
//!
//! ```text
//! DEST/.ringrail-fetch/HASH.part ── complete, verified, mode and time set ── rename ──► DEST/path
//! ```
//!
//! Every path is resolved by the kernel below the destination's descriptor, through no symbolic
//! link (`openat2`, `RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS`), so nothing is ever written outside,
//! whatever names the server sends and whatever files exist. The stage is locked: one fetch at a
//! time.

mod part;

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags, ResolveFlags, Timespec, Timestamps,
    fchmod, flock, fsync, futimens, mkdirat, openat, openat2, readlinkat, renameat, statat,
    symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;

pub(super) use part::{Need, Part};

use super::{FetchError, LocalError};
use crate::block::{BlockId, Stamp};

/// Directory of unfinished files, below the destination.
pub(super) const STAGE_NAME: &str = ".ringrail-fetch";

/// Permission bits that are taken from the server; never set-user-id, set-group-id or sticky.
const MODE_MASK: u32 = 0o777;

const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS);

/// The directory whose descriptor was opened last.
type LastParent = Mutex<Option<(BlockId, Arc<OwnedFd>)>>;

/// The tree or file to write to.
#[derive(Debug)]
pub(super) struct Destination {
    root: OwnedFd,
    root_path: PathBuf,
    stage: OwnedFd,
    stage_name: OsString,
    last_parent: LastParent,
    sync: bool,
}

impl Destination {
    /// A directory for a tree; created if it is missing.
    pub(super) fn tree(path: &Path, sync: bool) -> Result<Self, FetchError> {
        std::fs::create_dir_all(path).map_err(|source| LocalError {
            doing: "make the directory",
            path: path.to_owned(),
            source,
        })?;
        Self::below(path, OsString::from(STAGE_NAME), path, sync)
    }

    /// The directory of a single file, and the file's name in it. A path that is a directory, or
    /// ends as one, takes the file under the name it has on the server.
    pub(super) fn file(
        path: &Path,
        remote_name: &[u8],
        sync: bool,
    ) -> Result<(Self, BlockId), FetchError> {
        let inside = path.is_dir() || path.as_os_str().as_bytes().ends_with(b"/");
        let path = if inside {
            path.join(OsStr::from_bytes(remote_name))
        } else {
            path.to_owned()
        };
        let name = path.file_name().map(|name| BlockId::new(name.as_bytes()));
        let name = match name {
            Some(Ok(name)) => name,
            // The only rule that a path's own last component can break.
            Some(Err(_)) => return Err(LocalError::new("write", path, Errno::NAMETOOLONG).into()),
            None => return Err(LocalError::new("write", path, Errno::ISDIR).into()),
        };
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        std::fs::create_dir_all(parent).map_err(|source| LocalError {
            doing: "make the directory",
            path: parent.to_owned(),
            source,
        })?;
        let hash = blake3::hash(name.as_bytes()).to_hex();
        let stage = OsString::from(format!("{STAGE_NAME}-{}", &hash[..16]));
        Ok((Self::below(parent, stage, &path, sync)?, name))
    }

    fn below(
        root_path: &Path,
        stage_name: OsString,
        shown: &Path,
        sync: bool,
    ) -> Result<Self, FetchError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let local = |doing, errno| LocalError::new(doing, root_path, errno);
        let root = openat(CWD, root_path, flags, Mode::empty())
            .map_err(|errno| local("open the directory", errno))?;
        match mkdirat(&root, &stage_name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(local("write in", errno).into()),
        }
        let stage = openat2(&root, &stage_name, flags, Mode::empty(), BENEATH)
            .map_err(|errno| local("keep unfinished files in", errno))?;
        match flock(&stage, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(FetchError::InUse {
                    path: shown.to_owned(),
                });
            }
            // Some file systems have no locks; the destination is the caller's to guard there.
            Err(_) => tracing::debug!(target: "ringrail::block", "the destination has no locks"),
        }
        let root_path = root_path.to_owned();
        let last_parent = Mutex::new(None);
        Ok(Self {
            root,
            root_path,
            stage,
            stage_name,
            last_parent,
            sync,
        })
    }

    /// A path as the user knows it.
    pub(super) fn shown(&self, path: &BlockId) -> PathBuf {
        self.root_path.join(path.as_path())
    }

    fn error(&self, doing: &'static str, path: &BlockId) -> impl FnOnce(Errno) -> LocalError {
        let path = self.shown(path);
        move |errno| LocalError::new(doing, path, errno)
    }

    /// The directory that holds `path`, and the name in it.
    fn parent<'p>(&self, path: &'p BlockId) -> Result<(Arc<OwnedFd>, &'p [u8]), Errno> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Errno::ISDIR);
        };
        let mut last = self
            .last_parent
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((of, fd)) = &*last
            && *of == parent
        {
            return Ok((Arc::clone(fd), name));
        }
        let fd = Arc::new(self.directory(&parent, OFlags::PATH)?);
        *last = Some((parent, Arc::clone(&fd)));
        Ok((fd, name))
    }

    fn directory(&self, path: &BlockId, flags: OFlags) -> Result<OwnedFd, Errno> {
        let name = if path.is_root() {
            Path::new(".")
        } else {
            path.as_path()
        };
        let flags = flags | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat2(&self.root, name, flags, Mode::empty(), BENEATH)
    }

    /// Creates a directory with access for its owner for now; an existing one is left as it is.
    pub(super) fn make_dir(&self, path: &BlockId) -> Result<(), LocalError> {
        let made = self.parent(path).and_then(|(parent, name)| {
            match mkdirat(&*parent, name, Mode::RWXU) {
                Ok(()) => Ok(()),
                // It must be a real directory: a link to one would lead elsewhere.
                Err(Errno::EXIST) => self.directory(path, OFlags::PATH).map(drop),
                Err(errno) => Err(errno),
            }
        });
        made.map_err(self.error("make the directory", path))
    }

    /// Sets a directory's mode and time, once its content is complete.
    pub(super) fn finish_dir(&self, path: &BlockId, stamp: &Stamp) -> Result<(), LocalError> {
        let finish = || {
            let fd = self.directory(path, OFlags::RDONLY)?;
            fchmod(&fd, Mode::from_raw_mode(stamp.mode & MODE_MASK))?;
            futimens(&fd, &times(stamp))?;
            self.synced(fd.as_fd())
        };
        finish().map_err(self.error("set mode and time of", path))
    }

    fn synced(&self, fd: BorrowedFd<'_>) -> Result<(), Errno> {
        if self.sync { fsync(fd) } else { Ok(()) }
    }

    /// Creates a symbolic link; replaces an existing file, but not a directory.
    pub(super) fn make_link(
        &self,
        path: &BlockId,
        target: &[u8],
        stamp: &Stamp,
    ) -> Result<(), LocalError> {
        let make = || {
            let (parent, name) = self.parent(path)?;
            let present = readlinkat(&*parent, name, Vec::new());
            if !present.is_ok_and(|present| present.as_bytes() == target) {
                let staged = part::name_of(path, "link");
                match unlinkat(&self.stage, &*staged, AtFlags::empty()) {
                    Ok(()) | Err(Errno::NOENT) => {}
                    Err(errno) => return Err(errno),
                }
                symlinkat(target, &self.stage, &*staged)?;
                renameat(&self.stage, &*staged, &*parent, name)?;
            }
            utimensat(&*parent, name, &times(stamp), AtFlags::SYMLINK_NOFOLLOW)
        };
        make().map_err(self.error("make the symbolic link", path))
    }

    /// True if `path` is a file of this length, and of this time unless `any_time`.
    pub(super) fn has(&self, path: &BlockId, stamp: &Stamp, any_time: bool) -> bool {
        let found = self
            .parent(path)
            .and_then(|(parent, name)| statat(&*parent, name, AtFlags::SYMLINK_NOFOLLOW));
        found.is_ok_and(|stat| {
            FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
                && u64::try_from(stat.st_size) == Ok(stamp.len)
                && (any_time
                    || (stat.st_mtime == stamp.mtime_s
                        && stat.st_mtime_nsec == u64::from(stamp.mtime_ns)))
        })
    }

    /// Opens an existing file for reading.
    pub(super) fn read(&self, path: &BlockId) -> Result<std::fs::File, LocalError> {
        let open = || {
            let (parent, name) = self.parent(path)?;
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            openat(&*parent, name, flags, Mode::empty())
        };
        open()
            .map(std::fs::File::from)
            .map_err(self.error("read", path))
    }

    /// Sets mode and time of a file that is kept.
    pub(super) fn touch(&self, path: &BlockId, stamp: &Stamp) -> Result<(), LocalError> {
        let file = self.read(path)?;
        let touch = || {
            fchmod(&file, Mode::from_raw_mode(stamp.mode & MODE_MASK))?;
            futimens(&file, &times(stamp))
        };
        touch().map_err(self.error("set mode and time of", path))
    }

    /// The unfinished form of a file.
    pub(super) fn part(&self, path: &BlockId, need: Need) -> Result<Part, LocalError> {
        Part::open(&self.stage, path, need).map_err(self.error("write", path))
    }

    /// Gives a complete file its mode, its time and its name.
    pub(super) fn publish(
        &self,
        part: &Part,
        path: &BlockId,
        stamp: &Stamp,
    ) -> Result<(), LocalError> {
        let publish = || {
            let (parent, name) = self.parent(path)?;
            fchmod(part.file(), Mode::from_raw_mode(stamp.mode & MODE_MASK))?;
            futimens(part.file(), &times(stamp))?;
            self.synced(part.file().as_fd())?;
            renameat(&self.stage, part.name(), &*parent, name)
        };
        publish().map_err(self.error("finish", path))
    }

    /// Removes the stage and its remaining content, once everything is complete.
    pub(super) fn close(&self) -> Result<(), LocalError> {
        let clear = || {
            for entry in Dir::read_from(&self.stage)? {
                let name = entry?.file_name().to_owned();
                if name.as_bytes() != b"." && name.as_bytes() != b".." {
                    unlinkat(&self.stage, name.as_c_str(), AtFlags::empty())?;
                }
            }
            unlinkat(&self.root, &self.stage_name, AtFlags::REMOVEDIR)?;
            self.synced(self.root.as_fd())
        };
        let path = self.root_path.join(&self.stage_name);
        clear().map_err(|errno: Errno| LocalError::new("remove", path, errno))
    }

    /// Removes the stage if it is empty: nothing was begun, or nothing is left to resume.
    pub(super) fn leave(&self) {
        // A stage that is not empty is kept for the next attempt.
        let _ = unlinkat(&self.root, &self.stage_name, AtFlags::REMOVEDIR);
    }
}

fn times(stamp: &Stamp) -> Timestamps {
    let time = Timespec {
        tv_sec: stamp.mtime_s,
        tv_nsec: i64::from(stamp.mtime_ns),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

impl From<LocalError> for io::Error {
    fn from(error: LocalError) -> Self {
        io::Error::new(error.source.kind(), error)
    }
}
