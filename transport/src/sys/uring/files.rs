//! Files: sent without a user-space copy, read when they are in memory, asked whether they are.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

use crate::buf::Gather;

use super::ops::MsgScratch;

/// `cachestat(2)`, Linux 6.5: the number is the same on every architecture.
const SYS_CACHESTAT: libc::c_long = 451;

#[repr(C)]
struct CachestatRange {
    offset: u64,
    len: u64,
}

#[repr(C)]
#[derive(Default)]
struct Cachestat {
    cached: u64,
    dirty: u64,
    writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

/// Distance of the places that [`is_resident`] looks at while the disk works, in bytes: what the kernel
/// reads ahead at a time.
const PROBE_EVERY_BUSY: u64 = 128 << 10;

/// The same while nothing had to be read for [`BUSY_NS`]: each look is a system call.
const PROBE_EVERY_CALM: u64 = 512 << 10;

/// How long the disk is taken to work after a range was found not to be in memory, in ns.
const BUSY_NS: u64 = 1_000_000_000;

/// Whether a range can be read without waiting for the disk; `None` where the kernel cannot tell.
///
/// That all of its pages are in the page cache is not enough: those that the disk is still writing to,
/// because the kernel reads ahead, are there as well, and whoever wants them waits. They fill in
/// order, piece by piece, so a byte here and there tells; the more of them, the less it is since
/// something was missing, which `busy_until_ns` remembers.
pub(super) fn is_resident(
    file: &File,
    offset: u64,
    len: usize,
    now_ns: u64,
    busy_until_ns: &Cell<u64>,
) -> Option<bool> {
    let cached = is_cached(file, offset, len)?;
    let every = match now_ns < busy_until_ns.get() {
        true => PROBE_EVERY_BUSY,
        false => PROBE_EVERY_CALM,
    };
    let resident = cached && places(offset, len, every).all(|place| !must_wait(file, place));
    if !resident {
        busy_until_ns.set(now_ns.saturating_add(BUSY_NS));
    }
    Some(resident)
}

/// The bytes of a range to look at: one every so often, and the last.
fn places(offset: u64, len: usize, every: u64) -> impl Iterator<Item = u64> {
    let last = (offset + len as u64).checked_sub(1).filter(|_| len > 0);
    let end = last.unwrap_or(offset);
    (offset..end).step_by(every as usize).skip(1).chain(last)
}

/// True where a byte is not there to be sent: it could not be read without waiting, or at all.
fn must_wait(file: &File, place: u64) -> bool {
    let read = read_now(file, place, &mut [0], libc::RWF_NOWAIT);
    // File systems without that flag (tmpfs) have no disk to wait for. Behind the end of a file that was
    // shortened there is nothing to send: a read finds that out before a header promises it.
    match read {
        Ok(count) => count == 0,
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    }
}

/// Whether all pages of a range are in the page cache; `None` where the kernel cannot tell.
fn is_cached(file: &File, offset: u64, len: usize) -> Option<bool> {
    if len == 0 {
        return Some(true);
    }
    let range = CachestatRange {
        offset,
        len: len as u64,
    };
    let mut stat = Cachestat::default();
    // SAFETY: both pointers lead to live structures of the layout the system call defines.
    let done = unsafe {
        libc::syscall(
            SYS_CACHESTAT,
            file.as_raw_fd(),
            &raw const range,
            &raw mut stat,
            0u32,
        )
    };
    if done != 0 {
        return None;
    }
    let page = 4096;
    let pages = (offset + len as u64).div_ceil(page) - offset / page;
    Some(stat.cached >= pages)
}

/// Reads what is in the page cache (`RWF_NOWAIT`).
///
/// Some file systems (tmpfs is one) do not know that flag. There, what `cachestat` says is in memory
/// is read as it is, and everything else is left to the ring's workers: `WouldBlock`.
pub(super) fn read_resident(file: &File, offset: u64, into: &mut [u8]) -> io::Result<usize> {
    match read_now(file, offset, into, libc::RWF_NOWAIT) {
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
            // Behind the end there is nothing in memory, and nothing to wait for either.
            let len = file.metadata()?.len().saturating_sub(offset);
            let len = usize::try_from(len).map_or(into.len(), |len| len.min(into.len()));
            match is_cached(file, offset, len) {
                Some(true) => read_now(file, offset, &mut into[..len], 0),
                _ => Err(io::ErrorKind::WouldBlock.into()),
            }
        }
        done => done,
    }
}

fn read_now(file: &File, offset: u64, into: &mut [u8], flags: libc::c_int) -> io::Result<usize> {
    let iov = libc::iovec {
        iov_base: into.as_mut_ptr().cast(),
        iov_len: into.len(),
    };
    // SAFETY: one iovec over a live, writable slice.
    let done = unsafe {
        libc::preadv2(
            file.as_raw_fd(),
            &raw const iov,
            1,
            libc::off_t::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?,
            flags,
        )
    };
    usize::try_from(done).map_err(|_| io::Error::last_os_error())
}

/// A file on its way into a socket: some bytes first, then a range of the file.
#[derive(Debug)]
pub(super) struct FileSend {
    /// Handed back as it came: `sent` alone tells how much of it went.
    pub(super) head: Gather,
    pub(super) file: std::sync::Arc<File>,
    pub(super) offset: u64,
    pub(super) left: usize,
    /// Zero bytes still to follow the file.
    pub(super) padding: usize,
    pub(super) sent: usize,
}

