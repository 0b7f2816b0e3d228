//! How Spark writes its fields: big-endian numbers, and an i32 length or count in front of what has one.
//!
//! [`Fields`] reads them from a received buffer without a copy, [`Writer`] writes them into a buffer whose
//! room was checked before. Frames, shuffle messages and handshakes are all made of them.

/// The error of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FieldError {
    /// The bytes end before the field does.
    #[error("{field} needs {need} bytes where {left} are left")]
    Truncated {
        /// The field.
        field: &'static str,
        /// The bytes that it needs at least.
        need: u64,
        /// The bytes that there are.
        left: usize,
    },
    /// A length or a count below 0.
    #[error("{field} has the length {len}")]
    NegativeLen {
        /// The field.
        field: &'static str,
        /// The value of its length field.
        len: i32,
    },
    /// A text is not UTF-8.
    #[error("{field} is not UTF-8")]
    NotUtf8 {
        /// The field.
        field: &'static str,
    },
    /// A value that the field cannot have.
    #[error("{field} is {value}; it must be {expected}")]
    Value {
        /// The field.
        field: &'static str,
        /// The value of the field.
        value: i64,
        /// A description of the accepted values.
        expected: &'static str,
    },
    /// Bytes are left behind the last field.
    #[error("{left} bytes are left behind the last field")]
    Trailing {
        /// How many.
        left: usize,
    },
    /// Something in a bitmap that its format does not allow.
    #[error("{field} is not a bitmap: {what}")]
    Bitmap {
        /// The field.
        field: &'static str,
        /// The violated rule.
        what: &'static str,
    },
}

/// Reads fields from the front of a buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The unread bytes.
    #[cfg(feature = "spark")]
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The bytes that `walk` reads.
    #[cfg(feature = "spark")]
    pub(super) fn span(
        &mut self,
        walk: impl FnOnce(&mut Self) -> Result<(), FieldError>,
    ) -> Result<&'a [u8], FieldError> {
        let before = self.rest;
        walk(self)?;
        Ok(&before[..before.len() - self.rest.len()])
    }

    /// The next field.
    #[inline]
    pub(super) fn get<T: Field<'a>>(&mut self, name: &'static str) -> Result<T, FieldError> {
        T::read(name, self)
    }

    /// The next `len` bytes.
    #[inline]
    pub(super) fn take(&mut self, name: &'static str, len: usize) -> Result<&'a [u8], FieldError> {
        match self.rest.split_at_checked(len) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(truncated(name, len as u64, self.rest)),
        }
    }

    #[inline]
    pub(super) fn array<const N: usize>(
        &mut self,
        name: &'static str,
    ) -> Result<&'a [u8; N], FieldError> {
        match self.rest.split_first_chunk::<N>() {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(truncated(name, N as u64, self.rest)),
        }
    }

    /// A length or count in front of parts of at least `part_len` bytes each, all of which must still be
    /// there: no number of a peer's is believed before its bytes have arrived.
    pub(super) fn count(
        &mut self,
        name: &'static str,
        part_len: usize,
    ) -> Result<usize, FieldError> {
        let len: i32 = self.get(name)?;
        let Ok(count) = usize::try_from(len) else {
            return Err(FieldError::NegativeLen { field: name, len });
        };
        let need = count as u64 * part_len as u64;
        if need > self.rest.len() as u64 {
            return Err(truncated(name, need, self.rest));
        }
        Ok(count)
    }

    /// Nothing may be left.
    pub(super) const fn end(&self) -> Result<(), FieldError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(FieldError::Trailing { left }),
        }
    }
}

#[cold]
fn truncated(field: &'static str, need: u64, rest: &[u8]) -> FieldError {
    let left = rest.len();
    FieldError::Truncated { field, need, left }
}

/// Writes fields one behind the other. The caller has checked that there is room for all of them.
pub(super) struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl<'a> Writer<'a> {
    pub(super) const fn new(out: &'a mut [u8]) -> Self {
        Self { out, at: 0 }
    }

    #[inline]
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.out[self.at..][..bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    /// The next `len` bytes of the buffer, for the caller to write.
    #[cfg(feature = "spark")]
    pub(super) fn next(&mut self, len: usize) -> &mut [u8] {
        let next = &mut self.out[self.at..][..len];
        self.at += len;
        next
    }

    /// A length or count; what is too large for it was refused before, with the message as a whole.
    #[inline]
    pub(super) fn count(&mut self, count: usize) {
        self.raw(&(count as i32).to_be_bytes());
    }

    #[inline]
    pub(super) fn put<'b>(&mut self, field: &impl Field<'b>) {
        field.write(self);
    }

    /// The bytes written.
    pub(super) const fn written(&self) -> usize {
        self.at
    }
}

/// One field of a message.
pub(super) trait Field<'a>: Sized {
    /// Its length on the wire.
    fn wire_len(&self) -> usize;
    fn write(&self, out: &mut Writer<'_>);
    fn read(name: &'static str, fields: &mut Fields<'a>) -> Result<Self, FieldError>;
}

macro_rules! number {
    ($($number:ty),*) => {$(
        impl<'a> Field<'a> for $number {
            #[inline]
            fn wire_len(&self) -> usize {
                size_of::<Self>()
            }

            #[inline]
            fn write(&self, out: &mut Writer<'_>) {
                out.raw(&self.to_be_bytes());
            }

            #[inline]
            fn read(name: &'static str, fields: &mut Fields<'a>) -> Result<Self, FieldError> {
                fields.array(name).map(|bytes| Self::from_be_bytes(*bytes))
            }
        }
    )*};
}

number!(u8, i32, i64);

/// An i64 that is never negative: the number of bytes in a body.
impl<'a> Field<'a> for u64 {
    fn wire_len(&self) -> usize {
        8
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.raw(&self.to_be_bytes());
    }

    fn read(name: &'static str, fields: &mut Fields<'a>) -> Result<Self, FieldError> {
        let value: i64 = fields.get(name)?;
        u64::try_from(value).map_err(|_| FieldError::Value {
            field: name,
            value,
            expected: "0 or more",
        })
    }
}

/// One byte; everything but 0 is true, as for Java.
impl<'a> Field<'a> for bool {
    fn wire_len(&self) -> usize {
        1
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.raw(&[u8::from(*self)]);
    }

    fn read(name: &'static str, fields: &mut Fields<'a>) -> Result<Self, FieldError> {
        fields.get::<u8>(name).map(|byte| byte != 0)
    }
}

impl<'a> Field<'a> for &'a [u8] {
    #[inline]
    fn wire_len(&self) -> usize {
        4 + self.len()
    }

    #[inline]
    fn write(&self, out: &mut Writer<'_>) {
        out.count(self.len());
        out.raw(self);
    }

    #[inline]
    fn read(name: &'static str, fields: &mut Fields<'a>) -> Result<Self, FieldError> {
        let len = fields.count(name, 1)?;
        fields.take(name, len)
    }
}

impl<'a> Field<'a> for &'a str {
    #[inline]
    fn wire_len(&self) -> usize {
        self.as_bytes().wire_len()
    }

    #[inline]
    fn write(&self, out: &mut Writer<'_>) {
        self.as_bytes().write(out);
    }

    #[inline]
    fn read(name: &'static str, fields: &mut Fields<'a>) -> Result<Self, FieldError> {
        std::str::from_utf8(fields.get(name)?).map_err(|_| FieldError::NotUtf8 { field: name })
    }
}
