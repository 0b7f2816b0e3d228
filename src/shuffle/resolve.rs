//! In which of an executor's directories a file lies (Spark: `ExecutorDiskUtils.getFilePath`).

use super::block::FileName;
use super::roots::{LocalDir, Place};

/// Java's `String.hashCode`, made positive as Spark does it.
fn java_hash(text: &str) -> u32 {
    let hash = text.encode_utf16().fold(0i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    });
    // Spark takes 0 for the one number that has no positive counterpart.
    hash.checked_abs().unwrap_or(0).unsigned_abs()
}

/// Directories, in canonical form, and how many sub-directories each has: at least one of both.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) dirs: Vec<LocalDir>,
    pub(super) sub_dirs: usize,
}

/// Names the place of a file.
pub(super) fn locate(layout: &Layout, file: &FileName<'_>, place: &mut Place) {
    let dirs = &layout.dirs;
    let hash = java_hash(place.write_name(file)) as usize;
    place.enter(&dirs[hash % dirs.len()]);
    place.push_name((hash / dirs.len()) % layout.sub_dirs);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_javas() {
        // By hand: "ab" is 97 * 31 + 98; the others are well known.
        assert_eq!(java_hash("ab"), 3105);
        assert_eq!(java_hash("hello"), 99_162_322);
        assert_eq!(java_hash("Hello World"), 862_545_276_u32);
        assert_eq!(
            java_hash("polygenelubricants"),
            0,
            "i32::MIN has no positive"
        );
        assert_eq!(java_hash(""), 0);
    }
}
