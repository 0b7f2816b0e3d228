//! Errors of converting trees to values and back.

use crate::java::{ReadError, WriteError};

/// An object that does not have the form of its message, or cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}{kind}")]
pub struct ConvertError {
    /// The fields on the way to it, each followed by `: `.
    pub place: String,
    /// The violated rule.
    pub kind: ConvertErrorKind,
}

/// The mismatch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertErrorKind {
    /// A null that Spark's own code would fail on.
    #[error("null")]
    Null,
    /// An object of another class.
    #[error("{found} where {expected} is expected")]
    WrongClass {
        /// The class or the sort of class expected.
        expected: &'static str,
        /// The class that was found.
        found: String,
    },
    /// A number where an object is expected, or the other way round.
    #[error("a field of another type")]
    WrongType,
    /// A text that is not Unicode: half a character.
    #[error("a text with half a character")]
    NotUnicode,
    /// An object of a known class that is not built as the class builds it.
    #[error("{class}: {what}")]
    Shape {
        /// The class.
        class: &'static str,
        /// The violated rule.
        what: &'static str,
    },
    /// An id that an enumeration does not have.
    #[error("{enumeration} has no constant {id}")]
    NoConstant {
        /// The enumeration.
        enumeration: &'static str,
        /// The id or name.
        id: String,
    },
    /// The values take more memory than the limit allows: few bytes can refer to one object many times.
    #[error("the values take more than {limit} bytes (MAX_VALUE_LEN)")]
    BeyondLimit {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The peer's version does not have the class.
    #[error("version {version} has no class {class}")]
    NoClass {
        /// The class.
        class: String,
        /// The name of the profile.
        version: String,
    },
    /// The peer's version has the class, but without this field or with another type.
    #[error("version {version} has no such field {field} in {class}")]
    NoField {
        /// The class.
        class: String,
        /// The field.
        field: String,
        /// The name of the profile.
        version: String,
    },
}

impl From<ConvertErrorKind> for ConvertError {
    fn from(kind: ConvertErrorKind) -> Self {
        let place = String::new();
        Self { place, kind }
    }
}

impl ConvertError {
    /// The same error within a field.
    #[cold]
    pub(in crate::spark::rpc) fn within(mut self, place: &str) -> Self {
        self.place.insert_str(0, ": ");
        self.place.insert_str(0, place);
        self
    }
}

/// A stream that is not a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// It is no stream, or one beyond the limits.
    #[error(transparent)]
    Stream(#[from] ReadError),
    /// It has no object or several.
    #[error("the Java stream does not consist of one object")]
    NotOneObject,
    /// Its object is none of the expected class.
    #[error(transparent)]
    Object(#[from] ConvertError),
}

/// A message that cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// Its objects cannot be made.
    #[error(transparent)]
    Object(#[from] ConvertError),
    /// Its tree cannot be written.
    #[error(transparent)]
    Tree(#[from] WriteError),
}
