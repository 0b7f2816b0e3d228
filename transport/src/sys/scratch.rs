//! Memory of a `sendmsg`: the header and the vector of parts that describe a gather to the kernel.
//!
//! Both drivers of the kernel keep some for reuse, so that a send allocates nothing.

use crate::buf::{Gather, MAX_PIECES};

/// Memory of a `sendmsg`: must stay where it is while the kernel reads it.
#[derive(Debug)]
pub(super) struct MsgScratch {
    header: libc::msghdr,
    iov: [libc::iovec; MAX_PIECES],
}

impl MsgScratch {
    pub(super) fn new() -> Box<Self> {
        // SAFETY: all-zero is a valid msghdr (null pointers, zero lengths).
        let header: libc::msghdr = unsafe { std::mem::zeroed() };
        let empty = libc::iovec {
            iov_base: std::ptr::null_mut(),
            iov_len: 0,
        };
        Box::new(Self {
            header,
            iov: [empty; MAX_PIECES],
        })
    }

    /// Describes what remains of `gather` less its first `sent` bytes; good while neither of the
    /// two is touched.
    pub(super) fn describe(&mut self, gather: &Gather, sent: usize) -> *const libc::msghdr {
        let mut count = 0;
        for (place, (at, len)) in self.iov.iter_mut().zip(gather.parts_after(sent)) {
            *place = libc::iovec {
                iov_base: at.cast_mut().cast(),
                iov_len: len,
            };
            count += 1;
        }
        self.header.msg_iov = self.iov.as_mut_ptr();
        self.header.msg_iovlen = count;
        &raw const self.header
    }

    pub(super) fn iov_count(&self) -> usize {
        self.header.msg_iovlen
    }

    pub(super) fn first(&self) -> libc::iovec {
        self.iov[0]
    }
}
