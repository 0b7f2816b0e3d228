//! Names of blocks: relative paths that are validated once and then safe to join to a root.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::str::FromStr;

/// Most bytes that a block's name may have: Linux's own limit of a path, less its closing zero.
pub const MAX_ID_LEN: usize = 4095;

/// Most bytes that one component of a name may have: Linux's own limit of a file name.
pub const MAX_COMPONENT_LEN: usize = 255;

/// The name of a block, or of a directory of blocks (Spark: `BlockId`).
///
/// A relative path of components between single slashes. No component is empty, `.` or `..`, none
/// holds a zero byte, so a name can never leave the root that it is joined to by itself (symbolic
/// links are the store's affair). The root itself is the empty name. Names are bytes, as Linux's
/// are; they need not be UTF-8.
///
/// ```
/// use ringrail::block::BlockId;
///
/// let id: BlockId = "shuffle/shuffle_3_7_0.data".parse()?;
/// assert_eq!(id.file_name(), Some(&b"shuffle_3_7_0.data"[..]));
/// assert!("../secret".parse::<BlockId>().is_err());
/// assert!("/etc/passwd".parse::<BlockId>().is_err());
/// # Ok::<(), ringrail::block::BlockIdError>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockId {
    path: Vec<u8>,
}

/// A text or path that cannot name a block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{id:?} cannot name a block: {reason}")]
pub struct BlockIdError {
    id: String,
    reason: &'static str,
}

impl BlockId {
    /// The root: the name of everything that a store holds.
    pub const ROOT: BlockId = BlockId { path: Vec::new() };

    /// Checks bytes, from a peer or anywhere else.
    ///
    /// # Errors
    /// Says which rule they break.
    pub fn new(path: impl Into<Vec<u8>>) -> Result<Self, BlockIdError> {
        let path = path.into();
        match check(&path) {
            Ok(()) => Ok(Self { path }),
            Err(reason) => {
                let shown = &path[..path.len().min(MAX_COMPONENT_LEN)];
                Err(BlockIdError {
                    id: String::from_utf8_lossy(shown).into_owned(),
                    reason,
                })
            }
        }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.path
    }

    /// As a relative path; empty for the root.
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.path))
    }

    /// True for the root.
    pub fn is_root(&self) -> bool {
        self.path.is_empty()
    }

    /// The last component; `None` for the root.
    pub fn file_name(&self) -> Option<&[u8]> {
        self.path
            .rsplit(|byte| *byte == b'/')
            .next()
            .filter(|name| !name.is_empty())
    }

    /// The containing directory; `None` for the root.
    pub fn parent(&self) -> Option<BlockId> {
        if self.is_root() {
            return None;
        }
        let end = self
            .path
            .iter()
            .rposition(|byte| *byte == b'/')
            .unwrap_or(0);
        Some(Self {
            path: self.path[..end].to_vec(),
        })
    }

    /// The block of this name within `self`.
    ///
    /// # Errors
    /// `name` breaks a rule, or the whole is too long.
    pub fn join(&self, name: &[u8]) -> Result<Self, BlockIdError> {
        let mut path = Vec::with_capacity(self.path.len() + 1 + name.len());
        path.extend_from_slice(&self.path);
        if !self.is_root() && !name.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        Self::new(path)
    }

    /// The first component; `None` for the root.
    pub fn first_component(&self) -> Option<&[u8]> {
        self.path
            .split(|byte| *byte == b'/')
            .next()
            .filter(|name| !name.is_empty())
    }

    /// As text, with invalid UTF-8 replaced.
    pub fn to_string_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.path)
    }
}

fn check(path: &[u8]) -> Result<(), &'static str> {
    if path.is_empty() {
        return Ok(());
    }
    if path.len() > MAX_ID_LEN {
        return Err("it is longer than 4095 bytes");
    }
    if path[0] == b'/' {
        return Err("it is absolute");
    }
    for component in path.split(|byte| *byte == b'/') {
        match component {
            b"" => return Err("it has an empty component"),
            b"." | b".." => return Err("it has a component `.` or `..`"),
            _ if component.contains(&0) => return Err("it has a zero byte"),
            _ if component.len() > MAX_COMPONENT_LEN => {
                return Err("it has a component longer than 255 bytes");
            }
            _ => {}
        }
    }
    Ok(())
}

impl FromStr for BlockId {
    type Err = BlockIdError;

    fn from_str(text: &str) -> Result<Self, BlockIdError> {
        Self::new(text)
    }
}

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str("/");
        }
        for chunk in self.path.utf8_chunks() {
            for char in chunk.valid().chars() {
                if char.is_control() {
                    write!(f, "{}", char.escape_default())?;
                } else {
                    write!(f, "{char}")?;
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_the_root_are_refused() {
        for bad in [
            "..", "a/..", "../a", "a/../b", ".", "a/./b", "/a", "a//b", "a/", "a\0b",
        ] {
            assert!(BlockId::new(bad).is_err(), "{bad:?}");
        }
        assert!(BlockId::new("x".repeat(256)).is_err());
        assert!(BlockId::new(vec![b'a'; MAX_ID_LEN + 1]).is_err());
    }

    #[test]
    fn odd_names_are_names() {
        for good in [
            &b"a"[..],
            b"...",
            b"..a",
            b"a b",
            b"\xff\xfe",
            b"new\nline",
            b"a/b/c",
            b"~",
        ] {
            assert!(BlockId::new(good).is_ok(), "{good:?}");
        }
        assert_eq!(
            BlockId::new(&b"\xffa\n"[..]).unwrap().to_string(),
            "\\xffa\\n"
        );
    }

    #[test]
    fn names_take_apart_and_join() {
        let id: BlockId = "a/b/c".parse().unwrap();
        assert_eq!(id.file_name(), Some(&b"c"[..]));
        assert_eq!(id.first_component(), Some(&b"a"[..]));
        assert_eq!(id.parent().unwrap().to_string(), "a/b");
        assert_eq!(BlockId::new("a").unwrap().parent().unwrap(), BlockId::ROOT);
        assert_eq!(BlockId::ROOT.parent(), None);
        assert_eq!(
            BlockId::ROOT
                .join(b"x")
                .unwrap()
                .join(b"y/z")
                .unwrap()
                .to_string(),
            "x/y/z"
        );
        assert_eq!(id.join(b"").unwrap(), id);
        assert!(id.join(b"..").is_err());
        assert_eq!(BlockId::ROOT.to_string(), "/");
    }
}
