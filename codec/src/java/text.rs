//! Java's texts: modified UTF-8, kept as the bytes that came.
//!
//! The encoding differs from UTF-8 in two points: U+0000 has two bytes, and a character beyond U+FFFF is
//! written as its two surrogates, three bytes each. A surrogate can also stand alone, which no Rust string
//! can express.

use std::borrow::Cow;
use std::fmt;

use super::ReadErrorKind;

/// A text of a stream: valid modified UTF-8.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Text(Box<[u8]>);

impl Text {
    /// The text with these bytes.
    ///
    /// # Errors
    /// [`ReadErrorKind::NotModifiedUtf8`] for everything that Java does not write: UTF-8 of four bytes,
    /// forms that are longer than needed, a plain zero byte.
    pub fn from_modified_utf8(bytes: &[u8]) -> Result<Self, ReadErrorKind> {
        if !bytes.iter().all(|&byte| (1..0x80).contains(&byte)) {
            check(bytes)?;
        }
        Ok(Self(bytes.into()))
    }

    /// Its bytes in modified UTF-8.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text as Rust's, or `None` if a surrogate stands alone in it.
    pub fn to_str(&self) -> Option<Cow<'_, str>> {
        if self.0.is_ascii() {
            return std::str::from_utf8(&self.0).ok().map(Cow::Borrowed);
        }
        String::from_utf16(&self.units()).ok().map(Cow::Owned)
    }

    /// The text as Rust's; U+FFFD stands for a surrogate that is alone.
    pub fn to_str_lossy(&self) -> Cow<'_, str> {
        self.to_str()
            .unwrap_or_else(|| Cow::Owned(String::from_utf16_lossy(&self.units())))
    }

    /// Whether it is this text.
    pub fn is(&self, text: &str) -> bool {
        if self.0.is_ascii() && text.is_ascii() {
            return *self.0 == *text.as_bytes();
        }
        self.to_str().is_some_and(|own| own == text)
    }

    /// The UTF-16 units of Java's string.
    fn units(&self) -> Vec<u16> {
        let mut units = Vec::with_capacity(self.0.len());
        let mut bytes = self.0.iter().map(|&byte| u16::from(byte));
        while let Some(first) = bytes.next() {
            let mut next = || bytes.next().unwrap_or(0) & 0x3f;
            units.push(match first {
                0..0x80 => first,
                0x80..0xe0 => (first & 0x1f) << 6 | next(),
                _ => (first & 0x0f) << 12 | next() << 6 | next(),
            });
        }
        units
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        if text.bytes().all(|byte| (1..0x80).contains(&byte)) {
            return Self(text.as_bytes().into());
        }
        let mut bytes = Vec::with_capacity(text.len() + text.len() / 2);
        for unit in text.encode_utf16() {
            let low = |shift: u16| 0x80 | (unit >> shift & 0x3f) as u8;
            match unit {
                1..0x80 => bytes.push(unit as u8),
                0 | 0x80..0x800 => bytes.extend([0xc0 | (unit >> 6) as u8, low(0)]),
                _ => bytes.extend([0xe0 | (unit >> 12) as u8, low(6), low(0)]),
            }
        }
        Self(bytes.into())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_str_lossy(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_str_lossy())
    }
}

/// Checks that every character has the one form that Java gives it.
fn check(bytes: &[u8]) -> Result<(), ReadErrorKind> {
    let continues = |at: usize| matches!(bytes.get(at), Some(0x80..=0xbf));
    let mut at = 0;
    while at < bytes.len() {
        let (len, shortest) = match bytes[at] {
            1..0x80 => (1, true),
            0xc0 => (2, bytes.get(at + 1) == Some(&0x80)),
            0xc2..=0xdf => (2, true),
            0xe0 => (3, matches!(bytes.get(at + 1), Some(0xa0..=0xbf))),
            0xe1..=0xef => (3, true),
            _ => return Err(ReadErrorKind::NotModifiedUtf8),
        };
        if !shortest || !(1..len).all(|i| continues(at + i)) {
            return Err(ReadErrorKind::NotModifiedUtf8);
        }
        at += len;
    }
    Ok(())
}
