//! The memory of one send: its pieces and its message header, at an address that does not move
//! while the kernel reads it.

use io_uring::{opcode, squeue, types};
use std::os::fd::{AsRawFd, RawFd};

/// A gathered send, whole or what a short send left of it.
pub(super) struct Gather {
    pieces: Vec<libc::iovec>,
    message: Box<libc::msghdr>,
    /// Pieces before this one have left.
    first: usize,
}

impl Gather {
    /// Nothing to send.
    pub(super) fn new() -> Self {
        Self {
            pieces: Vec::new(),
            // SAFETY: all-zero is a valid msghdr.
            message: Box::new(unsafe { std::mem::zeroed() }),
            first: 0,
        }
    }

    /// Forgets every piece.
    pub(super) fn clear(&mut self) {
        self.pieces.clear();
        self.first = 0;
    }

    /// Adds a piece.
    #[inline]
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.pieces.push(libc::iovec {
            iov_base: bytes.as_ptr().cast_mut().cast(),
            iov_len: bytes.len(),
        });
    }

    /// Whether everything has left.
    pub(super) fn is_empty(&self) -> bool {
        self.first == self.pieces.len()
    }

    /// A send took the first `bytes` bytes.
    pub(super) fn advance(&mut self, mut bytes: usize) {
        while let Some(piece) = self.pieces.get_mut(self.first) {
            if bytes < piece.iov_len {
                piece.iov_base = piece.iov_base.wrapping_byte_add(bytes);
                piece.iov_len -= bytes;
                return;
            }
            bytes -= piece.iov_len;
            self.first += 1;
        }
    }

    /// The operation that sends what is left, all of it unless the peer goes away. The pieces, and
    /// what they point to, must stay until it completes.
    pub(super) fn entry(&mut self, socket: &impl AsRawFd) -> squeue::Entry {
        let fd: RawFd = socket.as_raw_fd();
        let flags = libc::MSG_WAITALL | libc::MSG_NOSIGNAL;
        let rest = &mut self.pieces[self.first..];
        if let [one] = rest {
            let len = one.iov_len as u32;
            return opcode::Send::new(types::Fd(fd), one.iov_base.cast(), len)
                .flags(flags)
                .build();
        }
        self.message.msg_iov = rest.as_mut_ptr();
        self.message.msg_iovlen = rest.len();
        opcode::SendMsg::new(types::Fd(fd), &raw const *self.message)
            .flags(flags as u32)
            .build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(gather: &Gather) -> Vec<usize> {
        gather.pieces[gather.first..]
            .iter()
            .map(|piece| piece.iov_len)
            .collect()
    }

    #[test]
    fn advancing_cuts_within_and_between_pieces() {
        let bytes = [0; 10];
        let mut gather = Gather::new();
        for len in [3, 4, 5] {
            gather.push(&bytes[..len]);
        }
        for (step, rest) in [
            (0, vec![3, 4, 5]),
            (2, vec![1, 4, 5]),
            (1, vec![4, 5]),
            (6, vec![3]),
            (3, vec![]),
        ] {
            gather.advance(step);
            assert_eq!(left(&gather), rest);
        }
        assert!(gather.is_empty());
    }
}
