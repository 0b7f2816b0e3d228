//! The bytes of a stream, read from the front.

use crate::java::{ReadError, ReadErrorKind, Text};

pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) const fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The error at this place.
    #[cold]
    pub(super) fn error(&self, kind: ReadErrorKind) -> ReadError {
        ReadError { at: self.at, kind }
    }

    pub(super) fn check<T>(&self, checked: Result<T, ReadErrorKind>) -> Result<T, ReadError> {
        checked.map_err(|kind| self.error(kind))
    }

    pub(super) fn take(&mut self, need: usize) -> Result<&'a [u8], ReadError> {
        let left = self.left();
        if need > left {
            return Err(self.error(ReadErrorKind::Truncated { need, left }));
        }
        let taken = &self.bytes[self.at..self.at + need];
        self.at += need;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ReadError> {
        let bytes = self.take(N)?;
        Ok(bytes.try_into().expect("as many bytes as were taken"))
    }

    pub(super) fn u8(&mut self) -> Result<u8, ReadError> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, ReadError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, ReadError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Result<i64, ReadError> {
        self.array().map(i64::from_be_bytes)
    }

    /// A length or count of 32 bits, which Java takes as signed.
    pub(super) fn len(&mut self) -> Result<usize, ReadError> {
        let len = self.u32()? as i32;
        usize::try_from(len).map_err(|_| self.error(ReadErrorKind::NegativeLen { len }))
    }

    /// A text behind its length of two bytes.
    pub(super) fn utf(&mut self) -> Result<Text, ReadError> {
        let len = usize::from(self.u16()?);
        self.text(len)
    }

    pub(super) fn text(&mut self, len: usize) -> Result<Text, ReadError> {
        let bytes = self.take(len)?;
        self.check(Text::from_modified_utf8(bytes))
    }
}
