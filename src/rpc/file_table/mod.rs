//! The files that an env gives out, by name.

mod beneath;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use beneath::{Root, file_at};

use super::sync::Unpoisoned;

/// Why a file is not given out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileServerError {
    /// The env does not listen, so nobody could fetch anything.
    #[error("the env {env} listens nowhere (client mode): it cannot give out files")]
    ClientMode {
        /// The env.
        env: String,
    },
    /// The name cannot be one.
    #[error(
        "`{name}` is no name to give out: no empty parts, `.` or `..`; `files` and `jars` are taken"
    )]
    BadName {
        /// The name.
        name: String,
    },
    /// Something else has the name.
    #[error(
        "{name} was already registered with a different path (old path = {}, new path = {}): remove \
         it first, or choose another name", there.display(), new.display()
    )]
    Taken {
        /// The name.
        name: String,
        /// The path that has it.
        there: PathBuf,
        /// The path that was to have it.
        new: PathBuf,
    },
    /// There is something else than a regular file.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// Its path.
        path: PathBuf,
    },
    /// There are as many names as can be.
    #[error("{MAX_NAMES} names are given out already: remove some, or give out their directory")]
    TooMany,
    /// The file system refuses.
    #[error("cannot give out {}: {source}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Names of one kind that an env gives out at most.
pub(crate) const MAX_NAMES: usize = 65_536;

/// The two kinds of single files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shelf {
    Files,
    Jars,
}

impl Shelf {
    pub(crate) fn base(self) -> &'static str {
        match self {
            Shelf::Files => "files",
            Shelf::Jars => "jars",
        }
    }
}

#[derive(Default)]
struct Names {
    shelves: [HashMap<String, PathBuf>; 2],
    directories: HashMap<String, (PathBuf, Arc<Root>)>,
}

/// The files that an env gives out.
#[derive(Default)]
pub(crate) struct FileTable {
    names: RwLock<Names>,
}

impl FileTable {
    fn read(&self) -> RwLockReadGuard<'_, Names> {
        self.names.read().unpoisoned()
    }

    fn write(&self) -> RwLockWriteGuard<'_, Names> {
        self.names.write().unpoisoned()
    }

    pub(crate) fn add(&self, shelf: Shelf, name: &str, path: &Path) -> Result<(), FileServerError> {
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
            return Err(FileServerError::BadName { name: name.into() });
        }
        let path = path.canonicalize().map_err(|source| failed(path, source))?;
        match file_at(&path) {
            Ok(Some(_)) => {}
            Ok(None) => return Err(FileServerError::NotAFile { path }),
            Err(source) => return Err(failed(&path, source)),
        }
        let mut names = self.write();
        let shelf = &mut names.shelves[shelf as usize];
        match shelf.get(name) {
            Some(there) if *there == path => return Ok(()),
            Some(there) => {
                return Err(FileServerError::Taken {
                    name: name.into(),
                    there: there.clone(),
                    new: path,
                });
            }
            None if shelf.len() >= MAX_NAMES => return Err(FileServerError::TooMany),
            None => {}
        }
        shelf.insert(name.to_owned(), path);
        Ok(())
    }

    pub(crate) fn remove(&self, shelf: Shelf, name: &str) -> bool {
        self.write().shelves[shelf as usize].remove(name).is_some()
    }

    pub(crate) fn add_directory(&self, base: &str, path: &Path) -> Result<(), FileServerError> {
        let taken = base == Shelf::Files.base() || base == Shelf::Jars.base();
        let parts_are_names = base
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != ".." && !part.contains('\0'));
        if taken || !parts_are_names {
            return Err(FileServerError::BadName { name: base.into() });
        }
        let path = path.canonicalize().map_err(|source| failed(path, source))?;
        let root = Root::open(&path).map_err(|source| failed(&path, source))?;
        let mut names = self.write();
        if let Some((there, _)) = names.directories.get(base) {
            return Err(FileServerError::Taken {
                name: base.into(),
                there: there.clone(),
                new: path,
            });
        }
        if names.directories.len() >= MAX_NAMES {
            return Err(FileServerError::TooMany);
        }
        names
            .directories
            .insert(base.to_owned(), (path, Arc::new(root)));
        Ok(())
    }

    pub(crate) fn remove_directory(&self, base: &str) -> bool {
        self.write().directories.remove(base).is_some()
    }

    /// The file of a stream's name, `/files/a`; `None` where there is none.
    ///
    /// # Errors
    /// It is there and cannot be opened.
    pub(crate) fn open(&self, name: &str) -> io::Result<Option<File>> {
        let Some(name) = name.strip_prefix('/') else {
            return Ok(None);
        };
        for shelf in [Shelf::Files, Shelf::Jars] {
            let rest = name.strip_prefix(shelf.base());
            if let Some(file) = rest.and_then(|rest| rest.strip_prefix('/')) {
                let path = self.read().shelves[shelf as usize].get(file).cloned();
                return path.map_or(Ok(None), |path| file_at(&path));
            }
        }
        match self.below(name) {
            Some((root, rest)) => root.file(Path::new(rest)),
            None => Ok(None),
        }
    }

    /// The directory with the longest base that `name` lies under, and the rest of the name.
    fn below<'a>(&self, name: &'a str) -> Option<(Arc<Root>, &'a str)> {
        let names = self.read();
        let slashes = name.rmatch_indices('/').map(|(at, _)| at);
        slashes
            .map(|at| (&name[..at], &name[at + 1..]))
            .filter(|(_, rest)| !rest.is_empty())
            .find_map(|(base, rest)| {
                let (_, root) = names.directories.get(base)?;
                Some((Arc::clone(root), rest))
            })
    }
}

fn failed(path: &Path, source: io::Error) -> FileServerError {
    FileServerError::Io {
        path: path.to_owned(),
        source,
    }
}
