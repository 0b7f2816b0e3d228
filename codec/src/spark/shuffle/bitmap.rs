//! RoaringBitmaps in messages: which map outputs a merged block holds.
//!
//! They stand one behind the other in the portable format (the only little-endian part of the protocol),
//! without a length. So their length is found by walking over their containers, and that is all that is
//! checked at first; [`Bitmap::to_roaring`] checks the rest.

use std::fmt;

use roaring::RoaringBitmap;

use crate::spark::FieldError;
use crate::spark::wire::{Field, Fields, Writer};

/// A bitmap that was received.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Bitmap<'a> {
    bytes: &'a [u8],
}

impl<'a> Bitmap<'a> {
    /// Its bytes in the portable format.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The bitmap itself, of about the size of its bytes.
    ///
    /// # Errors
    /// [`FieldError::Bitmap`] if its containers contradict themselves.
    pub fn to_roaring(&self) -> Result<RoaringBitmap, FieldError> {
        RoaringBitmap::deserialize_from(self.bytes).map_err(|_| FieldError::Bitmap {
            field: "bitmap",
            what: "its containers contradict themselves",
        })
    }

    fn read(field: &'static str, fields: &mut Fields<'a>) -> Result<Self, FieldError> {
        let bytes = fields.span(|fields| walk(field, fields))?;
        Ok(Self { bytes })
    }
}

impl fmt::Debug for Bitmap<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bitmap({} bytes)", self.bytes.len())
    }
}

/// Begins a bitmap without runs.
const COOKIE_WITHOUT_RUNS: u32 = 12346;
/// The lower half of what begins a bitmap with runs; the upper half is the number of containers, less 1.
const COOKIE_WITH_RUNS: u16 = 12347;
/// The most containers: one for every upper half of a value.
const MAX_CONTAINERS: u32 = 1 << 16;
/// From this many on, the containers' offsets stand in front of them even if there are runs.
const OFFSETS_FROM: usize = 4;
/// More values than this make a container of bits in place of one of values.
const MAX_VALUES: usize = 4096;
/// The length of a container of bits.
const BITS_LEN: usize = 8192;

/// Walks over one bitmap.
fn walk(field: &'static str, fields: &mut Fields<'_>) -> Result<(), FieldError> {
    let cookie = u32::from_le_bytes(*fields.array(field)?);
    let (count, runs): (usize, &[u8]) = if cookie == COOKIE_WITHOUT_RUNS {
        let count = u32::from_le_bytes(*fields.array(field)?);
        if count > MAX_CONTAINERS {
            let what = "it has more containers than there can be";
            return Err(FieldError::Bitmap { field, what });
        }
        (count as usize, &[])
    } else if cookie as u16 == COOKIE_WITH_RUNS {
        let count = (cookie >> 16) as usize + 1;
        (count, fields.take(field, count.div_ceil(8))?)
    } else {
        let what = "it does not begin as one";
        return Err(FieldError::Bitmap { field, what });
    };
    let (sizes, _) = fields.take(field, count * 4)?.as_chunks::<4>();
    if runs.is_empty() || count >= OFFSETS_FROM {
        fields.take(field, count * 4)?;
    }
    for (i, [_, _, low, high]) in sizes.iter().enumerate() {
        let is_run = runs.get(i / 8).is_some_and(|byte| byte >> (i % 8) & 1 == 1);
        let values = usize::from(u16::from_le_bytes([*low, *high])) + 1;
        let len = if is_run {
            usize::from(u16::from_le_bytes(*fields.array(field)?)) * 4
        } else if values <= MAX_VALUES {
            values * 2
        } else {
            BITS_LEN
        };
        fields.take(field, len)?;
    }
    Ok(())
}

/// A list of bitmaps: as received, or as the sender has them.
#[derive(Clone, Copy)]
pub struct Bitmaps<'a>(Repr<'a>);

