//! Writing: [`encode_into`] serialises a value straight into the buffer that will be sent.

use std::fmt;

use rkyv::Serialize;
use rkyv::api::high::{HighSerializer, to_bytes_in};
use rkyv::api::serialize_using;
use rkyv::rancor::Error;
pub use rkyv::ser::allocator::Arena;
use rkyv::ser::allocator::ArenaHandle;
use rkyv::ser::sharing::Share;
use rkyv::ser::{Positional, Serializer, Writer};

use crate::native::ALIGN;

/// A type that can be sent: every `#[derive(Serialize)]` type has it.
pub trait Encode:
    for<'w, 'a> Serialize<HighSerializer<BodyWriter<'w>, ArenaHandle<'a>, Error>>
{
}

impl<T> Encode for T where
    T: for<'w, 'a> Serialize<HighSerializer<BodyWriter<'w>, ArenaHandle<'a>, Error>>
{
}

/// A value that could not be serialised.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The buffer is too short; nothing of what it holds now is an archive.
    #[error("the archive takes {need} bytes where {room} are left")]
    NoRoom {
        /// The exact length of the archive.
        need: usize,
        /// The length of the buffer.
        room: usize,
    },
    /// The vector's length is not a multiple of 16, so the archive would begin unaligned.
    #[error(
        "the archive would begin {off} bytes behind a {ALIGN}-byte boundary; pad the vector first"
    )]
    Misaligned {
        /// The distance from the boundary in bytes.
        off: usize,
    },
    /// The type itself refused, or the archive passes the 2 GiB that its pointers reach.
    #[error("the value cannot be serialised: {0}")]
    Failed(Error),
}

/// The destination of an archive's bytes. It keeps counting when a slice is full, so that one attempt
/// yields the size that a second one needs.
#[derive(Debug)]
pub struct BodyWriter<'w> {
    /// Filled first; left untouched once something did not fit.
    out: &'w mut [u8],
    pos: usize,
    beyond: Beyond<'w>,
}

/// Takes an archive over from a buffer that has become too small for it; see [`encode_or_spill`].
pub trait Overflow: fmt::Debug {
    /// Receives the buffer's content. Called once, before the first [`append`](Self::append).
    fn begin(&mut self, begun: &[u8]);

    /// The next bytes.
    fn append(&mut self, bytes: &[u8]);
}

/// The treatment of bytes that exceed the slice.
#[derive(Debug)]
enum Beyond<'w> {
    Counted,
    Vec(&'w mut Vec<u8>),
    Spill(&'w mut dyn Overflow),
}

impl BodyWriter<'_> {
    /// Takes bytes that do not fit. `pos` is beyond the slice from then on, so nothing fits any more.
    #[cold]
    fn write_beyond(&mut self, bytes: &[u8]) {
        match &mut self.beyond {
            Beyond::Counted => {}
            Beyond::Vec(vec) => vec.extend_from_slice(bytes),
            Beyond::Spill(over) => {
                if let Some(begun) = self.out.get(..self.pos) {
                    over.begin(begun);
                }
                over.append(bytes);
            }
        }
    }
}

impl Positional for BodyWriter<'_> {
    #[inline(always)]
    fn pos(&self) -> usize {
        self.pos
    }
}

impl Writer<Error> for BodyWriter<'_> {
    // Messages are written field by field: what is in here is multiplied.
    #[inline(always)]
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let end = self.pos + bytes.len();
        match self.out.get_mut(self.pos..end) {
            Some(room) => room.copy_from_slice(bytes),
            None => self.write_beyond(bytes),
        }
        self.pos = end;
        Ok(())
    }
}

/// Serialises `value` to the front of `out`, which must begin on a 16-byte boundary of what is sent, and
/// returns the archive's length.
///
/// # Errors
/// [`EncodeError::NoRoom`] with the exact length needed, [`EncodeError::Failed`].
pub fn encode_into(value: &impl Encode, out: &mut [u8]) -> Result<usize, EncodeError> {
    let room = out.len();
    let need = encode(value, out, Beyond::Counted)?;
    if need > room {
        return Err(EncodeError::NoRoom { need, room });
    }
    Ok(need)
}

/// Serialises `value` to the front of `out` as [`encode_into`] does; an archive that does not fit
/// continues in `over`, which then has all of it. In both cases `value` is serialised once. Returns
/// the archive's length if it is in `out`. `arena` is scratch memory that callers keep for repeated
/// use.
///
/// # Errors
/// [`EncodeError::Failed`].
#[inline(always)]
pub fn encode_or_spill(
    value: &impl Encode,
    out: &mut [u8],
    over: &mut dyn Overflow,
    arena: &mut Arena,
) -> Result<Option<usize>, EncodeError> {
    let room = out.len();
    let writer = BodyWriter {
        out,
        pos: 0,
        beyond: Beyond::Spill(over),
    };
    // The body of rkyv's `to_bytes_in_with_alloc`, inlined: the compiler does not inline that
    // function reliably.
    let mut serializer = Serializer::new(writer, arena.acquire(), Share::new());
    serialize_using(value, &mut serializer).map_err(EncodeError::Failed)?;
    let len = serializer.into_writer().pos;
    Ok((len <= room).then_some(len))
}

/// Serialises `value` to the end of `out` and returns the archive's length. The vector grows as needed.
///
/// # Errors
/// [`EncodeError::Misaligned`] if `out` is not a multiple of 16 long, [`EncodeError::Failed`].
pub fn encode_to_vec(value: &impl Encode, out: &mut Vec<u8>) -> Result<usize, EncodeError> {
    let start = out.len();
    let off = start % ALIGN;
    if off != 0 {
        return Err(EncodeError::Misaligned { off });
    }
    encode(value, &mut [], Beyond::Vec(out)).inspect_err(|_| out.truncate(start))
}

fn encode<'w>(
    value: &impl Encode,
    out: &'w mut [u8],
    beyond: Beyond<'w>,
) -> Result<usize, EncodeError> {
    let pos = 0;
    to_bytes_in(value, BodyWriter { out, pos, beyond })
        .map(|writer| writer.pos)
        .map_err(EncodeError::Failed)
}
