//! From a server's manifest to work: every entry is checked before anything is written.
//!
//! The server is a peer like any other. A path that leaves the destination, a file that is also a
//! directory, a name that comes twice: such a manifest is refused as a whole.

use std::collections::HashSet;

use super::dest::STAGE_NAME;
use super::event::Skipped;
use super::{FetchConf, FetchError};
use crate::block::digest::{Chunking, Digest};
use crate::block::{BlockId, Entry, EntryKind, Stamp};

/// The longest target that a symbolic link can have.
const MAX_TARGET_LEN: usize = 4095;

/// A directory to make.
#[derive(Debug)]
pub(super) struct DirPlan {
    pub(super) path: BlockId,
    pub(super) stamp: Stamp,
}

/// A symbolic link to make.
#[derive(Debug)]
pub(super) struct LinkPlan {
    pub(super) path: BlockId,
    pub(super) target: Vec<u8>,
    pub(super) stamp: Stamp,
}

/// A file to fetch.
#[derive(Debug)]
pub(super) struct FilePlan {
    pub(super) path: BlockId,
    pub(super) stamp: Stamp,
    pub(super) cut: Chunking,
    pub(super) digest: Option<Digest>,
}

/// The whole plan. Paths are relative to the requested one.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// True if a single file was requested: its path is empty.
    pub(super) single: bool,
    /// Parents first.
    pub(super) dirs: Vec<DirPlan>,
    pub(super) links: Vec<LinkPlan>,
    pub(super) files: Vec<FilePlan>,
    pub(super) skipped: Vec<Skipped>,
    pub(super) unreadable: Vec<Skipped>,
}

impl Plan {
    /// Checks the entries that the server gave for `id`.
    pub(super) fn new(
        id: &BlockId,
        entries: Vec<Entry>,
        conf: &FetchConf,
    ) -> Result<Self, FetchError> {
        let mut checks = Checks {
            plan: Plan::default(),
            seen: HashSet::new(),
            bytes: 0,
            conf,
        };
        let mut entries = entries.into_iter();
        let top = entries.next().ok_or_else(|| refused(b"", "it is empty"))?;
        checks.top(id, top)?;
        for entry in entries {
            checks.entry(entry)?;
        }
        Ok(checks.plan)
    }
}

struct Checks<'a> {
    plan: Plan,
    /// Every path so far, and whether it is a directory's.
    seen: HashSet<(BlockId, bool)>,
    bytes: u64,
    conf: &'a FetchConf,
}

impl Checks<'_> {
    fn top(&mut self, id: &BlockId, top: Entry) -> Result<(), FetchError> {
        if !top.path.is_empty() {
            return Err(refused(
                &top.path,
                "the first entry must be what was asked for",
            ));
        }
        check_stamp(&top)?;
        let stamp = top.stamp;
        match top.kind {
            EntryKind::Directory => {
                self.seen.insert((BlockId::ROOT, true));
                self.plan.dirs.push(DirPlan {
                    path: BlockId::ROOT,
                    stamp,
                });
                Ok(())
            }
            EntryKind::File { digest } => {
                self.plan.single = true;
                self.file(BlockId::ROOT, stamp, digest)
            }
            EntryKind::Special { what: reason } | EntryKind::Unreadable { reason } => {
                Err(FetchError::NotFetchable {
                    id: id.clone(),
                    reason,
                })
            }
            EntryKind::Symlink { .. } => {
                let reason = String::from("it is a symbolic link that the server did not follow");
                Err(FetchError::NotFetchable {
                    id: id.clone(),
                    reason,
                })
            }
        }
    }

    fn entry(&mut self, entry: Entry) -> Result<(), FetchError> {
        let path = BlockId::new(entry.path.clone())
            .map_err(|error| refused(&entry.path, &error.to_string()))?;
        check_stamp(&entry)?;
        let is_dir = matches!(entry.kind, EntryKind::Directory);
        let stamp = entry.stamp;
        match entry.kind {
            EntryKind::Special { what: reason } => {
                self.plan.skipped.push(Skipped { path, reason });
                return Ok(());
            }
            EntryKind::Unreadable { reason } => {
                self.plan.unreadable.push(Skipped { path, reason });
                return Ok(());
            }
            _ if path.first_component() == Some(STAGE_NAME.as_bytes()) => {
                if is_dir {
                    self.seen.insert((path.clone(), true));
                }
                let reason = String::from("it is what an unfinished fetch left on the server");
                self.plan.skipped.push(Skipped { path, reason });
                return Ok(());
            }
            _ => self.place(&path, is_dir)?,
        }
        match entry.kind {
            EntryKind::Directory => self.plan.dirs.push(DirPlan { path, stamp }),
            EntryKind::File { digest } => self.file(path, stamp, digest)?,
            EntryKind::Symlink { target } => {
                check_target(&path, &target)?;
                self.plan.links.push(LinkPlan {
                    path,
                    target,
                    stamp,
                });
            }
            EntryKind::Special { .. } | EntryKind::Unreadable { .. } => {}
        }
        Ok(())
    }

    /// Sees that a path is new and that a directory holds it.
    fn place(&mut self, path: &BlockId, is_dir: bool) -> Result<(), FetchError> {
        let bytes = path.as_bytes();
        let parent = path
            .parent()
            .ok_or_else(|| refused(bytes, "it comes twice"))?;
        if !self.seen.contains(&(parent, true)) {
            return Err(refused(bytes, "no directory that came before holds it"));
        }
        let key = (path.clone(), !is_dir);
        if self.seen.contains(&key) || !self.seen.insert((key.0, is_dir)) {
            return Err(refused(bytes, "it comes twice"));
        }
        Ok(())
    }

    fn file(
        &mut self,
        path: BlockId,
        stamp: Stamp,
        digest: Option<Digest>,
    ) -> Result<(), FetchError> {
        let sum = self
            .bytes
            .checked_add(stamp.len)
            .filter(|sum| i64::try_from(*sum).is_ok());
        let cut = Chunking::new(stamp.len, self.conf.chunk_len);
        match (sum, cut) {
            (Some(sum), Some(cut)) => {
                self.bytes = sum;
                self.plan.files.push(FilePlan {
                    path,
                    stamp,
                    cut,
                    digest,
                });
                Ok(())
            }
            _ => Err(refused(
                path.as_bytes(),
                "it is longer than any file can be",
            )),
        }
    }
}

