//! The body of an answer to this side: a chunk, or a reply in slices.
//!
//! A receiver grants what it holds memory for. A chunk's probable length is promised with the request; the rest, or
//! all of a chunk of unknown length, is granted once there is memory for the whole. So no connection holds half a
//! chunk while it waits for memory that other half chunks hold. The shell leases; this says when, and how much.

use ringrail_codec::native::{Accepted, Assembly, AssemblyError, ChunkData, padded_len};

use crate::buf::{LeaseMut, Reservation};
use crate::error::Reached;

/// A body on its way in.
#[derive(Debug, Default)]
pub(crate) struct AnswerBody {
    /// The buffer that it goes to; out while a receive is writing to it.
    pub(crate) buf: Option<LeaseMut>,
    /// It is out.
    pub(crate) lent: bool,
    /// Memory promised for it, while nothing has come.
    pub(crate) promised: Option<Reservation>,
    /// Known from the first slice on.
    pub(crate) assembly: Option<Assembly>,
    /// Bytes granted to the sender so far.
    pub(crate) granted: u64,
    /// When the last slice of a chunk came.
    pub(crate) grew_ns: u64,
}

/// The reason why a slice of a chunk ends its connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ChunkError {
    /// It does not follow the slices before it.
    Order(AssemblyError),
    /// The peer has sent more than it was granted.
    BeyondCredit { received: u64, granted: u64 },
}

impl AnswerBody {
    /// A chunk of at most `max_len` bytes has been asked for.
    pub(crate) fn begin_chunk(&mut self, max_len: u64) {
        assert!(self.assembly.is_none(), "a request is for one chunk");
        self.assembly = Some(Assembly::chunk(max_len));
    }

    /// So many bytes are granted with the request; memory for them is `promised`, unless they are so few that they
    /// stay in the receive buffer.
    pub(crate) fn promise(&mut self, granted: u64, promised: Option<Reservation>) {
        assert_eq!(self.granted, 0, "the first grant comes first");
        self.granted = granted;
        self.promised = promised;
    }

    /// Accounts for a slice of a chunk; `None` where none was asked for.
    ///
    /// # Errors
    /// If the peer broke a rule.
    pub(crate) fn accept_chunk(
        &mut self,
        frame: &ChunkData,
        body_len: u32,
        now_ns: u64,
    ) -> Result<Option<Accepted>, ChunkError> {
        let Some(assembly) = self.assembly.as_mut() else {
            return Ok(None);
        };
        let accepted = assembly.chunk_data(frame, body_len);
        let accepted = accepted.map_err(ChunkError::Order)?;
        let (received, granted) = (assembly.received(), self.granted);
        self.grew_ns = now_ns;
        if received > granted {
            return Err(ChunkError::BeyondCredit { received, granted });
        }
        Ok(Some(accepted))
    }

    /// Capacity that the granted bytes of a chunk of `total_len` need; `None` where its buffer has it.
    pub(crate) fn lacks(&self, total_len: u64) -> Option<usize> {
        let need = padded_len(self.granted.min(total_len) as usize);
        let have = self.buf.as_ref().map_or(0, LeaseMut::capacity);
        (self.buf.is_none() || have < need).then_some(need)
    }

    /// The length of a chunk whose rest is to be granted: known, not granted whole, and its buffer is here. While a
    /// slice is being received, its end asks again.
    pub(crate) fn awaits_grant(&self) -> Option<u64> {
        let assembly = self.assembly.as_ref().filter(|_| !self.lent)?;
        let total_len = assembly.total_len()?;
        (self.granted < total_len && !assembly.is_complete()).then_some(total_len)
    }

    /// Grants the rest of a chunk; how many bytes more.
    ///
    /// # Panics
    /// If there is no memory for all of it.
    pub(crate) fn grant_rest(&mut self, total_len: u64, now_ns: u64) -> u64 {
        let need = padded_len(total_len as usize);
        assert!(
            self.buf.as_ref().is_some_and(|buf| buf.capacity() >= need),
            "credit is granted with memory"
        );
        let bytes = total_len - self.granted;
        self.granted = total_len;
        self.grew_ns = now_ns;
        bytes
    }

