//! Files for the drivers of the kernel: sent without a user-space copy, read when they are in memory, asked whether they are.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

use crate::buf::Gather;
use crate::sys::driver::FileState;

use super::scratch::MsgScratch;

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

/// Ranges that [`Residency`] remembers; a power of two. Two chunks in flight of each of some connections.
const REMEMBERED: usize = 256;

/// How long after a range was found to be in memory only its last byte is looked at, in ns. Pages that were sent
/// so lately are the last that the kernel takes back; where it does, the shard waits for the disk once.
const REMEMBERED_NS: u64 = 200_000_000;

/// A range that was found to be in memory, all of it read: what was asked about, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    file: RawFd,
    offset: u64,
    len: usize,
    at_ns: u64,
}

/// The ranges of files that a driver was asked about lately.
///
/// Ranges are remembered by descriptor. Where another file has the same by now, as where pages were taken back, a
/// send waits for the disk; a file that was shortened is noticed at its last byte.
#[derive(Debug)]
pub(super) struct Residency {
    /// Until when ranges are looked at closely.
    busy_until_ns: Cell<u64>,
    seen: Box<[Cell<Seen>; REMEMBERED]>,
}

impl Residency {
    /// Nothing is known.
    pub(super) fn new() -> Self {
        Self {
            busy_until_ns: Cell::new(0),
            seen: Box::new([const { Cell::new(Seen::NONE) }; REMEMBERED]),
        }
    }

    /// Whether a range can be read without waiting for the disk; see [`is_resident`].
    pub(super) fn ask(&self, file: &File, offset: u64, len: usize, now_ns: u64) -> Option<bool> {
        let place = self.place(file, offset);
        let seen = place.get();
        let same = (seen.file, seen.offset, seen.len) == (file.as_raw_fd(), offset, len);
        let calm = now_ns >= self.busy_until_ns.get();
        if same && calm && now_ns < seen.at_ns.saturating_add(REMEMBERED_NS) {
            let last = offset.saturating_add((len as u64).saturating_sub(1));
            if !must_wait(file, last) {
                return Some(true);
            }
        }
        let resident = is_resident(file, offset, len, now_ns, &self.busy_until_ns);
        place.set(match resident {
            Some(true) => Seen {
                file: file.as_raw_fd(),
                offset,
                len,
                at_ns: now_ns,
            },
            _ => Seen::NONE,
        });
        resident
    }

    fn place(&self, file: &File, offset: u64) -> &Cell<Seen> {
        let number = (offset >> 12) ^ (file.as_raw_fd() as u64) << 20;
        let hash = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        &self.seen[hash as usize % REMEMBERED]
    }
}

impl Seen {
    /// No file has this descriptor.
    const NONE: Self = Self {
        file: -1,
        offset: 0,
        len: 0,
        at_ns: 0,
    };
}

/// Whether a range can be read without waiting for the disk; `None` where the kernel cannot tell.
///
/// That all of its pages are in the page cache is not enough: those that the disk is still writing to,
/// because the kernel reads ahead, are there as well, and whoever wants them waits. They fill in
/// order, piece by piece, so a byte here and there tells; the more of them, the less it is since
/// something was missing, which `busy_until_ns` remembers.
fn is_resident(
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

/// How long ago, in ns, a file must have changed last for its times to tell of every further change: some ticks
/// of the kernel's clock, of which its time stamps are made.
const SETTLED_NS: i64 = 100_000_000;

/// The same for times of whole seconds: the coarsest time stamps of a file system that is in use (FAT's) are
/// two seconds apart.
const SETTLED_COARSE_NS: i64 = 3_000_000_000;

/// The state of a file, where it has settled.
pub(super) fn state(file: &File) -> Option<FileState> {
    let state = FileState::of(file)?;
    let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    is_settled(&state, (now.tv_sec, now.tv_nsec)).then_some(state)
}

/// True where a change from now on would have other times. Times in the future, as another host's clock may
/// have set them, never settle.
fn is_settled(state: &FileState, now: (i64, i64)) -> bool {
    let ns = |(s, ns): (i64, i64)| s.saturating_mul(1_000_000_000).saturating_add(ns);
    let coarse = state.changed.1 == 0 || state.modified.1 == 0;
    let least = match coarse {
        true => SETTLED_COARSE_NS,
        false => SETTLED_NS,
    };
    let last = ns(state.changed.max(state.modified));
    ns(now).saturating_sub(last) > least
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

    /// System calls that read: every look at a byte is one.
    fn reads() -> u64 {
        let io = std::fs::read_to_string("/proc/thread-self/io").unwrap();
        let count = io.lines().find_map(|line| line.strip_prefix("syscr: "));
        count.unwrap().parse().unwrap()
    }

    #[test]
    fn a_range_that_was_in_memory_just_now_costs_one_call() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![7; 2 << 20]).unwrap();
        let residency = Residency::new();
        let ask = |offset, now_ns| residency.ask(&file, offset, 1 << 20, now_ns);
        let own = {
            let before = reads();
            reads() - before
        };
        let looks = |offset, now_ns| {
            let before = reads();
            let resident = ask(offset, now_ns);
            (resident, reads() - before - own)
        };
        let (resident, count) = looks(0, 5);
        if resident != Some(true) {
            return; // This kernel cannot tell.
        }
        assert_eq!(count, 2, "every 512 KiB, and the last byte");
        assert_eq!(looks(0, 6), (Some(true), 1), "the last byte alone");
        assert_eq!(looks(1 << 20, 6), (Some(true), 2), "another range");
        assert_eq!(looks(0, 5 + REMEMBERED_NS), (Some(true), 2));
        // While the disk works nothing is taken for granted.
        residency.busy_until_ns.set(u64::MAX);
        assert_eq!(looks(0, 7 + REMEMBERED_NS), (Some(true), 8));
        // Nor what has gone: behind the end of a file that was shortened there is nothing.
        residency.busy_until_ns.set(0);
        ask(0, 9 + REMEMBERED_NS);
        file.set_len(4096).unwrap();
        assert_eq!(ask(0, 10 + REMEMBERED_NS), Some(false));
    }

    #[test]
    fn a_file_that_changed_just_now_is_not_vouched_for() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"new").unwrap();
        let (s, ns) = (1000, 500_000_000);
        let state = FileState {
            modified: (s, ns),
            changed: (s, ns),
            ..FileState::of(&file).unwrap()
        };
        assert!(!is_settled(&state, (s, ns)));
        assert!(!is_settled(&state, (s, ns + 99_000_000)));
        assert!(is_settled(&state, (s, ns + 101_000_000)));
        assert!(!is_settled(&state, (s - 9, 0)), "the clock was set back");
        assert!(!is_settled(&state, (i64::MIN, 0)));
        // A time that a program has set to the past does not hide the change, nor that it may be coarse.
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
        let set = FileState::of(&file).unwrap();
        let (s, ns) = set.changed;
        assert!(set.modified == (0, 0) && !is_settled(&set, (s + 2, ns)));
        assert!(is_settled(&set, (s + 4, ns)));
        assert_eq!(FileState::of(&File::open("/dev/null").unwrap()), None);
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
