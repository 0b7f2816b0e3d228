//! Parameters of a ring, and the errors of its setup.

use std::io;

/// Sizes of a ring.
#[derive(Clone, Debug)]
pub struct UringSpec {
    /// Submission entries; a power of two.
    pub sq_entries: u32,
    /// Completion entries; a power of two. Generous, so that bursts do not overflow.
    pub cq_entries: u32,
    /// Places in the receive group; a power of two.
    pub recv_buffers: u16,
    /// Bytes of each receive buffer.
    pub recv_buffer_len: usize,
    /// Operations in flight at most.
    pub max_ops: usize,
    /// Register an eventfd that tells of completions, for a park inside another runtime.
    pub notify: bool,
    /// Processors for the ring's workers, which do what would block; none leaves them where the
    /// thread is. A worker that reads a disk keeps its processor for milliseconds at a time.
    pub worker_cpus: Vec<usize>,
}

impl Default for UringSpec {
    fn default() -> Self {
        Self {
            sq_entries: 1024,
            cq_entries: 8192,
            recv_buffers: 64,
            recv_buffer_len: 64 << 10,
            max_ops: 1 << 18,
            notify: false,
            worker_cpus: Vec::new(),
        }
    }
}

/// Why a ring could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up io_uring ({step}): {source}. {advice}")]
pub struct UringError {
    step: &'static str,
    source: io::Error,
    advice: &'static str,
}

impl UringError {
    pub(crate) fn at(step: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| {
            let advice = match source.raw_os_error() {
                Some(libc::EPERM) => {
                    "The system forbids it: allow io_uring_setup, io_uring_enter and \
                     io_uring_register in the container's seccomp profile, and see that sysctl \
                     kernel.io_uring_disabled is 0"
                }
                Some(libc::ENOSYS) => "This kernel has no io_uring: Linux 6.1 or newer is needed",
                Some(libc::EINVAL) => "This kernel lacks a feature: Linux 6.1 or newer is needed",
                Some(libc::ENOMEM) => {
                    "Locked memory is used up: raise `ulimit -l` (LimitMEMLOCK=), or use fewer \
                     shards or smaller rings"
                }
                Some(libc::EMFILE | libc::ENFILE) => {
                    "File descriptors are used up: raise `ulimit -n` (LimitNOFILE=)"
                }
                _ => "Run `ringrail doctor` for what this kernel offers",
            };
            Self {
                step,
                source,
                advice,
            }
        }
    }

    /// The kernel's errno.
    pub fn raw_os_error(&self) -> Option<i32> {
        self.source.raw_os_error()
    }
}
