//! Whether two trees are the same, by reading both: it trusts no digest.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// The first difference between two trees, in words; `None` where there is none.
pub(super) fn difference(one: &Path, other: &Path) -> io::Result<Option<String>> {
    let (names, theirs) = (names(one)?, names(other)?);
    if let Some(name) = names.symmetric_difference(&theirs).next() {
        return Ok(Some(format!(
            "{} is in one tree only",
            one.join(name).display()
        )));
    }
    for name in &names {
        if let Some(found) = entry_difference(&one.join(name), &other.join(name))? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn names(dir: &Path) -> io::Result<BTreeSet<OsString>> {
    fs::read_dir(dir)?
        .map(|entry| Ok(entry?.file_name()))
        .collect()
}

fn entry_difference(one: &Path, other: &Path) -> io::Result<Option<String>> {
    let (ours, theirs) = (fs::symlink_metadata(one)?, fs::symlink_metadata(other)?);
    let differs = |what: &str| Ok(Some(format!("{} differs in its {what}", one.display())));
    if ours.file_type() != theirs.file_type() {
        return differs("kind");
    }
    if ours.permissions() != theirs.permissions() {
        return differs("mode");
    }
    if ours.modified()? != theirs.modified()? {
        return differs("time");
    }
    if ours.is_dir() {
        return difference(one, other);
    }
    if ours.is_symlink() {
        let same = fs::read_link(one)? == fs::read_link(other)?;
        return if same { Ok(None) } else { differs("target") };
    }
    if ours.len() != theirs.len() {
        return differs("length");
    }
    if same_bytes(one, other)? {
        Ok(None)
    } else {
        differs("bytes")
    }
}

fn same_bytes(one: &Path, other: &Path) -> io::Result<bool> {
    const STEP: usize = 1 << 20;
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    let (mut ours, mut theirs) = (Vec::with_capacity(STEP), Vec::with_capacity(STEP));
    loop {
        ours.clear();
        theirs.clear();
        (&mut one).take(STEP as u64).read_to_end(&mut ours)?;
        (&mut other).take(STEP as u64).read_to_end(&mut theirs)?;
        if ours != theirs {
            return Ok(false);
        }
        if ours.is_empty() {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::time::SystemTime;

    fn tree(change: impl Fn(&Path)) -> Option<String> {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for root in [one.path(), other.path()] {
            fs::create_dir(root.join("d")).unwrap();
            fs::write(root.join("d/a"), vec![7; (1 << 20) + 5]).unwrap();
            symlink("a", root.join("d/l")).unwrap();
        }
        change(other.path());
        for root in [one.path(), other.path()] {
            // Links have no portable way to set their time; leave them out where it is the same.
            for name in ["d/a", "d"] {
                File::open(root.join(name))
                    .unwrap()
                    .set_modified(SystemTime::UNIX_EPOCH)
                    .unwrap();
            }
        }
        difference(one.path(), other.path()).unwrap()
    }

    #[test]
    fn every_kind_of_difference_is_found() {
        let found = |change: fn(&Path), what: &str| {
            let text = tree(change).unwrap_or_default();
            assert!(text.contains(what), "{what}: {text}");
        };
        found(
            |root| fs::write(root.join("d/a"), vec![7; 1 << 20]).unwrap(),
            "length",
        );
        found(
            |root| {
                let mut data = vec![7; (1 << 20) + 5];
                data[1 << 20] = 8;
                fs::write(root.join("d/a"), data).unwrap();
            },
            "bytes",
        );
        found(
            |root| fs::write(root.join("d/more"), "").unwrap(),
            "one tree only",
        );
        found(
            |root| {
                fs::set_permissions(root.join("d/a"), fs::Permissions::from_mode(0o600)).unwrap();
            },
            "mode",
        );
        found(
            |root| {
                fs::remove_file(root.join("d/l")).unwrap();
                fs::write(root.join("d/l"), "").unwrap();
            },
            "kind",
        );
    }
}
