//! A directory tree, served read-only.
//!
//! Every name is resolved by the kernel below the root's descriptor (`openat2`, `RESOLVE_BENEATH`):
//! symbolic links are followed as long as they stay inside, and names that lead outside are
//! refused, also while another process changes the tree.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use ringrail_transport::buf::ManagedBuffer;
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, fcntl_setfl, fstat, openat,
    openat2, readlinkat, statat,
};
use rustix::io::Errno;

use super::open_files::{MAX_OPEN_FILES, OpenFiles};
use super::{BlockStore, OpenBlock, StoreError, Visit};
use crate::block::{BlockId, Entry, EntryKind, Stamp};

/// Attempts before giving up when `openat2` keeps losing a rename race.
const RENAME_RACES_MAX: usize = 16;

const INSIDE: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS);

/// The files below a directory (Spark: `DiskBlockManager`, read-only).
#[derive(Debug)]
pub struct DirStore {
    root: OwnedFd,
    files: OpenFiles,
}

impl DirStore {
    /// Serves what is below `root`. The directory is held open: renaming it changes nothing.
    ///
    /// # Errors
    /// It cannot be opened, or is no directory.
    pub fn open_root(root: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, root, flags, Mode::empty())?;
        Ok(Self {
            root,
            files: OpenFiles::new(MAX_OPEN_FILES),
        })
    }

    /// Has at most `limit` files open at a time: `ringrail.block.maxOpenFiles`,
    /// [`MAX_OPEN_FILES`].
    #[must_use]
    pub fn with_max_open_files(mut self, limit: usize) -> Self {
        self.files = OpenFiles::new(limit);
        self
    }

    /// Resolves `path` below the root.
    fn resolve(
        &self,
        path: &BlockId,
        flags: OFlags,
        resolve: ResolveFlags,
    ) -> Result<OwnedFd, Errno> {
        let name = if path.is_root() {
            Path::new(".")
        } else {
            path.as_path()
        };
        for _ in 1..RENAME_RACES_MAX {
            match openat2(
                &self.root,
                name,
                flags | OFlags::CLOEXEC,
                Mode::empty(),
                resolve,
            ) {
                Err(Errno::AGAIN) => std::thread::yield_now(),
                found => return found,
            }
        }
        openat2(
            &self.root,
            name,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            resolve,
        )
    }

    /// Examines the target of a name without opening it: opening a device can have effects.
    fn look(&self, id: &BlockId) -> Result<Stat, StoreError> {
        let found = self.resolve(id, OFlags::PATH, INSIDE).and_then(fstat);
        found.map_err(|errno| error_of(id, errno))
    }

    fn open_file(&self, id: &BlockId) -> Result<(File, Stat), StoreError> {
        // NONBLOCK: a FIFO may have replaced the file meanwhile, and its open would block.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let opened = self.resolve(id, flags, INSIDE).and_then(|fd| {
            let stat = fstat(&fd)?;
            fcntl_setfl(&fd, OFlags::RDONLY)?;
            Ok((File::from(fd), stat))
        });
        opened.map_err(|errno| error_of(id, errno))
    }
}

impl BlockStore for DirStore {
    fn open(&self, id: &BlockId) -> Result<OpenBlock, StoreError> {
        check_regular(id, &self.look(id)?)?;
        let (file, stat) = self.open_file(id)?;
        check_regular(id, &stat)?;
        let stamp = stamp_of(&stat);
        let file = self
            .files
            .share((stat.st_dev, stat.st_ino), file)
            .map_err(|_| {
                let (what, key) = ("the table of open files", "ringrail.block.maxOpenFiles");
                StoreError::Busy {
                    what,
                    limit: self.files.limit() as u64,
                    key,
                }
            })?;
        Ok(OpenBlock {
            data: ManagedBuffer::file(Arc::clone(&file), 0, stamp.len),
            stamp,
        })
    }

    fn walk(&self, id: &BlockId, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let stat = self.look(id)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Walk {
                store: self,
                top: id,
                visit,
            }
            .run(),
            FileType::RegularFile => visit(Entry {
                path: Vec::new(),
                kind: EntryKind::File { digest: None },
                stamp: stamp_of(&stat),
            }),
            _ => check_regular(id, &stat),
        }
    }
}

/// A walk through one tree. Directories wait as paths, not as descriptors, so depth costs none.
struct Walk<'a, 'v> {
    store: &'a DirStore,
    top: &'a BlockId,
    visit: &'a mut Visit<'v>,
}

impl Walk<'_, '_> {
    fn run(&mut self) -> Result<(), StoreError> {
        let mut waiting = vec![BlockId::ROOT];
        while let Some(path) = waiting.pop() {
            let mut inner = self.directory(&path)?;
            inner.reverse();
            waiting.append(&mut inner);
        }
        Ok(())
    }

