//! CPU time of this process, thread or family, user and system together.

use std::io;
use std::mem::MaybeUninit;

/// The scope of a CPU time.
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

/// CPU seconds that another process of this machine has used so far, all of its threads, those that
/// have ended included.
///
/// # Errors
/// There is no such process.
pub fn cpu_seconds_of(pid: u32) -> io::Result<f64> {
    let mut clock = 0;
    let mut time = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: the pointer is to a live clock id.
    let error = unsafe { libc::clock_getcpuclockid(pid as libc::pid_t, &raw mut clock) };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error));
    }
    // SAFETY: the pointer is to a live timespec; it is zeroed, and so initialised even if the call
    // failed.
    let time = unsafe {
        if libc::clock_gettime(clock, time.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        time.assume_init()
    };
    Ok(time.tv_sec as f64 + time.tv_nsec as f64 / 1e9)
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
        let seen_from_outside = cpu_seconds_of(std::process::id()).expect("we live");
        assert!(seen_from_outside > before.0);
        // Above the highest id that the kernel can be told to give.
        assert!(cpu_seconds_of(5_000_000).is_err(), "nobody has that id");
    }
}
