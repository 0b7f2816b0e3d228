//! Page-aligned memory by `mmap`: receive buffers and sources in huge pages where the system has
//! them, and files to send from.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;

/// A mapping of this process, unmapped when dropped.
#[derive(Debug)]
struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping owns its address range outright, as a `Vec<u8>` does.
unsafe impl Send for Mapping {}
// SAFETY: as above; shared access only reads.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(len: usize, protection: i32, flags: i32, fd: i32) -> io::Result<Self> {
        // SAFETY: a new mapping at an address of the kernel's choice disturbs no other memory.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, fd, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base =
            NonNull::new(base.cast()).ok_or_else(|| io::Error::other("a mapping at address 0"))?;
        Ok(Self { base, len })
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: readable, `len` long, and alive as long as `self`.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.len) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly the range that `new` mapped; no borrow of it can outlive `self`.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

/// Anonymous memory, zeroed at first.
#[derive(Debug)]
pub(crate) struct Region(Mapping);

impl Region {
    /// Maps `len` bytes and touches every page, so that no page fault happens while the clock runs.
    ///
    /// # Errors
    /// The kernel's refusal; a `len` of 0 is one.
    pub(crate) fn new(len: usize) -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let mut region = Self(Mapping::new(
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            flags,
            -1,
        )?);
        // SAFETY: a hint about the range just mapped; where it is not supported nothing changes.
        unsafe { libc::madvise(region.as_mut_ptr().cast(), len, libc::MADV_HUGEPAGE) };
        region.bytes_mut().fill(0);
        Ok(region)
    }

    /// The start of the region, for passing parts of it to the kernel.
    pub(crate) fn as_mut_ptr(&mut self) -> *mut u8 {
        self.0.base.as_ptr()
    }

    /// The whole region.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }

    /// All of it, to write.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: writable (only `FileMap`s are not), `len` long, and borrowed from `self`
        // exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.0.base.as_ptr(), self.0.len) }
    }
}

/// The start of a file, mapped for reading.
#[derive(Debug)]
pub(crate) struct FileMap(Mapping);

impl FileMap {
    /// Maps the first `len` bytes, cached pages already in the page table.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub(crate) fn new(file: &File, len: usize) -> io::Result<Self> {
        let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
        Mapping::new(len, libc::PROT_READ, flags, file.as_raw_fd()).map(Self)
    }

    /// All of it.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_page_aligned_zeroed_and_writable() {
        let mut region = Region::new(10_000).expect("little memory");
        assert!(region.as_mut_ptr().addr().is_multiple_of(4096));
        assert!(region.bytes().iter().all(|&b| b == 0));
        region.bytes_mut()[9_999] = 7;
        assert_eq!(region.bytes()[9_999], 7);
        assert!(Region::new(0).is_err());
    }
}
