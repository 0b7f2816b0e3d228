//! `io_uring_enter` and the registration of the ring's own descriptor.
//!
//! The `io-uring` crate keeps the registered index in a short-lived `Submitter`; a shard enters
//! from one place for its whole life, so it keeps the index itself and spares the kernel the
//! descriptor look-up on every call.

use std::io;
use std::os::fd::RawFd;

const REGISTER_RING_FDS: libc::c_uint = 20;
const UNREGISTER_RING_FDS: libc::c_uint = 21;
const ENTER_GETEVENTS: libc::c_uint = 1 << 0;
const ENTER_EXT_ARG: libc::c_uint = 1 << 3;
const ENTER_REGISTERED_RING: libc::c_uint = 1 << 4;

/// `struct io_uring_rsrc_update`.
#[repr(C)]
struct RsrcUpdate {
    offset: u32,
    resv: u32,
    data: u64,
}

/// `struct io_uring_getevents_arg`.
#[repr(C)]
struct GetEventsArg {
    sigmask: u64,
    sigmask_len: u32,
    min_wait_usec: u32,
    timespec: u64,
}

/// The descriptor to enter by: registered where the kernel allows it, else the plain one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    fd: libc::c_int,
    flags: libc::c_uint,
}

impl Entry {
    /// Registers `ring` for the calling thread; falls back to the plain descriptor.
    pub(super) fn register(ring: RawFd) -> Self {
        let mut update = RsrcUpdate {
            offset: u32::MAX,
            resv: 0,
            data: ring as u64,
        };
        // SAFETY: the argument is one valid io_uring_rsrc_update, as nr_args = 1 says.
        let done = unsafe {
            libc::syscall(
                libc::SYS_io_uring_register,
                ring,
                REGISTER_RING_FDS,
                &raw mut update,
                1,
            )
        };
        match libc::c_int::try_from(update.offset) {
            Ok(index) if done == 1 => Self {
                fd: index,
                flags: ENTER_REGISTERED_RING,
            },
            _ => Self { fd: ring, flags: 0 },
        }
    }

    /// Takes the registration of `ring` back: it would hold the ring open, and one of the
    /// thread's 16 places, for as long as the thread lives.
    pub(super) fn unregister(self, ring: RawFd) {
        let Ok(offset) = u32::try_from(self.fd) else {
            return;
        };
        if !self.is_registered() {
            return;
        }
        let mut update = RsrcUpdate {
            offset,
            resv: 0,
            data: 0,
        };
        // SAFETY: the argument is one valid io_uring_rsrc_update, as nr_args = 1 says. On failure
        // the place stays taken until the thread ends, and that is all.
        unsafe {
            libc::syscall(
                libc::SYS_io_uring_register,
                ring,
                UNREGISTER_RING_FDS,
                &raw mut update,
                1,
            )
        };
    }

    fn is_registered(self) -> bool {
        self.flags & ENTER_REGISTERED_RING != 0
    }

    /// Submits and collects without waiting.
    pub(super) fn poll(self, to_submit: u32) -> io::Result<()> {
        self.call(to_submit, 0, ENTER_GETEVENTS, std::ptr::null(), 0)
    }

    /// Submits and waits for `want` completions, at most for `timeout_ns`; once `least_us` have passed, for
    /// one. (With no timeout, the kernel returns then in any case. Linux 6.12.)
    pub(super) fn wait(
        self,
        to_submit: u32,
        want: u32,
        timeout_ns: Option<u64>,
        least_us: u32,
    ) -> io::Result<()> {
        if timeout_ns.is_none() && least_us == 0 {
            return self.call(to_submit, want, ENTER_GETEVENTS, std::ptr::null(), 0);
        }
        let ns = timeout_ns.unwrap_or(0);
        let spec = libc::timespec {
            tv_sec: (ns / 1_000_000_000) as libc::time_t,
            tv_nsec: (ns % 1_000_000_000) as libc::c_long,
        };
        let arg = GetEventsArg {
            sigmask: 0,
            sigmask_len: 0,
            min_wait_usec: least_us,
            timespec: match timeout_ns {
                Some(_) => (&raw const spec) as u64,
                None => 0,
            },
        };
        let flags = ENTER_GETEVENTS | ENTER_EXT_ARG;
        self.call(
            to_submit,
            want,
            flags,
            (&raw const arg).cast(),
            size_of::<GetEventsArg>(),
        )
    }

    fn call(
        self,
        to_submit: u32,
        want: u32,
        flags: libc::c_uint,
        arg: *const libc::c_void,
        arg_len: usize,
    ) -> io::Result<()> {
        // SAFETY: `arg` is null or points to a live structure of `arg_len` bytes; the entries to
        // be submitted were made by this driver, whose table keeps their memory alive.
        let done = unsafe {
            libc::syscall(
                libc::SYS_io_uring_enter,
                self.fd,
                to_submit,
                want,
                flags | self.flags,
                arg,
                arg_len,
            )
        };
        if done >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            // Time is up, a signal came, or completions must be collected first: all the
            // caller's ordinary business.
            Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
            _ => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{UringDriver, UringSpec};

    #[test]
    fn a_thread_may_make_any_number_of_rings_one_after_the_other() {
        // The kernel registers 16 per thread.
        for number in 0..40 {
            let driver = UringDriver::new(&UringSpec::default()).unwrap();
            assert!(driver.entry.is_registered(), "ring {number}");
        }
    }
}
