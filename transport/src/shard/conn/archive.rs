//! Serialisation of outgoing archives, once each: into the send buffer, or, for an archive that
//! turns out too long for it, into a lease that grows.
//!
//! The lease begins at the length of the connection's last such archive, so that a connection which
//! sends many archives of one length copies nothing. Bytes copied by the growth of a lease are
//! counted.

use std::fmt;

use ringrail_codec::archive::{Encode, EncodeError, Overflow, encode_into, encode_or_spill};
use ringrail_codec::native::Header;

use crate::buf::{Lease, LeaseMut};
use crate::error::RequestError;

use super::Conn;
use crate::conn::send_queue::NoMemory;

/// The place an archive was serialised to.
#[derive(Debug)]
pub(crate) enum Archived {
    /// In the send buffer, directly after its header.
    Written,
    /// In a buffer of its own.
    Apart(Lease),
}

/// The reason why an archive could not be written.
#[derive(Debug)]
pub(crate) enum Unwritten {
    /// There is no memory for its bytes.
    NoMemory {
        /// The length of the archive in bytes, as far as known.
        len: u64,
    },
    /// The value's serialisation failed.
    Failed(Box<str>),
}

/// An archive that is too long for the send buffer.
struct Spill<'a> {
    conn: &'a Conn,
    /// `None` once memory has run out: the remaining bytes are only counted.
    lease: Option<LeaseMut>,
    len: u64,
}

impl Spill<'_> {
    /// Ensures space for so many more bytes.
    fn make_room(&mut self, more: usize) {
        let Some(lease) = &self.lease else { return };
        let need = lease.len() + more;
        if need <= lease.capacity() {
            return;
        }
        let pool = &self.conn.local.pool;
        let ample = pool.lease(need.max(2 * lease.capacity()));
        let larger = ample.or_else(|| pool.lease(need));
        let larger = larger.map(|mut larger| {
            larger.put(lease.as_slice());
            self.count_copy(lease.len());
            larger
        });
        self.lease = larger;
    }

    fn count_copy(&self, len: usize) {
        let metrics = &self.conn.local.metrics;
        metrics.copies_grown.increment();
        metrics.copies_grown_bytes.add(len as u64);
    }
}

impl fmt::Debug for Spill<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Spill({} bytes)", self.len)
    }
}

impl Overflow for Spill<'_> {
    fn begin(&mut self, begun: &[u8]) {
        let (pool, guess) = (&self.conn.local.pool, self.conn.archive_hint.get());
        let ample = pool.lease(guess.max(2 * begun.len()));
        self.lease = ample.or_else(|| pool.lease(begun.len()));
        if self.lease.is_some() && !begun.is_empty() {
            self.count_copy(begun.len());
        }
        self.append(begun);
    }

    fn append(&mut self, bytes: &[u8]) {
        self.len += bytes.len() as u64;
        self.make_room(bytes.len());
        if let Some(lease) = &mut self.lease {
            lease.put(bytes);
        }
    }
}

#[cold]
fn failed(error: &EncodeError) -> Unwritten {
    Unwritten::Failed(error.to_string().into())
}

impl Conn {
    /// Serialises into the send buffer, behind the header that `header` makes from the length; or
    /// into memory of its own, if the archive is too long for that.
    #[inline(always)]
    pub(crate) fn write_archive(
        &self,
        value: &impl Encode,
        header: impl FnOnce(u32) -> Header,
    ) -> Result<Archived, Unwritten> {
        let mut spill = Spill {
            conn: self,
            lease: None,
            len: 0,
        };
        let arena = &mut self.local.arena.borrow_mut();
        let written = if !self.wire().frames_in_place() {
            // Frames of another protocol: the archive is written to a buffer of its own, and the
            // sender frames it.
            encode_or_spill(value, &mut [], &mut spill, arena).map(|_| false)
        } else {
            let (pool, max) = (&self.local.pool, self.local.conf.inline_max);
            let mut tx = self.tx.borrow_mut();
            let written = tx.frame_with(pool, max, |room| {
                let len = encode_or_spill(value, room, &mut spill, arena)?;
                Ok(len.map(|len| header(len as u32)))
            });
            match written {
                Ok(written) => written,
                Err(NoMemory) => return Err(Unwritten::NoMemory { len: max as u64 }),
            }
        };
        match written {
            Ok(true) => Ok(Archived::Written),
            Ok(false) => self.apart(value, spill.lease, spill.len),
            Err(error) => Err(failed(&error)),
        }
    }

    #[cold]
    fn apart(
        &self,
        value: &impl Encode,
        lease: Option<LeaseMut>,
        len: u64,
    ) -> Result<Archived, Unwritten> {
        self.archive_hint.set(usize::try_from(len).unwrap_or(0));
        let lease = match lease {
            Some(lease) => {
                assert_eq!(lease.len() as u64, len, "every byte of an archive is kept");
                lease.freeze()
            }
            None => self.write_again(value, len)?,
        };
        Ok(Archived::Apart(lease))
    }

    /// A lease could not grow, which needs both buffers at once. A single lease of the length now
    /// known may succeed.
    fn write_again(&self, value: &impl Encode, len: u64) -> Result<Lease, Unwritten> {
        let lease = usize::try_from(len).ok();
        let Some(mut lease) = lease.and_then(|len| self.local.pool.lease(len)) else {
            return Err(Unwritten::NoMemory { len });
        };
        let written = encode_into(value, &mut lease.buffer_mut()[..len as usize]);
        let written = written.map_err(|error| failed(&error))?;
        lease.set_len(written);
        Ok(lease.freeze())
    }

    /// The error of a request whose archive could not be written.
    #[cold]
    pub(super) fn unwritten(&self, why: Unwritten) -> RequestError {
        match why {
            Unwritten::Failed(detail) => RequestError::Unserialisable { detail },
            Unwritten::NoMemory { len } => {
                let known = usize::try_from(len).unwrap_or(usize::MAX);
                match self.check_rpc_len(known) {
                    Err(error) => error,
                    Ok(()) => self.no_room(len),
                }
            }
        }
    }
}
