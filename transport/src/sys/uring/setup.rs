//! Set-up of a ring: its eventfds, and the processors of its workers.

use std::io;
use std::os::fd::OwnedFd;

use io_uring::IoUring;
use rustix::event::EventfdFlags;

/// Pins the ring's workers to these processors, if any are named. If the kernel refuses (because a
/// control group allows others), they keep the affinity of the thread.
pub(super) fn place_workers(ring: &IoUring, cpus: &[usize]) {
    if cpus.is_empty() {
        return;
    }
    // SAFETY: all zeros is an empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for &cpu in cpus {
        // SAFETY: it writes within the set, and ignores a number beyond it.
        unsafe { libc::CPU_SET(cpu, &mut set) };
    }
    if let Err(error) = ring.submitter().register_iowq_aff(&set) {
        tracing::debug!(target: "ringrail::shard", %error, ?cpus, "the ring's workers are not placed");
    }
}

/// An eventfd. The one that the ring itself reads must block: the kernel answers reads of a
/// non-blocking file with `EAGAIN` where it would otherwise wait for data.
pub(in crate::sys) fn event_fd(flags: EventfdFlags) -> io::Result<OwnedFd> {
    Ok(rustix::event::eventfd(0, flags | EventfdFlags::CLOEXEC)?)
}
