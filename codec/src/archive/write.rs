//! Writing: [`encode_into`] serialises a value straight into the buffer that will be sent.

use std::fmt;

use rkyv::Serialize;
use rkyv::api::high::{HighSerializer, to_bytes_in, to_bytes_in_with_alloc};
use rkyv::rancor::Error;
pub use rkyv::ser::allocator::Arena;
use rkyv::ser::allocator::ArenaHandle;
use rkyv::ser::{Positional, Writer};

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

/// Where the bytes of an archive go. It counts on when a slice is full, so that one attempt tells how much
/// room a second one needs.
#[derive(Debug)]
pub struct BodyWriter<'w> {
    target: Target<'w>,
    pos: usize,
}

/// Takes an archive over from a buffer that has become too small for it; see [`encode_or_spill`].
pub trait Overflow: fmt::Debug {
    /// What the buffer holds. Called once, before the first [`append`](Self::append).
    fn begin(&mut self, begun: &[u8]);

    /// The next bytes.
    fn append(&mut self, bytes: &[u8]);
}

#[derive(Debug)]
enum Target<'w> {
    Slice(&'w mut [u8]),
    Vec(&'w mut Vec<u8>),
    Spill {
        out: &'w mut [u8],
        over: &'w mut dyn Overflow,
        spilled: bool,
    },
}

impl Target<'_> {
    #[cold]
    fn spill(&mut self, pos: usize, bytes: &[u8]) {
        if let Target::Spill { out, over, spilled } = self {
            if !std::mem::replace(spilled, true) {
                over.begin(&out[..pos]);
            }
            over.append(bytes);
        }
    }
}

impl Positional for BodyWriter<'_> {
    #[inline]
    fn pos(&self) -> usize {
        self.pos
    }
}

impl Writer<Error> for BodyWriter<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let end = self.pos + bytes.len();
        match &mut self.target {
            Target::Slice(out) => {
                if let Some(out) = out.get_mut(self.pos..end) {
                    out.copy_from_slice(bytes);
                }
            }
            Target::Vec(out) => out.extend_from_slice(bytes),
            Target::Spill { out, spilled, .. } => match out.get_mut(self.pos..end) {
                Some(out) if !*spilled => out.copy_from_slice(bytes),
                _ => self.target.spill(self.pos, bytes),
            },
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
    let need = encode(value, Target::Slice(out))?;
    if need > room {
        return Err(EncodeError::NoRoom { need, room });
    }
    Ok(need)
}

/// Serialises `value` to the front of `out` as [`encode_into`] does; where the archive does not fit, it
/// goes on in `over`, which then has all of it. Either way `value` is serialised once. Returns the
/// archive's length where it is in `out`. `arena` is scratch memory, for whoever serialises often.
///
/// # Errors
/// [`EncodeError::Failed`].
#[inline]
pub fn encode_or_spill(
    value: &impl Encode,
    out: &mut [u8],
    over: &mut dyn Overflow,
    arena: &mut Arena,
) -> Result<Option<usize>, EncodeError> {
    let room = out.len();
    let spilled = false;
    let target = Target::Spill { out, over, spilled };
    let writer = BodyWriter { target, pos: 0 };
    let written = to_bytes_in_with_alloc(value, writer, arena.acquire());
    let len = written.map_err(EncodeError::Failed)?.pos;
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
    encode(value, Target::Vec(out)).inspect_err(|_| out.truncate(start))
}

fn encode(value: &impl Encode, target: Target<'_>) -> Result<usize, EncodeError> {
    to_bytes_in(value, BodyWriter { target, pos: 0 })
        .map(|writer| writer.pos)
        .map_err(EncodeError::Failed)
}
