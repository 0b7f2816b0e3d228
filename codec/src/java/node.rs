//! The parts of a tree: objects, arrays, texts, enum constants and the classes that describe them.

use std::num::NonZeroU32;

use super::Text;

/// The place of a node in its [`Tree`](super::Tree).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(NonZeroU32);

impl NodeId {
    pub(super) fn at(index: usize) -> Self {
        let number = u32::try_from(index + 1).expect("a tree has less than 2^32 nodes");
        Self(NonZeroU32::new(number).expect("one more than an index"))
    }

    pub(super) fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// A value of a reference type: a node, or Java's null.
pub type Value = Option<NodeId>;

/// One node. Two references to one node are two references to one Java object.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Node {
    /// A class descriptor.
    Class(Box<Class>),
    /// The descriptor of a dynamic proxy class.
    Proxy(Box<Proxy>),
    /// A `java.lang.String`.
    Text(Text),
    /// An object.
    Object(Object),
    /// An array.
    Array(Array),
    /// A constant of an `enum`.
    Enum {
        /// The class of the `enum`.
        class: NodeId,
        /// The constant's name: a text to which nothing refers before.
        name: NodeId,
    },
    /// A `java.lang.Class`.
    ClassObject {
        /// The descriptor of the class that it is.
        class: NodeId,
    },
}

/// A class descriptor (`java.io.ObjectStreamClass`).
#[derive(Clone, Debug)]
pub struct Class {
    /// The name as `Class.getName` gives it.
    pub name: Text,
    /// The serialVersionUID.
    pub suid: i64,
    /// How its objects are written.
    pub flags: Flags,
    /// Its own fields, in the order of their values.
    pub fields: Vec<Field>,
    /// Whatever `annotateClass` wrote: usually nothing.
    pub annotation: Vec<Content>,
    /// The next serialisable superclass: a class.
    pub super_class: Option<NodeId>,
}

/// The descriptor of a dynamic proxy class (`java.lang.reflect.Proxy`).
#[derive(Clone, Debug)]
pub struct Proxy {
    /// The names of its interfaces.
    pub interfaces: Vec<Text>,
    /// Whatever `annotateProxyClass` wrote: usually nothing.
    pub annotation: Vec<Content>,
    /// The superclass: a class.
    pub super_class: Option<NodeId>,
}

/// The flags of a class descriptor (`SC_…` of `java.io.ObjectStreamConstants`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flags(pub u8);

impl Flags {
    /// An annotation follows the fields (`SC_WRITE_METHOD`).
    pub const WRITE_METHOD: u8 = 0x01;
    /// `Serializable` (`SC_SERIALIZABLE`).
    pub const SERIALIZABLE: u8 = 0x02;
    /// `Externalizable` (`SC_EXTERNALIZABLE`).
    pub const EXTERNALIZABLE: u8 = 0x04;
    /// An externalizable object is written in blocks (`SC_BLOCK_DATA`).
    pub const BLOCK_DATA: u8 = 0x08;
    /// An `enum` (`SC_ENUM`).
    pub const ENUM: u8 = 0x10;

    /// Whether the flag is set.
    pub const fn has(self, flag: u8) -> bool {
        self.0 & flag != 0
    }

    /// Refuses flags that contradict each other, and data that no reader can skip.
    pub(super) const fn check(self) -> Result<(), &'static str> {
        let serializable = self.has(Self::SERIALIZABLE);
        let externalizable = self.has(Self::EXTERNALIZABLE);
        if serializable && externalizable {
            return Err("serializable and externalizable at once");
        }
        if externalizable && !self.has(Self::BLOCK_DATA) {
            return Err("externalizable data of protocol version 1");
        }
        if self.has(Self::WRITE_METHOD) && !serializable {
            return Err("a write method, but not serializable");
        }
        if self.has(Self::ENUM) && !serializable {
            return Err("an enum, but not serializable");
        }
        Ok(())
    }
}

/// The description of one field.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its type.
    pub kind: FieldKind,
    /// Its name.
    pub name: Text,
    /// For a reference type its type, a text as `Ljava/lang/String;`. `None` for a primitive type.
    pub type_name: Option<NodeId>,
}

/// The type of a field or of an array's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FieldKind {
    /// `byte`
    Byte = b'B',
    /// `char`
    Char = b'C',
    /// `double`
    Double = b'D',
    /// `float`
    Float = b'F',
    /// `int`
    Int = b'I',
    /// `long`
    Long = b'J',
    /// `short`
    Short = b'S',
    /// `boolean`
    Boolean = b'Z',
    /// A class or interface.
    Object = b'L',
    /// An array.
    Array = b'[',
}

