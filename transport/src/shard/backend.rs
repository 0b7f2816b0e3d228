//! The choice between the two drivers of the kernel.
//!
//! [`choose`] is asked once per engine. Where nothing else is said it takes io_uring, and epoll on a system that lacks
//! or forbids it: it tries to set up a small ring, once per process.

use std::io;
use std::sync::OnceLock;

use crate::conf::IoDriver;
use crate::sys::uring::{UringDriver, UringError, UringSpec};

/// The driver of an engine's shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Backend {
    /// [`UringDriver`].
    Ring,
    /// [`EpollDriver`](crate::sys::epoll::EpollDriver).
    Readiness,
}

/// The driver that the settings ask for, or the one that runs here. Logs once per process why it is not io_uring.
pub(super) fn choose(wanted: IoDriver) -> Backend {
    match wanted {
        IoDriver::IoUring => Backend::Ring,
        IoDriver::Epoll => Backend::Readiness,
        IoDriver::Auto => *AUTO.get_or_init(|| judge(try_ring())),
    }
}

static AUTO: OnceLock<Backend> = OnceLock::new();

/// Whether this process can have a ring, with all that a shard's needs.
fn try_ring() -> Result<(), UringError> {
    UringDriver::new(&UringSpec {
        sq_entries: 8,
        cq_entries: 16,
        recv_buffers: 1,
        ..UringSpec::default()
    })
    .map(drop)
}

/// Only a kernel that lacks or forbids io_uring is served by epoll: a lack of memory or descriptors is to be mended,
/// and starting the shards says how.
fn judge(tried: Result<(), UringError>) -> Backend {
    let Err(error) = tried else {
        return Backend::Ring;
    };
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES | libc::ENOSYS | libc::EINVAL) => {
            tracing::warn!(
                target: "ringrail::shard",
                %error,
                "shards use epoll, which costs more system calls (ringrail.transport.driver=epoll says so without \
                 this warning)"
            );
            Backend::Readiness
        }
        _ => Backend::Ring,
    }
}

impl Backend {
    /// Runs the loop of a hosted shard in a runtime of its own: tokio-uring's, or tokio's alone where there is no
    /// io_uring.
    pub(super) fn host(self, run: impl Future<Output = io::Result<()>>) -> io::Result<()> {
        match self {
            Backend::Ring => tokio_uring::start(run),
            Backend::Readiness => {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?;
                tokio::task::LocalSet::new().block_on(&runtime, run)
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_taken() {
        assert_eq!(choose(IoDriver::IoUring), Backend::Ring);
        assert_eq!(choose(IoDriver::Epoll), Backend::Readiness);
    }

    #[test]
    fn epoll_stands_in_where_io_uring_is_missing_or_forbidden_and_for_no_other_reason() {
        let failing = |errno| {
            Err(UringError::at("io_uring_setup")(
                io::Error::from_raw_os_error(errno),
            ))
        };
        for errno in [libc::EPERM, libc::EACCES, libc::ENOSYS, libc::EINVAL] {
            assert_eq!(judge(failing(errno)), Backend::Readiness);
        }
        for errno in [libc::ENOMEM, libc::EMFILE] {
            assert_eq!(judge(failing(errno)), Backend::Ring);
        }
        assert_eq!(judge(Ok(())), Backend::Ring);
    }
}
