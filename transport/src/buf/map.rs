//! Files mapped into memory, for sending from the page cache without a read.
//!
//! The engine never touches mapped bytes from user space: only the kernel copies them into the
//! socket. A file that another process shortens then makes the send fail with `EFAULT`, which
//! ends one transfer, where a read of ours would raise `SIGBUS` and end the process.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::Arc;

/// A whole file mapped read-only; shared by the [`MapSlice`]s cut from it.
pub struct Mapping {
    address: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping is read-only and is unmapped by the last owner alone.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `file` as long as it is now.
    ///
    /// # Errors
    /// Errors of `fstat` and `mmap`; `InvalidInput` for an empty file.
    pub fn of(file: &File) -> io::Result<Arc<Mapping>> {
        let len = usize::try_from(file.metadata()?.len())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "file too long to map"))?;
        if len == 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "an empty file has no mapping",
            ));
        }
        // SAFETY: a fresh shared read-only mapping at an address of the kernel's choice; no Rust
        // reference to its bytes is ever made (see the module's head).
        let address = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                len,
                rustix::mm::ProtFlags::READ,
                rustix::mm::MapFlags::SHARED,
                file.as_fd(),
                0,
            )
        }?;
        let address = NonNull::new(address.cast())
            .ok_or_else(|| io::Error::other("mmap gave address zero"))?;
        Ok(Arc::new(Mapping { address, len }))
    }

    /// Bytes mapped.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True for a mapping of nothing, which [`of`](Self::of) refuses to make.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A view of `len` bytes from `offset`, or `None` where that reaches beyond the mapping.
    pub fn slice(self: &Arc<Self>, offset: usize, len: usize) -> Option<MapSlice> {
        let end = offset.checked_add(len)?;
        (end <= self.len).then(|| MapSlice {
            mapping: Arc::clone(self),
            offset,
            len,
        })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: `address..len` is our mapping, and the last slice of it is gone. Failure would
        // mean that the arguments are wrong; nothing could be done about it here.
        let _ = unsafe { rustix::mm::munmap(self.address.as_ptr().cast(), self.len) };
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mapping({} bytes)", self.len)
    }
}

/// A part of a [`Mapping`], as the body of something to send.
#[derive(Clone, Debug)]
pub struct MapSlice {
    mapping: Arc<Mapping>,
    offset: usize,
    len: usize,
}

impl MapSlice {
    /// Bytes in this part.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True for a part of no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Address for the kernel to copy from.
    pub(crate) fn as_ptr(&self) -> *const u8 {
        // SAFETY: `offset` lies inside the mapping.
        unsafe { self.mapping.address.as_ptr().add(self.offset) }
    }

    /// A part of this part.
    pub(crate) fn slice(&self, start: usize, len: usize) -> MapSlice {
        assert!(
            start + len <= self.len,
            "{start}+{len} of {} mapped bytes",
            self.len
        );
        MapSlice {
            mapping: Arc::clone(&self.mapping),
            offset: self.offset + start,
            len,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn slices_stay_inside_the_file() {
        let mut file = tempfile::tempfile().unwrap();
        assert!(Mapping::of(&file).is_err());
        file.write_all(&[7; 100]).unwrap();
        let mapping = Mapping::of(&file).unwrap();
        assert_eq!(mapping.slice(90, 10).unwrap().len(), 10);
        assert!(mapping.slice(91, 10).is_none());
        assert!(mapping.slice(usize::MAX, 2).is_none());
    }
}
