//! Files that need not be fetched, for they are at the destination already.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::dest::Destination;
use super::event::FetchReport;
use super::plan::FilePlan;
use super::{FetchConf, FetchError, Resume};
use crate::block::BlockId;
use crate::block::digest::{Chunking, Digest};

/// The path below the destination of a file of the plan: a single file has another name there.
pub(super) fn local_path(name: &BlockId, path: &BlockId) -> BlockId {
    if path.is_root() {
        name.clone()
    } else {
        path.clone()
    }
}

/// The files that are to be fetched. Those that are kept get their mode and time and are counted.
pub(super) fn missing(
    to: &Destination,
    name: &BlockId,
    files: Vec<FilePlan>,
    conf: &FetchConf,
    report: &mut FetchReport,
) -> Result<Vec<FilePlan>, FetchError> {
    if conf.resume == Resume::Fresh {
        return Ok(files);
    }
    let any_time = conf.resume == Resume::Recheck;
    let kept: Vec<bool> = if any_time {
        same_digests(to, name, &files, conf.connections)
    } else {
        files
            .iter()
            .map(|file| to.has(&local_path(name, &file.path), &file.stamp, false))
            .collect()
    };
    let mut missing = Vec::new();
    for (file, kept) in files.into_iter().zip(kept) {
        // A file whose mode cannot be set is not as it should be: it is made anew.
        if kept && to.touch(&local_path(name, &file.path), &file.stamp).is_ok() {
            report.files_kept += 1;
            report.bytes_kept += file.cut.len();
        } else {
            missing.push(file);
        }
    }
    Ok(missing)
}

/// Hashes local files, on several threads.
fn same_digests(to: &Destination, name: &BlockId, files: &[FilePlan], threads: usize) -> Vec<bool> {
    let next = AtomicUsize::new(0);
    let hash_some = || {
        let mut same = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(file) = files.get(at) else {
                return same;
            };
            let path = local_path(name, &file.path);
            if file.digest.is_some()
                && to.has(&path, &file.stamp, true)
                && to
                    .read(&path)
                    .ok()
                    .and_then(|here| digest_of(&here, &file.cut))
                    == file.digest
            {
                same.push(at);
            }
        }
    };
    let mut kept = vec![false; files.len()];
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(hash_some)).collect();
        for at in threads
            .into_iter()
            .filter_map(|thread| thread.join().ok())
            .flatten()
        {
            kept[at] = true;
        }
    });
    kept
}

fn digest_of(file: &File, cut: &Chunking) -> Option<Digest> {
    let mut buffer = vec![0; cut.range(0).map_or(0, |(_, len)| len as usize)];
    let mut chunks = Vec::new();
    for index in 0..cut.count() {
        let (offset, len) = cut.range(index)?;
        let data = &mut buffer[..len as usize];
        file.read_exact_at(data, offset).ok()?;
        chunks.push(cut.digest(index, data));
    }
    cut.root(&chunks)
}