fn check_stamp(entry: &Entry) -> Result<(), FetchError> {
    if entry.stamp.mtime_ns >= 1_000_000_000 {
        return Err(refused(&entry.path, "its time has more than a second's ns"));
    }
    Ok(())
}

fn check_target(path: &BlockId, target: &[u8]) -> Result<(), FetchError> {
    if target.is_empty() || target.len() > MAX_TARGET_LEN || target.contains(&0) {
        return Err(refused(
            path.as_bytes(),
            "no symbolic link can have its target",
        ));
    }
    Ok(())
}

fn refused(path: &[u8], reason: &str) -> FetchError {
    let path = path[..path.len().min(255)].escape_ascii().to_string();
    FetchError::Refused {
        path,
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, kind: EntryKind) -> Entry {
        Entry {
            path: path.into(),
            kind,
            stamp: Stamp::default(),
        }
    }

    fn file(path: &str) -> Entry {
        entry(path, EntryKind::File { digest: None })
    }

    fn dir(path: &str) -> Entry {
        entry(path, EntryKind::Directory)
    }

    fn plan(entries: Vec<Entry>) -> Result<Plan, FetchError> {
        Plan::new(&BlockId::ROOT, entries, &FetchConf::default())
    }

    fn refusal(entries: Vec<Entry>) -> String {
        plan(entries).unwrap_err().to_string()
    }

    #[test]
    fn a_tree_is_taken_apart() {
        let link = EntryKind::Symlink {
            target: b"../elsewhere".to_vec(),
        };
        let pipe = EntryKind::Special {
            what: "a named pipe".into(),
        };
        let tree = vec![
            dir(""),
            file("a"),
            entry("l", link),
            entry("p", pipe),
            dir("d"),
            file("d/b"),
        ];
        let plan = plan(tree).unwrap();
        assert_eq!(
            (plan.dirs.len(), plan.files.len(), plan.links.len()),
            (2, 2, 1)
        );
        assert_eq!(plan.skipped.len(), 1);
        assert!(!plan.single);
    }

    #[test]
    fn paths_that_leave_the_destination_are_refused() {
        for bad in ["../x", "/etc/passwd", "a/../../x", "..", "a//b", "d/\0"] {
            let text = refusal(vec![dir(""), dir("a"), dir("d"), file(bad)]);
            assert!(text.contains("manifest is refused"), "{bad}: {text}");
        }
    }

    #[test]
    fn contradictions_are_refused() {
        assert!(refusal(vec![]).contains("empty"));
        assert!(refusal(vec![file("a")]).contains("first entry"));
        assert!(refusal(vec![file(""), file("a")]).contains("no directory"));
        assert!(refusal(vec![dir(""), file("a"), file("a")]).contains("twice"));
        assert!(refusal(vec![dir(""), file("a"), dir("a")]).contains("twice"));
        assert!(refusal(vec![dir(""), dir("a"), file("a")]).contains("twice"));
        assert!(refusal(vec![dir(""), dir("")]).contains("twice"));
        assert!(refusal(vec![dir(""), file("d/a")]).contains("no directory"));
        let link = || EntryKind::Symlink {
            target: b"/etc".to_vec(),
        };
        let through = vec![dir(""), entry("l", link()), file("l/passwd")];
        assert!(
            refusal(through).contains("no directory"),
            "a link holds nothing"
        );
        let mut long = file("a");
        long.stamp.len = u64::MAX;
        assert!(refusal(vec![dir(""), long]).contains("longer"));
        let mut time = file("a");
        time.stamp.mtime_ns = 1_000_000_000;
        assert!(refusal(vec![dir(""), time]).contains("ns"));
        let empty = entry("l", EntryKind::Symlink { target: Vec::new() });
        assert!(refusal(vec![dir(""), empty]).contains("target"));
    }

    #[test]
    fn the_lengths_of_all_files_together_cannot_overflow() {
        let mut files = vec![dir("")];
        for name in ["a", "b", "c"] {
            let mut file = file(name);
            file.stamp.len = 1 << 62;
            files.push(file);
        }
        let conf = FetchConf {
            chunk_len: Chunking::MAX_CHUNK_LEN,
            ..FetchConf::default()
        };
        assert!(Plan::new(&BlockId::ROOT, files, &conf).is_err());
    }

    #[test]
    fn leftovers_of_a_fetch_are_skipped() {
        let stage = dir(STAGE_NAME);
        let part = file(&format!("{STAGE_NAME}/x.part"));
        let plan = plan(vec![dir(""), stage, part, file("a")]).unwrap();
        assert_eq!(
            (plan.files.len(), plan.skipped.len(), plan.dirs.len()),
            (1, 2, 1)
        );
    }
}
