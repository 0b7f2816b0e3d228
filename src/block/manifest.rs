//! Contents of a block directory: entries, and the pages that carry them.
//!
//! A store's `walk` yields entries; the server packs them into pages; the fetcher reads the pages
//! and plans its work from them. A short manifest is sent in the reply itself, a long one as the
//! chunks of a stream, one page per chunk.

use rkyv::{Archive, Deserialize, Serialize};

use super::digest::Digest;

/// Bytes of entries after which a page is closed: 256 KiB.
pub const PAGE_LEN: usize = 256 << 10;

/// When and how a block was last written.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct Stamp {
    /// Bytes.
    pub len: u64,
    /// Permission bits, as of `chmod`.
    pub mode: u32,
    /// Time of the last write, in seconds since 1970.
    pub mtime_s: i64,
    /// The part of that time below a second, in ns.
    pub mtime_ns: u32,
    /// Changes when the block is replaced or written, independent of the time stamp.
    pub version: u64,
}

impl Stamp {
    /// True if both describe the same state of a block; the mode is ignored.
    pub fn same_content(&self, other: &Self) -> bool {
        self.len == other.len
            && self.version == other.version
            && self.mtime_s == other.mtime_s
            && self.mtime_ns == other.mtime_ns
    }
}

/// The kind of an entry.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub enum EntryKind {
    /// A block that can be opened and fetched.
    File {
        /// Its digest, if the manifest was requested with digests.
        digest: Option<Digest>,
    },
    /// A directory.
    Directory,
    /// A symbolic link; it is not followed.
    Symlink {
        /// The target, as the link stores it.
        target: Vec<u8>,
    },
    /// A pipe, a socket or a device: it has no content to fetch.
    Special {
        /// The kind of file.
        what: String,
    },
    /// An entry that the server cannot read.
    Unreadable {
        /// The reason.
        reason: String,
    },
}

/// One line of a manifest.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct Entry {
    /// The path below the requested one; empty for the requested one itself.
    pub path: Vec<u8>,
    /// The kind.
    pub kind: EntryKind,
    /// Its length, mode and time.
    pub stamp: Stamp,
}

impl Entry {
    /// Approximate size in a page, in bytes.
    pub(super) fn weight(&self) -> usize {
        let more = match &self.kind {
            EntryKind::Symlink { target } => target.len(),
            EntryKind::Special { what: text } | EntryKind::Unreadable { reason: text } => {
                text.len()
            }
            EntryKind::File { .. } | EntryKind::Directory => 0,
        };
        size_of::<ArchivedEntry>() + self.path.len() + more
    }
}

/// Some entries, in the order of the walk: a directory precedes its content.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct Page {
    /// The entries.
    pub entries: Vec<Entry>,
}
