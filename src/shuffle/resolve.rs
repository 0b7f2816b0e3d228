//! In which of an executor's directories a file lies (Spark: `ExecutorDiskUtils.getFilePath`).

use std::fmt;

use super::block::FileName;
use super::roots::{LocalDir, Place};

/// Java's `String.hashCode`, made positive as Spark does it, of what is written into it.
struct JavaHash(i32);

impl fmt::Write for JavaHash {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for unit in text.encode_utf16() {
            self.0 = self.0.wrapping_mul(31).wrapping_add(i32::from(unit));
        }
        Ok(())
    }
}

impl JavaHash {
    fn of(name: &impl fmt::Display) -> u32 {
        let mut hash = JavaHash(0);
        // Writing into a hash cannot fail.
        let _ = fmt::Write::write_fmt(&mut hash, format_args!("{name}"));
        // Spark takes 0 for the one number that has no positive counterpart.
        hash.0.checked_abs().unwrap_or(0).unsigned_abs()
    }
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
    let hash = JavaHash::of(file) as usize;
    let sub = (hash / dirs.len()) % layout.sub_dirs;
    place.enter(&dirs[hash % dirs.len()]);
    place.push(format_args!("/{sub:02x}/{file}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_javas() {
        // By hand: "ab" is 97 * 31 + 98; the others are well known.
        assert_eq!(JavaHash::of(&"ab"), 3105);
        assert_eq!(JavaHash::of(&"hello"), 99_162_322);
        assert_eq!(JavaHash::of(&"Hello World"), 862_545_276_u32);
        assert_eq!(
            JavaHash::of(&"polygenelubricants"),
            0,
            "i32::MIN has no positive"
        );
        assert_eq!(JavaHash::of(&""), 0);
    }
}
