//! Archives on their way out, each serialised once: in the send buffer, or, where it turns out too
//! long for that, in a lease that grows.
//!
//! The lease begins at the length of the connection's last such archive, so that a connection which
//! sends many of a length copies nothing. What a growing lease copies is counted.

use ringrail_codec::archive::{Encode, Overflow, encode_into, encode_or_spill};
use ringrail_codec::native::Header;

use crate::buf::{Lease, LeaseMut, Pool};
use crate::error::RequestError;
use crate::metrics::ShardMetrics;

use super::Conn;

/// Where an archive is now.
#[derive(Debug)]
pub(crate) enum Archived {
    /// In the send buffer, behind its header.
    Written,
    /// In memory of its own.
    Apart(Lease),
}

/// Why an archive could not be written.
#[derive(Debug)]
pub(crate) enum Unwritten {
    /// There is no memory for its bytes.
    NoMemory {
        /// How many they are.
        len: u64,
    },
    /// The value refused.
    Failed(Box<str>),
}

/// An archive that is too long for the send buffer.
#[derive(Debug)]
struct Spill<'a> {
    pool: &'a Pool,
    metrics: &'a ShardMetrics,
    /// Bytes that there will probably be.
    guess: usize,
    /// `None` once memory has run out: then the bytes are counted, and no more.
    lease: Option<LeaseMut>,
    len: u64,
}

impl Spill<'_> {
    /// Sees that so many bytes more fit.
    fn make_room(&mut self, more: usize) {
        let Some(lease) = &self.lease else { return };
        let need = lease.len() + more;
        if need <= lease.capacity() {
            return;
        }
        let ample = self.pool.lease(need.max(2 * lease.capacity()));
        let larger = ample.or_else(|| self.pool.lease(need));
        let larger = larger.map(|mut larger| {
            larger.put(lease.as_slice());
            self.count_copy(lease.len());
            larger
        });
        self.lease = larger;
    }

    fn count_copy(&self, len: usize) {
        self.metrics.copies_grown.increment();
        self.metrics.copies_grown_bytes.add(len as u64);
    }
}

impl Overflow for Spill<'_> {
    fn begin(&mut self, begun: &[u8]) {
        let ample = self.pool.lease(self.guess.max(2 * begun.len()));
        self.lease = ample.or_else(|| self.pool.lease(begun.len()));
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

impl Conn {
    /// Serialises into the send buffer, behind the header that `header` makes from the length; or
    /// apart, where the archive is too long for that.
    #[inline]
    pub(crate) fn write_archive(
        &self,
        value: &impl Encode,
        header: impl FnOnce(u32) -> Header,
    ) -> Result<Archived, Unwritten> {
        let pool = &self.local.pool;
        let mut failed = None;
        let mut spill = Spill {
            pool,
            metrics: &self.local.metrics,
            guess: self.archive_hint.get(),
            lease: None,
            len: 0,
        };
        let max = self.local.conf.inline_max;
        let arena = &mut self.local.arena.borrow_mut();
        let mut write = |room: &mut [u8]| match encode_or_spill(value, room, &mut spill, arena) {
            Ok(len) => len,
            Err(error) => {
                failed = Some(error.to_string().into());
                None
            }
        };
        let written = match self.spark() {
            // Frames of another kind: the archive is written apart, and framed by whoever sends it.
            Some(_) => {
                write(&mut []);
                Ok(false)
            }
            None => self
                .tx
                .borrow_mut()
                .frame_with(pool, max, |room| write(room).map(|len| header(len as u32))),
        };
        let Spill { lease, len, .. } = spill;
        match (written, failed) {
            (_, Some(text)) => Err(Unwritten::Failed(text)),
            (Err(_), None) => Err(Unwritten::NoMemory { len: max as u64 }),
            (Ok(true), None) => Ok(Archived::Written),
            (Ok(false), None) => self.apart(value, lease, len).map(Archived::Apart),
        }
    }

    #[cold]
    fn apart(
        &self,
        value: &impl Encode,
        lease: Option<LeaseMut>,
        len: u64,
    ) -> Result<Lease, Unwritten> {
        self.archive_hint.set(usize::try_from(len).unwrap_or(0));
        match lease {
            Some(lease) => Ok(lease.freeze()),
            None => self.write_again(value, len),
        }
    }

    /// A lease could not grow: two of them were too much. One of the length that is known now may not
    /// be.
    fn write_again(&self, value: &impl Encode, len: u64) -> Result<Lease, Unwritten> {
        let lease = usize::try_from(len).ok();
        let Some(mut lease) = lease.and_then(|len| self.local.pool.lease(len)) else {
            return Err(Unwritten::NoMemory { len });
        };
        let written = encode_into(value, &mut lease.buffer_mut()[..len as usize]);
        let written = written.map_err(|error| Unwritten::Failed(error.to_string().into()))?;
        lease.set_len(written);
        Ok(lease.freeze())
    }

    /// Why a request is not sent whose archive could not be written.
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
