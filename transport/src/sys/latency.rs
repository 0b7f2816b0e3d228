//! Short scheduler slices, for a thread that needs low latency and little processor time.
//!
//! Since Linux 6.12 a thread may ask for a shorter time slice (`sched_setattr` with `sched_runtime`
//! under `SCHED_OTHER`); when it wakes it then preempts threads with longer ones. A shard that shares
//! its processor with the ring's workers, which copy files for milliseconds, answers at once this
//! way. It gets no more of the processor than before, and needs no privilege.

/// The shortest slice that the kernel takes.
const SLICE_NS: u64 = 100_000;

/// `SCHED_FLAG_RESET_ON_FORK`: the ring's workers, which are forks of the thread, get slices of the
/// usual length, or they would be as quick as the shard.
const RESET_ON_FORK: u64 = 1;

/// `struct sched_attr`, its first version.
#[repr(C)]
#[derive(Default)]
struct SchedAttr {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime_ns: u64,
    deadline_ns: u64,
    period_ns: u64,
}

/// Asks for short slices for the calling thread; false where this kernel has none, or where the
/// thread is under another policy, which is left alone.
pub(crate) fn prefer_latency() -> bool {
    let mut attr = SchedAttr::default();
    let size = size_of::<SchedAttr>() as u32;
    // SAFETY: the kernel writes at most `size` bytes, which is what the structure has.
    let got = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attr, size, 0) };
    if got != 0 || attr.policy != libc::SCHED_OTHER as u32 {
        return false;
    }
    attr.size = size;
    attr.flags |= RESET_ON_FORK;
    attr.runtime_ns = SLICE_NS;
    // SAFETY: the structure is whole and says its own size; it changes this thread alone.
    unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attr, 0) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thread_keeps_its_policy() {
        std::thread::spawn(|| {
            let asked = prefer_latency();
            let mut attr = SchedAttr::default();
            let size = size_of::<SchedAttr>() as u32;
            // SAFETY: as in `prefer_latency`.
            let got = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attr, size, 0) };
            assert_eq!((got, attr.policy), (0, libc::SCHED_OTHER as u32));
            assert!(!asked || attr.runtime_ns == SLICE_NS || attr.runtime_ns == 0);
        })
        .join()
        .unwrap();
    }
}
