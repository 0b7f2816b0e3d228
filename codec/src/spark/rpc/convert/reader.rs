//! Reads values out of a tree.

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::Arc;

use super::{ConvertError, ConvertErrorKind, JavaValue};
use crate::java::{Content, FieldValue, Node, Object, Text, Tree, Value};

/// A tree that values are read from. It counts their memory: a stream of a few bytes can refer to one big
/// object many times, and each becomes a value of its own.
#[derive(Debug)]
pub struct Reader {
    tree: Arc<Tree>,
    left: Cell<usize>,
}

impl Reader {
    /// The most memory that the values of one tree take, in bytes: the texts, and [`Reader::VALUE_LEN`] for
    /// each value.
    pub const MAX_VALUE_LEN: usize = 64 << 20;

    /// The memory that a value counts for beside its text, in bytes.
    pub const VALUE_LEN: usize = 64;

    /// A reader of this tree.
    pub fn new(tree: Tree) -> Self {
        Self {
            tree: Arc::new(tree),
            left: Cell::new(Self::MAX_VALUE_LEN),
        }
    }

    /// The tree.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    pub(super) fn shared_tree(&self) -> Arc<Tree> {
        self.tree.clone()
    }

    /// Counts a value with a text of this length.
    pub(in crate::spark::rpc) fn spend(&self, text_len: usize) -> Result<(), ConvertError> {
        let left = self.left.get().checked_sub(Self::VALUE_LEN + text_len);
        let limit = Self::MAX_VALUE_LEN;
        self.left
            .set(left.ok_or(ConvertErrorKind::BeyondLimit { limit })?);
        Ok(())
    }

    /// A text.
    pub(in crate::spark::rpc) fn text(&self, value: Value) -> Result<Cow<'_, str>, ConvertError> {
        let id = value.ok_or(ConvertErrorKind::Null)?;
        let Node::Text(text) = self.tree.node(id) else {
            return Err(self.wrong_class(value, "java.lang.String"));
        };
        self.spend(text.as_bytes().len())?;
        Ok(text.to_str().ok_or(ConvertErrorKind::NotUnicode)?)
    }

    /// An object of whatever class.
    pub(in crate::spark::rpc) fn object(
        &self,
        value: Value,
        expected: &'static str,
    ) -> Result<ObjectReader<'_>, ConvertError> {
        let id = value.ok_or(ConvertErrorKind::Null)?;
        self.spend(0)?;
        match self.tree.node(id) {
            Node::Object(object) => Ok(ObjectReader {
                reader: self,
                object,
            }),
            _ => Err(self.wrong_class(value, expected)),
        }
    }

    /// An object of this class.
    pub(in crate::spark::rpc) fn object_of(
        &self,
        value: Value,
        class: &'static str,
    ) -> Result<ObjectReader<'_>, ConvertError> {
        let object = self.object(value, class)?;
        match object.is(class) {
            true => Ok(object),
            false => Err(self.wrong_class(value, class)),
        }
    }

    /// The class of a Scala object, be it written as itself (2.12) or as its proxy (2.13).
    pub(in crate::spark::rpc) fn module(&self, value: Value) -> Option<&Text> {
        let object = self.tree.as_object(value)?;
        let class = self.tree.class(object.class)?;
        if !class.name.is(MODULE_PROXY) {
            return class.name.as_bytes().ends_with(b"$").then_some(&class.name);
        }
        match self.tree.field(object, "moduleClass") {
            Some(FieldValue::Reference(Some(id))) => match self.tree.node(id) {
                Node::ClassObject { class } => self.tree.class(*class).map(|class| &class.name),
                _ => None,
            },
            _ => None,
        }
    }

    #[cold]
    pub(in crate::spark::rpc) fn wrong_class(
        &self,
        value: Value,
        expected: &'static str,
    ) -> ConvertError {
        let found = match (self.tree.class_of(value), self.tree.text(value)) {
            _ if value.is_none() => return ConvertErrorKind::Null.into(),
            (Some(class), _) => self.module(value).unwrap_or(&class.name).to_string(),
            (None, Some(_)) => "java.lang.String".to_owned(),
            (None, None) => "something without a class".to_owned(),
        };
        ConvertErrorKind::WrongClass { expected, found }.into()
    }
}

/// The proxy that Scala 2.13 writes in place of an object.
pub(in crate::spark::rpc) const MODULE_PROXY: &str = "scala.runtime.ModuleSerializationProxy";

/// One object, read by the names of its fields.
#[derive(Clone, Copy)]
pub(in crate::spark::rpc) struct ObjectReader<'a> {
    pub(in crate::spark::rpc) reader: &'a Reader,
    pub(in crate::spark::rpc) object: &'a Object,
}

impl<'a> ObjectReader<'a> {
    /// Whether it is of this class.
    pub(in crate::spark::rpc) fn is(&self, class: &str) -> bool {
        self.class_name().is_some_and(|name| name.is(class))
    }

    pub(in crate::spark::rpc) fn class_name(&self) -> Option<&'a Text> {
        let class = self.reader.tree().class(self.object.class)?;
        Some(&class.name)
    }

    /// A field. If the peer's class does not have it, it is null or 0, as it would be for Java.
    pub(in crate::spark::rpc) fn field<T: JavaValue>(
        &self,
        name: &'static str,
    ) -> Result<T, ConvertError> {
        let field = self.reader.tree().field(self.object, name);
        let read = match field {
            Some(field) => T::read_field(self.reader, field),
            None => T::read_field(self.reader, FieldValue::Reference(None)),
        };
        read.map_err(|error| error.within(name))
    }

    /// A field of a reference type, as it is; null if the class does not have it.
    pub(in crate::spark::rpc) fn reference(&self, name: &'static str) -> Value {
        match self.reader.tree().field(self.object, name) {
            Some(FieldValue::Reference(value)) => value,
            _ => None,
        }
    }

    /// The data that its class's own code wrote.
    pub(in crate::spark::rpc) fn annotation(&self) -> &'a [Content] {
        self.reader.tree().annotation(self.object)
    }

    /// The big-endian integer at the front of the annotation's first block, and the rest of the contents.
    pub(in crate::spark::rpc) fn counted(&self) -> Option<(i32, &'a [Content])> {
        match self.annotation().split_first()? {
            (Content::Block(block), rest) => {
                let (count, _) = block.split_first_chunk()?;
                Some((i32::from_be_bytes(*count), rest))
            }
            _ => None,
        }
    }
}
