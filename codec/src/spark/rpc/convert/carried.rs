//! Values that are passed on: read, and still as they came.

use std::ops::Deref;

use super::{Builder, ConvertError, JavaValue, Kept, Reader};
use crate::java::Value;

/// A value with the object that it was read from. To a peer with the same classes the object is written as it
/// came, with whatever of it is not modelled; to another peer, the value is.
///
/// Two are equal if their values are.
#[derive(Clone, Debug)]
pub struct Carried<T> {
    value: T,
    original: Option<Kept>,
}

impl<T> Carried<T> {
    /// A value of our own.
    pub const fn new(value: T) -> Self {
        let original = None;
        Self { value, original }
    }

    /// The object as it came; `None` for a value of our own.
    pub const fn original(&self) -> Option<&Kept> {
        self.original.as_ref()
    }

    /// The value alone.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T> Deref for Carried<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> From<T> for Carried<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: PartialEq> PartialEq for Carried<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: JavaValue> JavaValue for Carried<T> {
    fn read(reader: &Reader, value: Value) -> Result<Self, ConvertError> {
        Ok(Self {
            value: T::read(reader, value)?,
            original: Some(Kept::read(reader, value)?),
        })
    }

    fn write(&self, builder: &mut Builder<'_>) -> Result<Value, ConvertError> {
        let copy = self.original.as_ref().and_then(|original| {
            builder.graft_if(&original.tree, original.value, Builder::accepts_class)
        });
        match copy {
            Some(copy) => Ok(copy),
            None => self.value.write(builder),
        }
    }
}
