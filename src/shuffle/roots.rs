//! The directories that belong to the service, and the only way to what is below them.
//!
//! Every file is opened relative to a directory that was opened when the service started, by the kernel, with
//! no symbolic link on the way (`openat2`, `RESOLVE_BENEATH`, `RESOLVE_NO_SYMLINKS`): an application that can
//! write below one of them cannot make the service read or delete anything elsewhere, nor another
//! application's files through a link.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat, fcntl_setfl, fstat, ftruncate,
    openat, openat2, statat, unlinkat,
};
use rustix::io::Errno;

use super::error::ShuffleError;
use super::resolve::Layout;

/// Attempts before giving up when `openat2` keeps losing a rename race.
const RENAME_RACES_MAX: usize = 16;

const INSIDE: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS);

/// Whether a lookup may block on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// A shard: data that the kernel does not have in memory is [`Errno::AGAIN`] (`RESOLVE_CACHED`,
    /// Linux 5.12).
    Never,
    /// A helper thread.
    Allowed,
}

/// The service's local directories (Spark: `spark.local.dir`), held open.
#[derive(Debug)]
pub(super) struct LocalRoots {
    roots: Vec<Root>,
    #[cfg(test)]
    pub(super) slow_disk: super::slow_disk::SlowDisk,
}

#[derive(Debug)]
struct Root {
    path: PathBuf,
    fd: OwnedFd,
}

/// A directory below a root, in canonical form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LocalDir {
    root: usize,
    path: String,
    below: usize,
}

/// A file below a root. Reused from file to file, so that naming one allocates nothing.
#[derive(Debug, Default)]
pub(super) struct Place {
    root: usize,
    path: String,
    below: usize,
    name: String,
}

impl Place {
    /// Begins a path within `dir`; the rest is [pushed](Self::push_name).
    pub(super) fn enter(&mut self, dir: &LocalDir) {
        self.root = dir.root;
        self.below = dir.below;
        self.path.clear();
        self.path.push_str(&dir.path);
    }

    /// Writes a file's name, apart from the path; it is there until the next one.
    pub(super) fn write_name(&mut self, name: &impl std::fmt::Display) -> &str {
        self.name.clear();
        // Writing to a String cannot fail.
        let _ = std::fmt::Write::write_fmt(&mut self.name, format_args!("{name}"));
        &self.name
    }

    /// Adds a sub-directory and the name that was written.
    pub(super) fn push_name(&mut self, sub_dir: usize) {
        let _ = std::fmt::Write::write_fmt(&mut self.path, format_args!("/{sub_dir:02x}/"));
        self.path.push_str(&self.name);
    }

    /// The whole path: the key of caches, and the text in messages.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    fn below(&self) -> &str {
        self.path[self.below..].trim_start_matches('/')
    }
}

impl LocalRoots {
    /// Opens `dirs`.
    ///
    /// # Errors
    /// One cannot be opened, or its canonical path is not UTF-8.
    pub(super) fn open(dirs: &[PathBuf]) -> io::Result<Self> {
        let open = |dir: &PathBuf| {
            let named = |error: io::Error| {
                let text = format!("local directory {}: {error}", dir.display());
                io::Error::new(error.kind(), text)
            };
            let path = dir.canonicalize().map_err(named)?;
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let fd =
                openat(CWD, &path, flags, Mode::empty()).map_err(|errno| named(errno.into()))?;
            Ok(Root { path, fd })
        };
        let roots = dirs.iter().map(open).collect::<io::Result<_>>()?;
        Ok(Self {
            roots,
            #[cfg(test)]
            slow_disk: Default::default(),
        })
    }

    /// The position of `dir`, made canonical, below one of the roots. Reads the file system.
    ///
    /// # Errors
    /// If it is below none of them: Spark's text.
    pub(super) fn local_dir(&self, dir: &str) -> Result<LocalDir, ShuffleError> {
        let refused = || ShuffleError::NotALocalDir {
            dir: dir.to_owned(),
        };
        let whole = canonical(Path::new(dir)).ok_or_else(refused)?;
        let root = self
            .roots
            .iter()
            .position(|root| whole.starts_with(&root.path))
            .ok_or_else(refused)?;
        let path = whole.to_str().ok_or_else(refused)?.to_owned();
        let below = self.roots[root].path.as_os_str().len();
        Ok(LocalDir { root, path, below })
    }

    /// Whether one of these directories exists now.
    pub(super) fn is_any_there(&self, layout: &Layout) -> bool {
        layout.dirs.iter().any(|dir| self.is_there(dir))
    }

