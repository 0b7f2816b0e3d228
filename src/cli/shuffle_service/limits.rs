//! How many files the process may have open.

use ringrail::transport::sys::raise_open_files;
use rustix::process::{Resource, getrlimit};

/// Descriptors for all but shuffle files: connections, rings, the store.
const OTHERS: u64 = 4096;

/// Raises what the process may open to what it may raise it to; how many of `wanted` shuffle files each of `shards`
/// shards can have then.
pub(super) fn open_files(wanted: usize, shards: usize) -> usize {
    let all = raise_open_files().unwrap_or_else(|error| {
        tracing::debug!(%error, "the limit of open files stays as it is");
        getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
    });
    let each = share(all, shards);
    if each < wanted.min(1024) {
        tracing::warn!(
            limit = all,
            each_shard = each,
            "few files can be open at a time: raise the hard limit of open files (ulimit -n, LimitNOFILE)"
        );
    }
    wanted.min(each)
}

fn share(all: u64, shards: usize) -> usize {
    // Under a low limit, half of the descriptors is left for other uses.
    let files = all.saturating_sub(OTHERS.min(all / 2));
    usize::try_from(files / shards.max(1) as u64)
        .unwrap_or(usize::MAX)
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_share_what_is_left_for_files() {
        assert_eq!(share(1024, 2), 256);
        assert_eq!(share(1 << 20, 4), ((1 << 20) - 4096) / 4);
        assert_eq!(share(1, 8), 1);
        assert_eq!(open_files(3, 2), 3);
    }
}
