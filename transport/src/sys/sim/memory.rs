//! Copies out of what a gather refers to, as the kernel would.

use std::io;

use crate::buf::Gather;

/// Appends `len` bytes of what remains of `gather`, after its first `after` bytes.
pub(super) fn copy_parts(
    gather: &Gather,
    after: usize,
    len: usize,
    into: &mut Vec<u8>,
) -> io::Result<()> {
    let (_, mapped) = gather.body_bytes();
    let mut left = len;
    for (at, part_len) in gather.parts_after(after) {
        let len = part_len.min(left);
        if mapped > 0 {
            copy_by_kernel(at, len, into)?;
        } else {
            // SAFETY: the part lies in a live buffer of the gather; it is not written to while
            // we hold a reference; no part is of a mapped file.
            into.extend_from_slice(unsafe { std::slice::from_raw_parts(at, len) });
        }
        left -= len;
        if left == 0 {
            break;
        }
    }
    Ok(())
}

/// A mapped file may have been shortened, and then reading it ourselves would raise SIGBUS, where
/// the kernel, sending it, only fails with `EFAULT`.
fn copy_by_kernel(at: *const u8, len: usize, into: &mut Vec<u8>) -> io::Result<()> {
    let start = into.len();
    into.resize(start + len, 0);
    let local = libc::iovec {
        iov_base: into[start..].as_mut_ptr().cast(),
        iov_len: len,
    };
    let remote = libc::iovec {
        iov_base: at.cast_mut().cast(),
        iov_len: len,
    };
    // SAFETY: one live, writable range of `len` bytes; the kernel checks the other one.
    let done = unsafe {
        let own = libc::getpid();
        libc::process_vm_readv(own, &raw const local, 1, &raw const remote, 1, 0)
    };
    if usize::try_from(done) == Ok(len) {
        return Ok(());
    }
    into.truncate(start);
    Err(io::Error::from_raw_os_error(libc::EFAULT))
}
