//! The epoll descriptor: registration, and waiting to the nanosecond where the kernel can.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::epoll;

use crate::sys::driver::Sock;

/// Events taken in one call.
const EVENTS: usize = 256;
/// The number under which the wake-up eventfd is registered.
const WAKE: u64 = u64::MAX;
const NS_PER_S: u64 = 1_000_000_000;
const NS_PER_MS: u64 = 1_000_000;

/// Epoll's news of a socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ready {
    pub(super) input: bool,
    pub(super) output: bool,
    pub(super) ended: bool,
}

/// An epoll descriptor with an eventfd that wakes it.
#[derive(Debug)]
pub(super) struct Poll {
    epoll: OwnedFd,
    wake: Arc<OwnedFd>,
    events: Vec<libc::epoll_event>,
    /// The kernel has `epoll_pwait2` (Linux 5.11), and lets this process call it.
    has_pwait2: bool,
}

impl Poll {
    pub(super) fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let flags = rustix::event::EventfdFlags::CLOEXEC | rustix::event::EventfdFlags::NONBLOCK;
        let wake = rustix::event::eventfd(0, flags)?;
        let data = epoll::EventData::new_u64(WAKE);
        // Edge-triggered: each write is an edge, so nobody needs to read the count.
        let interest = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&epoll, &wake, data, interest)?;
        Ok(Self {
            epoll,
            wake: Arc::new(wake),
            events: Vec::with_capacity(EVENTS),
            has_pwait2: true,
        })
    }

    /// Watches a socket in both directions. What is ready already is told as an event.
    pub(super) fn add(&self, fd: BorrowedFd<'_>, sock: Sock) -> io::Result<()> {
        let number = u64::try_from(sock.0).map_err(|_| io::ErrorKind::InvalidInput)?;
        let interest = epoll::EventFlags::IN
            | epoll::EventFlags::OUT
            | epoll::EventFlags::RDHUP
            | epoll::EventFlags::ET;
        let data = epoll::EventData::new_u64(number);
        Ok(epoll::add(&self.epoll, fd, data, interest)?)
    }

    /// Watches a socket no more. Closing is not enough where other descriptors lead to the same socket.
    pub(super) fn remove(&self, fd: BorrowedFd<'_>) {
        // One that was not watched is not watched now either.
        let _ = epoll::delete(&self.epoll, fd);
    }

    /// Wakes this descriptor's current or next wait.
    pub(super) fn wake(&self) -> &Arc<OwnedFd> {
        &self.wake
    }

    /// A copy of the descriptor: readable while events wait.
    pub(super) fn try_clone(&self) -> io::Result<OwnedFd> {
        self.epoll.try_clone()
    }

    /// Takes the events that are there; waits for the first at most so many nanoseconds, or for ever.
    ///
    /// # Errors
    /// The kernel's error for the epoll descriptor itself.
    pub(super) fn wait(&mut self, timeout_ns: Option<u64>) -> io::Result<()> {
        self.events.clear();
        let done = self.wait_raw(timeout_ns);
        let done = match done {
            Err(error) if is_missing(&error) && self.has_pwait2 => {
                self.has_pwait2 = false;
                self.wait_raw(timeout_ns)
            }
            done => done,
        };
        match done {
            Ok(count) => {
                debug_assert!(
                    count <= EVENTS,
                    "the kernel fills no more than it was given"
                );
                // SAFETY: the kernel has written the first `count` events, and the vector has room for EVENTS.
                unsafe { self.events.set_len(count) };
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn wait_raw(&mut self, timeout_ns: Option<u64>) -> io::Result<usize> {
        let fd = self.epoll.as_fd().as_raw_fd();
        let (events, most) = (self.events.as_mut_ptr(), EVENTS as libc::c_int);
        let done = match timeout_ns {
            Some(ns) if ns > 0 && self.has_pwait2 => {
                let time = libc::timespec {
                    tv_sec: libc::time_t::try_from(ns / NS_PER_S).unwrap_or(libc::time_t::MAX),
                    tv_nsec: (ns % NS_PER_S) as libc::c_long,
                };
                // SAFETY: room for `most` events, and a live timespec; no signal mask.
                unsafe {
                    libc::syscall(
                        libc::SYS_epoll_pwait2,
                        fd,
                        events,
                        most,
                        &raw const time,
                        std::ptr::null::<libc::sigset_t>(),
                        0,
                    )
                }
            }
            _ => {
                // Rounded up: a wait that ends before its time would be repeated until then.
                let ms = timeout_ns.map_or(-1, |ns| {
                    libc::c_int::try_from(ns.div_ceil(NS_PER_MS)).unwrap_or(libc::c_int::MAX)
                });
                // SAFETY: room for `most` events.
                libc::c_long::from(unsafe { libc::epoll_wait(fd, events, most, ms) })
            }
        };
        usize::try_from(done).map_err(|_| io::Error::last_os_error())
    }

    /// An event of the last wait: its socket, or `None` for a wake-up.
    pub(super) fn event(&self, at: usize) -> Option<(Sock, Ready)> {
        let event = self.events.get(at)?;
        let (number, flags) = (event.u64, event.events);
        let sock = Sock(i32::try_from(number).ok()?);
        let has = |bits: libc::c_int| flags & bits as u32 != 0;
        let ended = has(libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR);
        let ready = Ready {
            input: ended || has(libc::EPOLLIN),
            output: has(libc::EPOLLOUT | libc::EPOLLHUP | libc::EPOLLERR),
            ended,
        };
        Some((sock, ready))
    }

    /// Events of the last wait.
    pub(super) fn count(&self) -> usize {
        self.events.len()
    }
}

/// Neither this kernel nor, perhaps, this process's seccomp filter knows the call.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM))
}