impl FieldKind {
    /// The type with this code.
    pub const fn of_code(code: u8) -> Option<Self> {
        Some(match code {
            b'B' => Self::Byte,
            b'C' => Self::Char,
            b'D' => Self::Double,
            b'F' => Self::Float,
            b'I' => Self::Int,
            b'J' => Self::Long,
            b'S' => Self::Short,
            b'Z' => Self::Boolean,
            b'L' => Self::Object,
            b'[' => Self::Array,
            _ => return None,
        })
    }

    /// The code of the type.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The bytes of a value, or `None` for a reference.
    pub const fn width(self) -> Option<usize> {
        match self {
            Self::Byte | Self::Boolean => Some(1),
            Self::Char | Self::Short => Some(2),
            Self::Int | Self::Float => Some(4),
            Self::Long | Self::Double => Some(8),
            Self::Object | Self::Array => None,
        }
    }
}

/// An object.
#[derive(Clone, Debug)]
pub struct Object {
    /// Its class: a class or a proxy.
    pub class: NodeId,
    /// The data of each class in its line of superclasses, the topmost first and its own last. An
    /// externalizable object has its own alone.
    pub levels: Vec<Level>,
}

/// The data of an object that belong to one class of its line.
#[derive(Clone, Debug, Default)]
pub struct Level {
    /// The values of the fields, in the order of the class descriptor.
    pub fields: Vec<FieldValue>,
    /// Whatever `writeObject` or `writeExternal` wrote behind the fields.
    pub annotation: Vec<Content>,
}

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FieldValue {
    /// `byte`
    Byte(i8),
    /// `char`: a UTF-16 unit
    Char(u16),
    /// `double`
    Double(f64),
    /// `float`
    Float(f32),
    /// `int`
    Int(i32),
    /// `long`
    Long(i64),
    /// `short`
    Short(i16),
    /// `boolean`
    Boolean(bool),
    /// A reference to an object or array.
    Reference(Value),
}

impl FieldValue {
    /// Whether a field of this type can have this value.
    pub const fn fits(self, kind: FieldKind) -> bool {
        matches!(
            (self, kind),
            (Self::Byte(_), FieldKind::Byte)
                | (Self::Char(_), FieldKind::Char)
                | (Self::Double(_), FieldKind::Double)
                | (Self::Float(_), FieldKind::Float)
                | (Self::Int(_), FieldKind::Int)
                | (Self::Long(_), FieldKind::Long)
                | (Self::Short(_), FieldKind::Short)
                | (Self::Boolean(_), FieldKind::Boolean)
                | (Self::Reference(_), FieldKind::Object | FieldKind::Array)
        )
    }

    /// The value that Java gives to a field that a stream leaves out.
    pub const fn default_of(kind: FieldKind) -> Self {
        match kind {
            FieldKind::Byte => Self::Byte(0),
            FieldKind::Char => Self::Char(0),
            FieldKind::Double => Self::Double(0.0),
            FieldKind::Float => Self::Float(0.0),
            FieldKind::Int => Self::Int(0),
            FieldKind::Long => Self::Long(0),
            FieldKind::Short => Self::Short(0),
            FieldKind::Boolean => Self::Boolean(false),
            FieldKind::Object | FieldKind::Array => Self::Reference(None),
        }
    }
}

/// An array.
#[derive(Clone, Debug)]
pub struct Array {
    /// Its class, whose name begins with `[`.
    pub class: NodeId,
    /// The elements.
    pub elements: Elements,
}

/// The elements of an array.
#[derive(Clone, Debug)]
pub enum Elements {
    /// Of a primitive type: the bytes of all of them, big-endian.
    Primitive(Box<[u8]>),
    /// Of a reference type.
    References(Vec<Value>),
}

/// A part of an annotation.
#[derive(Clone, Debug)]
pub enum Content {
    /// An object.
    Value(Value),
    /// Bytes: primitive values that a class's own code wrote, in blocks as they came.
    Block(Box<[u8]>),
}

/// A part of a stream at its top.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Item {
    /// An object or a block.
    Content(Content),
    /// The exception that ended the writing of the object before.
    Exception(Value),
    /// Handles begin again (`ObjectOutputStream.reset`).
    Reset,
}
