//! Between trees of Java objects and Rust values.
//!
//! [`JavaValue`] is implemented by everything that can stand in a message. A [`Reader`] gives the parts of a
//! tree that was read, by field name, whatever order and form the peer's classes have; a [`Builder`] makes
//! objects with the descriptors of a profile.

mod builder;
mod carried;
mod error;
mod kept;
mod reader;
mod record;

pub use builder::Builder;
pub use carried::Carried;
pub use error::{ConvertError, ConvertErrorKind, DecodeError, EncodeError};
pub use kept::{Kept, OrNull};
pub(super) use reader::ObjectReader;
pub use reader::Reader;
pub(super) use record::{module, record};

use crate::java::{Content, FieldValue, Item, Limits, Profile, Tree, Value};

/// A Rust value that has a form as a Java object.
pub trait JavaValue: Sized {
    /// Reads the value from an object.
    ///
    /// # Errors
    /// [`ConvertError`] with the place of what does not fit.
    fn read(reader: &Reader, value: Value) -> Result<Self, ConvertError>;

    /// Makes the object.
    ///
    /// # Errors
    /// [`ConvertError`] if the builder's profile lacks a class or has it with other fields.
    fn write(&self, builder: &mut Builder<'_>) -> Result<Value, ConvertError>;

    /// Reads the value from a field. Numbers and booleans stand there without an object.
    ///
    /// # Errors
    /// As [`JavaValue::read`].
    fn read_field(reader: &Reader, field: FieldValue) -> Result<Self, ConvertError> {
        match field {
            FieldValue::Reference(value) => Self::read(reader, value),
            _ => Err(ConvertErrorKind::WrongType.into()),
        }
    }

    /// Makes the value of a field.
    ///
    /// # Errors
    /// As [`JavaValue::write`].
    fn write_field(&self, builder: &mut Builder<'_>) -> Result<FieldValue, ConvertError> {
        self.write(builder).map(FieldValue::Reference)
    }
}

/// Reads the one object of a stream.
///
/// # Errors
/// [`DecodeError`] if it is no stream, has not exactly one object, or one that is no `T`.
pub fn decode<T: JavaValue>(stream: &[u8], limits: &Limits) -> Result<T, DecodeError> {
    let tree = Tree::read(stream, limits)?;
    let object = tree.object().ok_or(DecodeError::NotOneObject)?;
    Ok(T::read(&Reader::new(tree), object)?)
}

/// Appends a stream with one object, written as a process with the classes of `profile` would. On an error
/// `out` is as it was.
///
/// # Errors
/// [`EncodeError`] if the profile lacks a class, or a limit is reached.
pub fn encode<T: JavaValue>(
    value: &T,
    profile: &Profile,
    limits: &Limits,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let mut builder = Builder::new(profile);
    let root = value.write(&mut builder)?;
    let mut tree = builder.into_tree();
    tree.push(Item::Content(Content::Value(root)));
    Ok(tree.write(limits, out)?)
}