#[derive(Clone, Copy)]
enum Repr<'a> {
    Wire { count: usize, bytes: &'a [u8] },
    Own(&'a [RoaringBitmap]),
}

impl<'a> Bitmaps<'a> {
    /// The bitmaps of the body of a
    /// [`MergedBlockMetaSuccess`](crate::spark::MergedBlockMetaSuccess), one for each chunk.
    ///
    /// # Errors
    /// [`FieldError`] if the body is not made of whole bitmaps.
    ///
    /// ```
    /// use ringrail_codec::spark::shuffle::Bitmaps;
    /// use roaring::RoaringBitmap;
    /// let chunks = [RoaringBitmap::from([0, 3]), RoaringBitmap::from([1])];
    /// let mut body = Vec::new();
    /// Bitmaps::from(&chunks[..]).append_to(&mut body);
    /// let read = Bitmaps::of_chunks(&body)?;
    /// assert_eq!(read.len(), 2);
    /// assert_eq!(read.to_roaring()?, chunks);
    /// # Ok::<(), ringrail_codec::spark::FieldError>(())
    /// ```
    pub fn of_chunks(body: &'a [u8]) -> Result<Self, FieldError> {
        let mut fields = Fields::new(body);
        let mut count = 0;
        while !fields.rest().is_empty() {
            walk("bitmap", &mut fields)?;
            count += 1;
        }
        Ok(Self(Repr::Wire { count, bytes: body }))
    }

    /// Appends the bitmaps to `body`, without a count: the body of a
    /// [`MergedBlockMetaSuccess`](crate::spark::MergedBlockMetaSuccess).
    pub fn append_to(&self, body: &mut Vec<u8>) {
        let at = body.len();
        body.resize(at + self.len_without_count(), 0);
        self.write_without_count(&mut Writer::new(&mut body[at..]));
    }

    /// The number of bitmaps.
    pub const fn len(&self) -> usize {
        match self.0 {
            Repr::Wire { count, .. } => count,
            Repr::Own(bitmaps) => bitmaps.len(),
        }
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bitmaps that were received, in their order; none of a list that is to be sent.
    pub const fn received(&self) -> BitmapsIter<'a> {
        match self.0 {
            Repr::Wire { bytes, .. } => BitmapsIter { rest: bytes },
            Repr::Own(_) => BitmapsIter { rest: &[] },
        }
    }

    /// All of them, as bitmaps.
    ///
    /// # Errors
    /// [`FieldError::Bitmap`] for the first one that [`Bitmap::to_roaring`] refuses.
    pub fn to_roaring(&self) -> Result<Vec<RoaringBitmap>, FieldError> {
        match self.0 {
            Repr::Wire { .. } => self.received().map(|bitmap| bitmap.to_roaring()).collect(),
            Repr::Own(bitmaps) => Ok(bitmaps.to_vec()),
        }
    }

    fn len_without_count(&self) -> usize {
        match self.0 {
            Repr::Wire { bytes, .. } => bytes.len(),
            Repr::Own(bitmaps) => bitmaps.iter().map(RoaringBitmap::serialized_size).sum(),
        }
    }

    fn write_without_count(&self, out: &mut Writer<'_>) {
        match self.0 {
            Repr::Wire { bytes, .. } => out.raw(bytes),
            Repr::Own(bitmaps) => bitmaps.iter().for_each(|bitmap| {
                let room = out.next(bitmap.serialized_size());
                bitmap
                    .serialize_into(room)
                    .expect("it has as much room as it asked for");
            }),
        }
    }
}

impl<'a> From<&'a [RoaringBitmap]> for Bitmaps<'a> {
    fn from(bitmaps: &'a [RoaringBitmap]) -> Self {
        Self(Repr::Own(bitmaps))
    }
}

/// Two lists are equal if they are on the wire.
impl PartialEq for Bitmaps<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self.0, other.0) {
            (Repr::Own(own), Repr::Own(other)) => own == other,
            _ => {
                let (mut own, mut theirs) = (Vec::new(), Vec::new());
                self.append_to(&mut own);
                other.append_to(&mut theirs);
                own == theirs
            }
        }
    }
}

impl Eq for Bitmaps<'_> {}

impl fmt::Debug for Bitmaps<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Bitmaps({} in {} bytes)",
            self.len(),
            self.len_without_count()
        )
    }
}

impl<'a> Field<'a> for Bitmaps<'a> {
    fn wire_len(&self) -> usize {
        4 + self.len_without_count()
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.count(self.len());
        self.write_without_count(out);
    }

    fn read(name: &'static str, fields: &mut Fields<'a>) -> Result<Self, FieldError> {
        // The shortest has a cookie and a count of 0.
        let count = fields.count(name, 8)?;
        let bytes = fields.span(|fields| (0..count).try_for_each(|_| walk(name, fields)))?;
        Ok(Self(Repr::Wire { count, bytes }))
    }
}

/// The members of [`Bitmaps`] that were received.
#[derive(Clone, Debug)]
pub struct BitmapsIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for BitmapsIter<'a> {
    type Item = Bitmap<'a>;

    fn next(&mut self) -> Option<Bitmap<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let mut fields = Fields::new(self.rest);
        let bitmap = Bitmap::read("bitmap", &mut fields).ok()?;
        self.rest = fields.rest();
        Some(bitmap)
    }
}