    /// Visits a directory and the files in it; the directories in it, by name.
    fn directory(&mut self, path: &BlockId) -> Result<Vec<BlockId>, StoreError> {
        let listed = self.list(path);
        let (fd, stat, names) = match listed {
            Ok(listed) => listed,
            // A directory deleted during the walk is treated as absent.
            Err(Errno::NOENT | Errno::NOTDIR) if !path.is_root() => return Ok(Vec::new()),
            Err(errno) if !path.is_root() => {
                let reason = format!("the directory cannot be read: {}", io::Error::from(errno));
                self.unreadable(path, reason)?;
                return Ok(Vec::new());
            }
            Err(errno) => return Err(error_of(self.top, errno)),
        };
        (self.visit)(Entry {
            path: path.as_bytes().to_vec(),
            kind: EntryKind::Directory,
            stamp: Stamp {
                len: 0,
                ..stamp_of(&stat)
            },
        })?;
        let mut inner = Vec::new();
        for name in names {
            let Ok(path) = path.join(&name) else {
                let lost = BlockId::new(path.as_bytes()).unwrap_or_default();
                self.unreadable(
                    &lost,
                    String::from("a name in it is longer than 4095 bytes"),
                )?;
                continue;
            };
            inner.extend(self.inside(&fd, &name, path)?);
        }
        Ok(inner)
    }

    fn list(&self, path: &BlockId) -> Result<(OwnedFd, Stat, Vec<Vec<u8>>), Errno> {
        let (whole, resolve) = match self.top.join(path.as_bytes()) {
            // The top may be reached by links; below it none is followed.
            Ok(whole) if path.is_root() => (whole, INSIDE),
            Ok(whole) if self.top.is_root() => (whole, INSIDE | ResolveFlags::NO_SYMLINKS),
            Ok(whole) => (whole, INSIDE),
            Err(_) => return Err(Errno::NAMETOOLONG),
        };
        let fd = self
            .store
            .resolve(&whole, OFlags::RDONLY | OFlags::DIRECTORY, resolve)?;
        let stat = fstat(&fd)?;
        let mut names = Vec::new();
        for entry in Dir::read_from(&fd)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(name.to_vec());
            }
        }
        names.sort_unstable();
        Ok((fd, stat, names))
    }

    /// Visits entries that are not directories; returns directories, to be walked later.
    fn inside(
        &mut self,
        parent: &OwnedFd,
        name: &[u8],
        path: BlockId,
    ) -> Result<Option<BlockId>, StoreError> {
        let stat = match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => {
                self.unreadable(&path, io::Error::from(errno).to_string())?;
                return Ok(None);
            }
        };
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => return Ok(Some(path)),
            FileType::RegularFile => EntryKind::File { digest: None },
            FileType::Symlink => match readlinkat(parent, name, Vec::new()) {
                Ok(target) => EntryKind::Symlink {
                    target: target.into_bytes(),
                },
                Err(errno) => EntryKind::Unreadable {
                    reason: io::Error::from(errno).to_string(),
                },
            },
            other => EntryKind::Special {
                what: kind_name(other).to_owned(),
            },
        };
        let path = path.as_bytes().to_vec();
        (self.visit)(Entry {
            path,
            kind,
            stamp: stamp_of(&stat),
        })?;
        Ok(None)
    }

    fn unreadable(&mut self, path: &BlockId, reason: String) -> Result<(), StoreError> {
        let kind = EntryKind::Unreadable { reason };
        (self.visit)(Entry {
            path: path.as_bytes().to_vec(),
            kind,
            stamp: Stamp::default(),
        })
    }
}

fn check_regular(id: &BlockId, stat: &Stat) -> Result<(), StoreError> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(()),
        other => Err(StoreError::NotABlock {
            id: id.clone(),
            what: kind_name(other),
        }),
    }
}

fn kind_name(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a file",
        FileType::Directory => "a directory",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a named pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Unknown => "of unknown kind",
    }
}

fn stamp_of(stat: &Stat) -> Stamp {
    let mut hasher = blake3::Hasher::new();
    for part in [
        stat.st_dev,
        stat.st_ino,
        stat.st_ctime as u64,
        stat.st_ctime_nsec,
        stat.st_size as u64,
    ] {
        hasher.update(&part.to_le_bytes());
    }
    let mut version = [0; 8];
    version.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    Stamp {
        len: u64::try_from(stat.st_size).unwrap_or(0),
        mode: stat.st_mode & 0o7777,
        mtime_s: stat.st_mtime,
        mtime_ns: stat.st_mtime_nsec as u32,
        version: u64::from_le_bytes(version),
    }
}

fn error_of(id: &BlockId, errno: Errno) -> StoreError {
    let (id, source) = (id.clone(), io::Error::from(errno));
    match errno {
        Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG => StoreError::NotFound { id },
        // `RESOLVE_BENEATH` reports this error for names that lead out, `RESOLVE_NO_MAGICLINKS` for
        // links of /proc.
        Errno::XDEV | Errno::LOOP => StoreError::Escapes { id },
        Errno::ACCESS | Errno::PERM => StoreError::Denied { id, source },
        Errno::MFILE | Errno::NFILE => StoreError::Busy {
            what: "the process's table of descriptors",
            limit: 0,
            key: "`ulimit -n`",
        },
        _ => StoreError::Io { id, source },
    }
}
