//! The bytes of a message or reply: borrowed while its handler runs, kept where it must last.
//!
//! They lie in a receive buffer of the engine, or, where no engine is involved (the in-process
//! backend), in an aligned vector that both sides share.

use std::cell::RefCell;
use std::sync::Arc;

use ringrail_codec::archive::{Encode, EncodeError, encode_into};
use ringrail_transport::ReceivedBytes as WireBody;
use ringrail_transport::buf::Lease;
use rkyv::util::AlignedVec;

/// An aligned vector: archives can be read in it.
pub type AlignedBytes = AlignedVec<16>;

/// Bytes that are kept.
#[derive(Clone, Debug)]
pub(crate) enum BodyBuf {
    /// In a receive buffer.
    Lease(Lease),
    /// Shared within the process, from this byte on.
    Shared(Arc<AlignedBytes>, usize),
}

impl BodyBuf {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            BodyBuf::Lease(lease) => lease,
            BodyBuf::Shared(bytes, from) => &bytes[*from..],
        }
    }

    /// Without the first `count` bytes.
    pub(crate) fn tail(&self, count: usize) -> BodyBuf {
        match self {
            BodyBuf::Lease(lease) => BodyBuf::Lease(lease.slice(count..)),
            BodyBuf::Shared(bytes, from) => BodyBuf::Shared(Arc::clone(bytes), from + count),
        }
    }
}

#[derive(Clone, Copy)]
enum Source<'a> {
    Wire(&'a WireBody<'a>),
    Owned(&'a BodyBuf),
}

/// Bytes that are there while a handler runs.
#[derive(Clone, Copy)]
pub(crate) struct BodyRef<'a> {
    bytes: &'a [u8],
    source: Source<'a>,
}

impl<'a> BodyRef<'a> {
    pub(crate) fn of_wire(body: &'a WireBody<'a>) -> Self {
        Self {
            bytes: body.bytes(),
            source: Source::Wire(body),
        }
    }

    pub(crate) fn of_kept(body: &'a BodyBuf) -> Self {
        Self {
            bytes: body.bytes(),
            source: Source::Owned(body),
        }
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Without the first `count` bytes, of which there must be as many.
    #[inline]
    pub(crate) fn tail(mut self, count: usize) -> Self {
        self.bytes = &self.bytes[count..];
        self
    }

    /// Counts a reference; copies nothing.
    pub(crate) fn keep(&self) -> BodyBuf {
        let whole = match &self.source {
            Source::Wire(body) => BodyBuf::Lease(body.keep()),
            Source::Owned(body) => (*body).clone(),
        };
        assert!(
            self.bytes.len() <= whole.bytes().len(),
            "a part is no longer than the whole"
        );
        let before = whole.bytes().len() - self.bytes.len();
        if before == 0 {
            whole
        } else {
            whole.tail(before)
        }
    }
}

/// Scratch vectors that a thread keeps, at most.
const MAX_SCRATCH: usize = 8;

/// The longest scratch vector that is kept, in bytes.
const MAX_SCRATCH_LEN: usize = 64 << 10;

/// The first guess of an archive's length.
const FIRST_LEN: usize = 256;

thread_local! {
    static SCRATCH: RefCell<Vec<AlignedBytes>> = const { RefCell::new(Vec::new()) };
}

/// An archive in memory that its thread uses again.
pub(crate) struct Scratch(AlignedBytes);

impl Scratch {
    /// Serialises `value`.
    pub(crate) fn encode(value: &impl Encode) -> Result<Self, EncodeError> {
        let spare = SCRATCH.with(|spare| spare.borrow_mut().pop());
        let mut scratch = Self(spare.unwrap_or_default());
        encode_aligned_in(value, &mut scratch.0)?;
        Ok(scratch)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.0.capacity() > MAX_SCRATCH_LEN {
            return;
        }
        let bytes = std::mem::take(&mut self.0);
        // A thread that is ending keeps nothing.
        let _ = SCRATCH.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < MAX_SCRATCH {
                spare.push(bytes);
            }
        });
    }
}

/// Serialises `value` into a vector of its own.
pub(crate) fn encode_aligned(value: &impl Encode) -> Result<AlignedBytes, EncodeError> {
    let mut bytes = AlignedBytes::new();
    encode_aligned_in(value, &mut bytes)?;
    Ok(bytes)
}

fn encode_aligned_in(value: &impl Encode, bytes: &mut AlignedBytes) -> Result<(), EncodeError> {
    let guess = bytes.len().max(FIRST_LEN);
    bytes.resize(guess, 0);
    let len = match encode_into(value, bytes) {
        Err(EncodeError::NoRoom { need, .. }) => {
            bytes.resize(need, 0);
            encode_into(value, bytes)?
        }
        outcome => outcome?,
    };
    bytes.resize(len, 0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringrail_codec::archive::decode;

    #[test]
    fn archives_of_any_length_come_out_as_they_went_in() {
        for len in [0usize, 1, 100, 10_000] {
            let value = vec![7u8; len];
            let bytes = encode_aligned(&value).unwrap();
            assert_eq!(decode::<Vec<u8>>(&bytes).unwrap(), value);
            let scratch = Scratch::encode(&value).unwrap();
            assert_eq!(scratch.bytes(), &bytes[..]);
        }
    }

    #[test]
    fn a_tail_is_kept_as_the_tail() {
        let whole = BodyBuf::Shared(Arc::new(encode_aligned(&(1u64, 2u64, 3u64)).unwrap()), 0);
        let tail = BodyRef::of_kept(&whole).tail(16);
        assert_eq!(tail.keep().bytes(), &whole.bytes()[16..]);
        let empty = BodyRef::of_kept(&whole).tail(whole.bytes().len());
        assert!(empty.keep().bytes().is_empty());
    }
}
