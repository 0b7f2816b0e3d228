//! The bounds of a serialised stream that this side reads and writes, in one table.
//!
//! A stream says itself how long its texts and arrays are and how deep it nests, so each of these numbers
//! is checked against a limit here, and against the bytes that are left, before memory is taken for it.

use super::{ReadErrorKind, WriteError};

/// The limits of a stream. Checked once with [`Limits::check`], then used for every stream.
///
/// The memory of a tree is at most about 64 bytes × `max_nodes` and 16 times the length of its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest stream, in bytes.
    pub max_len: usize,
    /// How deep objects, arrays, classes and annotations nest in each other. Reading and writing recurse by
    /// it.
    pub max_depth: u32,
    /// The most parts of a tree: objects, arrays, texts and classes; parts of annotations; and the classes in
    /// an object's line of superclasses, for each object anew.
    pub max_nodes: u32,
    /// The longest text, in bytes of modified UTF-8.
    pub max_text_len: usize,
    /// The most elements of an array.
    pub max_elements: u32,
    /// The most fields of one class, or interfaces of a proxy class.
    pub max_fields: u16,
    /// The most classes in a line of superclasses.
    pub max_supers: u32,
}

impl Limits {
    /// Default of [`Limits::max_len`]: 8 MiB. An application's registration has about 5 KiB.
    pub const DEFAULT_MAX_LEN: usize = 8 << 20;
    /// Default of [`Limits::max_depth`]: Spark's messages need less than 20.
    pub const DEFAULT_MAX_DEPTH: u32 = 128;
    /// Default of [`Limits::max_nodes`]: the state of a Master with some thousand Workers.
    pub const DEFAULT_MAX_NODES: u32 = 1 << 18;
    /// Default of [`Limits::max_text_len`]: 4 MiB.
    pub const DEFAULT_MAX_TEXT_LEN: usize = 4 << 20;
    /// Default of [`Limits::max_elements`].
    pub const DEFAULT_MAX_ELEMENTS: u32 = 1 << 20;
    /// Default of [`Limits::max_fields`].
    pub const DEFAULT_MAX_FIELDS: u16 = 1024;
    /// Default of [`Limits::max_supers`].
    pub const DEFAULT_MAX_SUPERS: u32 = 32;

    /// The greatest [`Limits::max_depth`]: the stack of a thread has room for it.
    pub const GREATEST_DEPTH: u32 = 256;

    /// The defaults, as a constant.
    pub const DEFAULT: Limits = Limits {
        max_len: Self::DEFAULT_MAX_LEN,
        max_depth: Self::DEFAULT_MAX_DEPTH,
        max_nodes: Self::DEFAULT_MAX_NODES,
        max_text_len: Self::DEFAULT_MAX_TEXT_LEN,
        max_elements: Self::DEFAULT_MAX_ELEMENTS,
        max_fields: Self::DEFAULT_MAX_FIELDS,
        max_supers: Self::DEFAULT_MAX_SUPERS,
    };

    /// The greatest limits, for a tree that was read with lower ones.
    pub const GREATEST: Limits = Limits {
        max_len: i32::MAX as usize,
        max_depth: Self::GREATEST_DEPTH,
        max_nodes: i32::MAX as u32,
        max_text_len: i32::MAX as usize,
        max_elements: i32::MAX as u32,
        max_fields: u16::MAX,
        max_supers: 256,
    };

    /// Checks the limits against what Spark's messages need and what the stack allows.
    ///
    /// # Errors
    /// [`LimitError`] with the limit's name, its value and the range.
    pub fn check(&self) -> Result<(), LimitError> {
        let big = u64::from(i32::MAX as u32);
        let table = [
            (MAX_LEN, self.max_len as u64, 64 << 10, big),
            (
                MAX_DEPTH,
                u64::from(self.max_depth),
                32,
                u64::from(Self::GREATEST_DEPTH),
            ),
            (MAX_NODES, u64::from(self.max_nodes), 1 << 12, big),
            (MAX_TEXT_LEN, self.max_text_len as u64, 1 << 10, big),
            (MAX_ELEMENTS, u64::from(self.max_elements), 1 << 8, big),
            (
                MAX_FIELDS,
                u64::from(self.max_fields),
                64,
                u64::from(u16::MAX),
            ),
            (MAX_SUPERS, u64::from(self.max_supers), 8, 256),
        ];
        for (name, value, min, max) in table {
            if !(min..=max).contains(&value) {
                return Err(LimitError {
                    name,
                    value,
                    min,
                    max,
                });
            }
        }
        Ok(())
    }

    pub(super) fn allow_read(
        name: &'static str,
        value: usize,
        limit: usize,
    ) -> Result<(), ReadErrorKind> {
        if value > limit {
            return Err(ReadErrorKind::BeyondLimit { name, value, limit });
        }
        Ok(())
    }

    pub(super) fn allow_write(
        name: &'static str,
        value: usize,
        limit: usize,
    ) -> Result<(), WriteError> {
        if value > limit {
            return Err(WriteError::BeyondLimit { name, value, limit });
        }
        Ok(())
    }
}

pub(super) const MAX_LEN: &str = "max_len";
pub(super) const MAX_DEPTH: &str = "max_depth";
pub(super) const MAX_NODES: &str = "max_nodes";
pub(super) const MAX_TEXT_LEN: &str = "max_text_len";
pub(super) const MAX_ELEMENTS: &str = "max_elements";
pub(super) const MAX_FIELDS: &str = "max_fields";
pub(super) const MAX_SUPERS: &str = "max_supers";

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A limit outside of its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} = {value} is outside of {min}..={max}")]
pub struct LimitError {
    /// The field of [`Limits`].
    pub name: &'static str,
    /// The value given.
    pub value: u64,
    /// The least value allowed.
    pub min: u64,
    /// The greatest value allowed.
    pub max: u64,
}
