//! CPU time of this process, thread or family, user and system together.

use std::mem::MaybeUninit;

/// Whose CPU time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// All threads of the process, the ring's kernel workers included.
    Process,
    /// The calling thread alone.
    Thread,
    /// Child processes that have ended and been waited for.
    Children,
}

/// CPU seconds used so far.
pub fn cpu_seconds(who: Who) -> f64 {
    let who = match who {
        Who::Process => libc::RUSAGE_SELF,
        Who::Thread => libc::RUSAGE_THREAD,
        Who::Children => libc::RUSAGE_CHILDREN,
    };
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is to a live rusage; it is zeroed, and so initialised even if the call
    // failed.
    let usage = unsafe {
        libc::getrusage(who, usage.as_mut_ptr());
        usage.assume_init()
    };
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

fn seconds(time: libc::timeval) -> f64 {
    time.tv_sec as f64 + time.tv_usec as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_counted_once_work_is_done() {
        let before = (cpu_seconds(Who::Process), cpu_seconds(Who::Thread));
        while cpu_seconds(Who::Thread) <= before.1 {
            std::hint::black_box((0..1000).sum::<u64>());
        }
        assert!(cpu_seconds(Who::Process) > before.0);
    }
}