/// How far [`FileSend::advance`] came.
pub(super) enum Progress {
    /// Everything went, or the file ended early: `sent` tells.
    Done,
    /// The socket is full: wait until it is writable.
    Blocked,
    /// As many bytes went as may at a time: others first.
    OverBudget,
}

impl FileSend {
    /// Moves as much as the socket takes, and no more bytes of the file than `budget`, which gets less by
    /// them.
    pub(super) fn advance(
        &mut self,
        socket: RawFd,
        scratch: &mut MsgScratch,
        budget: &mut usize,
    ) -> io::Result<Progress> {
        while self.sent < self.head.remaining() {
            let more = if self.left + self.padding > 0 {
                libc::MSG_MORE
            } else {
                0
            };
            let message = scratch.describe(&self.head, self.sent);
            let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL | more;
            // SAFETY: the message describes live buffers of `self.head`.
            match taken(unsafe { libc::sendmsg(socket, message, flags) })? {
                Taken::Nothing => return Ok(Progress::Blocked),
                Taken::Interrupted => {}
                Taken::Bytes(count) => self.sent += count,
            }
        }
        while self.left > 0 {
            if *budget == 0 {
                return Ok(Progress::OverBudget);
            }
            let len = self.left.min(*budget);
            let mut offset = libc::off_t::try_from(self.offset)
                .map_err(|_| io::Error::from_raw_os_error(libc::EOVERFLOW))?;
            // SAFETY: both descriptors are open for the length of this operation; the offset is a
            // live variable. The socket is non-blocking, so the call does not stall the shard.
            let done =
                unsafe { libc::sendfile(socket, self.file.as_raw_fd(), &raw mut offset, len) };
            match taken(done)? {
                Taken::Nothing => return Ok(Progress::Blocked),
                Taken::Interrupted => {}
                Taken::Bytes(0) => return Ok(Progress::Done),
                Taken::Bytes(count) => {
                    self.sent += count;
                    self.offset += count as u64;
                    self.left -= count;
                    *budget = budget.saturating_sub(count);
                }
            }
        }
        self.pad(socket)
    }

    fn pad(&mut self, socket: RawFd) -> io::Result<Progress> {
        const ZEROS: [u8; 16] = [0; 16];
        while self.padding > 0 {
            let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
            let len = self.padding.min(ZEROS.len());
            // SAFETY: a live constant, and no more of it than it is long.
            match taken(unsafe { libc::send(socket, ZEROS.as_ptr().cast(), len, flags) })? {
                Taken::Nothing => return Ok(Progress::Blocked),
                Taken::Interrupted => {}
                Taken::Bytes(count) => {
                    self.sent += count;
                    self.padding -= count;
                }
            }
        }
        Ok(Progress::Done)
    }
}

/// The result of one system call.
enum Taken {
    Bytes(usize),
    /// The socket is full.
    Nothing,
    /// Interrupted by a signal: call again; not the end of the file.
    Interrupted,
}

fn taken(done: libc::ssize_t) -> io::Result<Taken> {
    if let Ok(count) = usize::try_from(done) {
        return Ok(Taken::Bytes(count));
    }
    let error = io::Error::last_os_error();
    match error.kind() {
        io::ErrorKind::WouldBlock => Ok(Taken::Nothing),
        io::ErrorKind::Interrupted => Ok(Taken::Interrupted),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn fewer_places_are_looked_at_while_the_disk_is_calm() {
        let count = |len, every| places(7, len, every).count();
        assert_eq!(count(1 << 20, PROBE_EVERY_CALM), 2);
        assert_eq!(count(1 << 20, PROBE_EVERY_BUSY), 8);
        assert_eq!(count(64 << 10, PROBE_EVERY_CALM), 1);
        assert_eq!(count(0, PROBE_EVERY_CALM), 0);
        assert_eq!(places(7, 10, PROBE_EVERY_BUSY).last(), Some(16));
    }

    #[test]
    fn a_range_that_is_not_there_has_the_next_ones_looked_at_closely() {
        let memory = rustix::fs::memfd_create("test", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        let mut file = File::from(memory);
        file.write_all(&[7; 10_000]).unwrap();
        file.set_len(1 << 20).unwrap();
        let busy = Cell::new(0);
        if is_resident(&file, 0, 8192, 5, &busy).is_none() {
            return; // This kernel cannot tell.
        }
        assert_eq!(busy.get(), 0);
        assert_eq!(is_resident(&file, 0, 1 << 20, 5, &busy), Some(false));
        assert_eq!(busy.get(), 5 + BUSY_NS);
    }

    #[test]
    fn files_are_read_where_the_file_system_knows_no_reads_without_waiting() {
        // A file in memory, as on tmpfs: neither knows RWF_NOWAIT.
        let memory = rustix::fs::memfd_create("test", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        let mut file = File::from(memory);
        file.write_all(&[7; 10_000]).unwrap();
        let mut into = [0; 4096];
        assert_eq!(read_resident(&file, 0, &mut into).unwrap(), 4096);
        assert_eq!(into, [7; 4096]);
        assert_eq!(
            read_resident(&file, 8192, &mut into).unwrap(),
            10_000 - 8192
        );
        assert_eq!(read_resident(&file, 10_000, &mut into).unwrap(), 0);
        assert_eq!(read_resident(&file, 20_000, &mut into).unwrap(), 0);
        // A hole is not in memory: whoever waits may read it.
        file.set_len(1 << 20).unwrap();
        let error = read_resident(&file, 512 << 10, &mut into).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}