    fn is_there(&self, dir: &LocalDir) -> bool {
        let below = dir.path[dir.below..].trim_start_matches('/');
        let below = if below.is_empty() { "." } else { below };
        let found = statat(&self.roots[dir.root].fd, below, AtFlags::empty());
        // A disk that does not answer now may do so later.
        !matches!(found, Err(Errno::NOENT | Errno::NOTDIR))
    }

    /// The current metadata, without opening the file; does not follow links.
    pub(super) fn look(&self, place: &Place, wait: Wait) -> Result<Stat, Errno> {
        if wait == Wait::Never {
            let flags = OFlags::PATH | OFlags::NOFOLLOW;
            return fstat(self.find(place.root, place.below(), flags, wait)?);
        }
        #[cfg(test)]
        self.slow_disk.pass(place.below(), wait)?;
        statat(
            &self.roots[place.root].fd,
            place.below(),
            AtFlags::SYMLINK_NOFOLLOW,
        )
    }

    /// Opens a regular file for reading.
    pub(super) fn open_file(&self, place: &Place, wait: Wait) -> Result<(File, Stat), Errno> {
        // NONBLOCK: an open of a FIFO would block.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let fd = self.find(place.root, place.below(), flags, wait)?;
        let stat = fstat(&fd)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Errno::INVAL);
        }
        fcntl_setfl(&fd, OFlags::RDONLY)?;
        Ok((File::from(fd), stat))
    }

    /// Opens a regular file for writing, where `make` says so a new one or one of which nothing is left. Its
    /// directory is there.
    pub(super) fn write_file(&self, place: &Place, make: bool) -> Result<File, Errno> {
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let flags = if make { flags | OFlags::CREATE } else { flags };
        let fd = self.resolve(place.root, place.below(), flags)?;
        if FileType::from_raw_mode(fstat(&fd)?.st_mode) != FileType::RegularFile {
            return Err(Errno::INVAL);
        }
        if make {
            ftruncate(&fd, 0)?;
        }
        fcntl_setfl(&fd, OFlags::WRONLY)?;
        Ok(File::from(fd))
    }

    /// Deletes a file.
    pub(super) fn remove(&self, place: &Place) -> Result<(), Errno> {
        let (dir, name) = place.below().rsplit_once('/').ok_or(Errno::INVAL)?;
        let dir = self.resolve(place.root, dir, OFlags::PATH | OFlags::DIRECTORY)?;
        unlinkat(&dir, name, AtFlags::empty())
    }

    /// Opens an existing file.
    fn find(&self, root: usize, below: &str, flags: OFlags, wait: Wait) -> Result<OwnedFd, Errno> {
        #[cfg(test)]
        self.slow_disk.pass(below, wait)?;
        if wait == Wait::Allowed {
            return self.resolve(root, below, flags);
        }
        let root = &self.roots[root].fd;
        let inside = INSIDE | ResolveFlags::CACHED;
        openat2(root, below, flags | OFlags::CLOEXEC, Mode::empty(), inside)
    }

    fn resolve(&self, root: usize, below: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let root = &self.roots[root].fd;
        // Of files that are made: executors that run as another user of the group read them as well.
        let mode = match flags.contains(OFlags::CREATE) {
            true => Mode::from_raw_mode(0o644),
            false => Mode::empty(),
        };
        let open = || openat2(root, below, flags | OFlags::CLOEXEC, mode, INSIDE);
        for _ in 1..RENAME_RACES_MAX {
            match open() {
                Err(Errno::AGAIN) => std::thread::yield_now(),
                found => return found,
            }
        }
        open()
    }
}

/// The canonical form of a path whose last parts need not exist, as Java's `getCanonicalPath`; `None` for a
/// relative path and where `..` stands among what does not exist.
fn canonical(path: &Path) -> Option<PathBuf> {
    if !path.is_absolute() {
        return None;
    }
    let mut missing: Vec<&OsStr> = Vec::new();
    let mut at = path;
    loop {
        match at.canonicalize() {
            Ok(mut found) => {
                found.extend(missing.iter().rev());
                return Some(found);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let last = at.components().next_back()?;
                let Component::Normal(name) = last else {
                    return None;
                };
                // A link that leads nowhere yet may lead anywhere later.
                if at.is_symlink() {
                    return None;
                }
                missing.push(name);
                at = at.parent()?;
            }
            Err(_) => return None,
        }
    }
}
