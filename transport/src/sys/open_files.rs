//! The limit of open files (`RLIMIT_NOFILE`): each connection takes one.
//!
//! Called when an engine starts, and by commands that say in their log what they may open.

use rustix::io;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of open files to the hard one; the soft limit there is now, `u64::MAX` for
/// none. It holds for the whole process and for the children it starts from then on.
///
/// Most systems start a process with a soft limit of 1,024, for programs that use `select(2)`, which
/// cannot take descriptors above it.
///
/// # Errors
/// The kernel refuses (above `fs.nr_open`, or a sandbox forbids it); the limit is as it was.
///
/// ```
/// let files = ringrail_transport::sys::raise_open_files().unwrap();
/// assert!(files > 0);
/// ```
pub fn raise_open_files() -> std::io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    let hard = limit.maximum;
    if limit.current == hard {
        return Ok(hard.unwrap_or(u64::MAX));
    }
    let raised = Rlimit {
        current: hard,
        maximum: hard,
    };
    set(raised)?;
    Ok(hard.unwrap_or(u64::MAX))
}

fn set(limit: Rlimit) -> io::Result<()> {
    setrlimit(Resource::Nofile, limit)
}