    /// Gives out the buffer for a slice to be received into.
    pub(crate) fn lend(&mut self) -> Option<LeaseMut> {
        self.lent = self.buf.is_some();
        self.buf.take()
    }

    /// Takes it back.
    pub(crate) fn put_back(&mut self, buf: LeaseMut) {
        self.lent = false;
        self.buf = Some(buf);
    }

    /// Goes on in a larger buffer; how many bytes had to be copied.
    pub(crate) fn move_to(&mut self, mut larger: LeaseMut) -> usize {
        let begun = self.buf.take();
        let begun = begun.as_ref().map_or(&[][..], LeaseMut::as_slice);
        larger.put(begun);
        self.buf = Some(larger);
        begun.len()
    }

    /// True for a chunk of which nothing has come since `since_ns`, though there is credit for more.
    pub(crate) fn stands_still(&self, since_ns: u64) -> bool {
        let Some(assembly) = &self.assembly else {
            return false;
        };
        let received = assembly.received();
        let begun = self.grew_ns > 0 && received < self.granted && !assembly.is_complete();
        begun && self.grew_ns <= since_ns
    }

    /// How far the body has come.
    pub(crate) fn progress(&self) -> Reached {
        match &self.assembly {
            Some(assembly)
                if assembly
                    .total_len()
                    .is_some_and(|total| total > self.granted) =>
            {
                Reached::WaitingForMemory
            }
            Some(assembly) if assembly.received() > 0 => Reached::Receiving,
            _ => Reached::Sent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buf::Pool;

    fn data(total_len: u64, seq: u32, more: bool) -> ChunkData {
        ChunkData {
            id: 1,
            total_len,
            seq,
            more,
        }
    }

    #[test]
    fn a_chunk_of_unknown_length_is_announced_granted_and_received() {
        let pool = Pool::new(4 << 20, 1 << 20);
        let mut body = AnswerBody::default();
        body.begin_chunk(u64::MAX);
        body.promise(0, None);
        assert_eq!(body.awaits_grant(), None, "its length is not known");
        body.accept_chunk(&data(9000, 0, true), 0, 1).unwrap();
        assert_eq!(body.awaits_grant(), Some(9000));
        body.move_to(pool.lease(padded_len(9000)).unwrap());
        assert_eq!(body.grant_rest(9000, 2), 9000);
        assert_eq!((body.awaits_grant(), body.lacks(9000)), (None, None));
        let place = body.accept_chunk(&data(9000, 1, false), 9000, 3);
        assert!(place.unwrap().unwrap().complete);
    }

    #[test]
    fn a_chunk_longer_than_it_was_guessed_stops_at_its_credit() {
        let pool = Pool::new(4 << 20, 1 << 20);
        let mut body = AnswerBody::default();
        body.begin_chunk(u64::MAX);
        body.promise(4096, pool.reserve(4096));
        assert_eq!(
            body.lacks(10_000),
            Some(4096),
            "memory for what is granted, no more"
        );
        body.accept_chunk(&data(10_000, 0, true), 4096, 1).unwrap();
        assert!(!body.stands_still(100), "it has used its credit");
        let error = body.accept_chunk(&data(10_000, 1, true), 1024, 1);
        let (received, granted) = (5120, 4096);
        assert_eq!(
            error.unwrap_err(),
            ChunkError::BeyondCredit { received, granted }
        );
    }

    #[test]
    fn a_lent_buffer_is_granted_for_when_it_is_back() {
        let pool = Pool::new(4 << 20, 1 << 20);
        let mut body = AnswerBody::default();
        body.begin_chunk(u64::MAX);
        body.promise(4096, None);
        body.accept_chunk(&data(10_000, 0, true), 1024, 1).unwrap();
        body.move_to(pool.lease(4096).unwrap());
        let buf = body.lend().unwrap();
        assert_eq!(body.awaits_grant(), None);
        body.put_back(buf);
        assert_eq!(body.awaits_grant(), Some(10_000));
        assert!(body.stands_still(1), "granted more than has come");
    }
}
