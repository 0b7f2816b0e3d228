//! Objects that are not modelled, and references that may be null.

use std::sync::Arc;

use super::{Builder, ConvertError, JavaValue, Reader};
use crate::java::{Content, Item, Limits, Tree, Value};

/// An object as it came, with all that it refers to. Written again, it is the same; its classes are those of
/// the peer that wrote it.
#[derive(Clone, Debug)]
pub struct Kept {
    pub(super) tree: Arc<Tree>,
    pub(super) value: Value,
}

impl Kept {
    /// An object of a tree.
    pub fn new(tree: Arc<Tree>, value: Value) -> Self {
        Self { tree, value }
    }

    /// The tree that holds the object, and perhaps others.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The object in its tree.
    pub fn value(&self) -> Value {
        self.value
    }

    /// The name of its class; `None` for null, a text, or an object of a proxy class.
    pub fn class_name(&self) -> Option<String> {
        let class = self.tree.class_of(self.value)?;
        Some(class.name.to_string())
    }

    /// The object alone, as a stream.
    fn stream(&self) -> Option<Vec<u8>> {
        let mut tree = Tree::new();
        let root = tree.graft(&self.tree, self.value);
        tree.push(Item::Content(Content::Value(root)));
        let mut stream = Vec::new();
        tree.write(&Limits::GREATEST, &mut stream).ok()?;
        Some(stream)
    }
}

/// Two objects are equal if they are written alike.
impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        let own = self.stream();
        own.is_some() && own == other.stream()
    }
}

impl JavaValue for Kept {
    fn read(reader: &Reader, value: Value) -> Result<Self, ConvertError> {
        reader.spend(0)?;
        Ok(Self::new(reader.shared_tree(), value))
    }

    fn write(&self, builder: &mut Builder<'_>) -> Result<Value, ConvertError> {
        Ok(builder.graft(&self.tree, self.value))
    }
}

/// A value that may be null, not to be confused with Scala's `Option`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrNull<T>(pub Option<T>);

impl<T: JavaValue> JavaValue for OrNull<T> {
    fn read(reader: &Reader, value: Value) -> Result<Self, ConvertError> {
        match value {
            None => Ok(Self(None)),
            some => T::read(reader, some).map(|value| Self(Some(value))),
        }
    }

    fn write(&self, builder: &mut Builder<'_>) -> Result<Value, ConvertError> {
        match &self.0 {
            None => Ok(None),
            Some(value) => value.write(builder),
        }
    }
}
