//! Directory of the demonstration's data: in memory if there is plenty, so that no disk affects the
//! figures.

use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};

use crate::cli::size::Size;

/// Linux's file system in memory, where programs may put what they share.
const MEMORY: &str = "/dev/shm";

/// Type number that `statfs` reports for a file system in memory.
const TMPFS_MAGIC: u64 = 0x0102_1994;

/// Number of copies of the data that the directory holds.
const COPIES: u64 = 2;

/// So many times the data must fit into free memory before memory is used for it.
const PLENTY: u64 = 4;

/// The directory asked for, if it has room; else memory if that has plenty, else where temporary
/// files go.
pub(super) fn choose(asked: Option<&Path>, size: u64) -> anyhow::Result<PathBuf> {
    let base = match asked {
        Some(dir) => dir.to_owned(),
        None if has_plenty(Path::new(MEMORY), size) => PathBuf::from(MEMORY),
        None => std::env::temp_dir(),
    };
    let free = free(&base)?;
    let need = size.saturating_mul(COPIES);
    if free < need {
        bail!(
            "{} has {} free, and {} are needed: give a smaller --size or another --dir",
            base.display(),
            Size(free),
            Size(need)
        );
    }
    Ok(base)
}

/// True where files in `dir` lie in memory.
pub(super) fn is_in_memory(dir: &Path) -> bool {
    rustix::fs::statfs(dir).is_ok_and(|stat| stat.f_type as u64 == TMPFS_MAGIC)
}

fn free(dir: &Path) -> anyhow::Result<u64> {
    let stat = rustix::fs::statvfs(dir)
        .map_err(|errno| anyhow!("cannot use {}: {errno}", dir.display()))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

fn has_plenty(dir: &Path, size: u64) -> bool {
    let need = size.saturating_mul(PLENTY);
    is_in_memory(dir)
        && free(dir).is_ok_and(|free| free >= need)
        && available_memory().is_some_and(|available| available >= need)
}

/// Memory that can be had without swapping, as the kernel estimates it.
fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1 << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_without_room_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(choose(Some(dir.path()), 1).unwrap(), dir.path());
        let error = choose(Some(dir.path()), u64::MAX / 4)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("give a smaller --size or another --dir"),
            "{error}"
        );
        assert!(choose(Some(&dir.path().join("none")), 1).is_err());
    }

    #[test]
    fn memory_is_not_used_where_it_would_be_short() {
        assert!(!has_plenty(Path::new(MEMORY), u64::MAX / 8));
        assert!(
            !has_plenty(Path::new("/proc"), 1),
            "that is no file system in memory"
        );
    }
}
