//! Java's own values: texts, numbers in objects, arrays, dates, exceptions.

use super::{Builder, ConvertError, ConvertErrorKind, JavaValue, Kept, Reader};
use crate::java::{Array, Class, Content, Elements, FieldValue, Node, Text, Value};

impl JavaValue for String {
    fn read(reader: &Reader, value: Value) -> Result<Self, ConvertError> {
        reader.text(value).map(|text| text.into_owned())
    }

    fn write(&self, builder: &mut Builder<'_>) -> Result<Value, ConvertError> {
        Ok(Some(builder.text(self)))
    }
}

macro_rules! boxed {
    ($($type:ty, $class:literal, $variant:ident;)*) => {$(
        impl JavaValue for $type {
            fn read(reader: &Reader, value: Value) -> Result<Self, ConvertError> {
                reader.object_of(value, $class)?.field("value")
            }

            fn write(&self, builder: &mut Builder<'_>) -> Result<Value, ConvertError> {
                let field = FieldValue::$variant(*self);
                builder.object($class, &[("value", field)]).map(Some)
            }

            fn read_field(_: &Reader, field: FieldValue) -> Result<Self, ConvertError> {
                match field {
                    FieldValue::$variant(value) => Ok(value),
                    // The peer's class does not have the field.
                    FieldValue::Reference(None) => Ok(Self::default()),
                    _ => Err(ConvertErrorKind::WrongType.into()),
                }
            }

            fn write_field(&self, _: &mut Builder<'_>) -> Result<FieldValue, ConvertError> {
                Ok(FieldValue::$variant(*self))
            }
        }
    )*};
}

boxed! {
    bool, "java.lang.Boolean", Boolean;
    i32, "java.lang.Integer", Int;
    i64, "java.lang.Long", Long;
    f64, "java.lang.Double", Double;
}

/// A value that is an element of Java arrays, and the class of these arrays.
pub(super) trait Element: JavaValue {
    const ARRAY_CLASS: &'static str;
}

impl Element for String {
    const ARRAY_CLASS: &'static str = "[Ljava.lang.String;";
}

/// A Java array, not to be confused with a Scala sequence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JavaArray<T>(pub Vec<T>);

impl<T: Element> JavaValue for JavaArray<T> {
    fn read(reader: &Reader, value: Value) -> Result<Self, ConvertError> {
        let id = value.ok_or(ConvertErrorKind::Null)?;
        reader.spend(0)?;
        match reader.tree().node(id) {
            Node::Array(Array {
                elements: Elements::References(values),
                ..
            }) => {
                let read = values.iter().map(|value| T::read(reader, *value));
                read.collect::<Result<_, _>>().map(Self)
            }
            _ => Err(reader.wrong_class(value, T::ARRAY_CLASS)),
        }
    }

    fn write(&self, builder: &mut Builder<'_>) -> Result<Value, ConvertError> {
        let class = builder.class(T::ARRAY_CLASS)?;
        let written = self.0.iter().map(|element| element.write(builder));
        let elements = Elements::References(written.collect::<Result<_, _>>()?);
        Ok(Some(builder.add(Node::Array(Array { class, elements }))))
    }
}

/// A `java.util.Date`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    /// The time since the beginning of 1970 (UTC), in milliseconds.
    pub time_ms: i64,
}

const DATE: &str = "java.util.Date";

impl JavaValue for Date {
    fn read(reader: &Reader, value: Value) -> Result<Self, ConvertError> {
        let date = reader.object_of(value, DATE)?;
        let time = match date.annotation() {
            [Content::Block(block), ..] => block.first_chunk(),
            _ => None,
        };
        let time = time.ok_or(ConvertErrorKind::Shape {
            class: DATE,
            what: "no time",
        })?;
        let time_ms = i64::from_be_bytes(*time);
        Ok(Self { time_ms })
    }

    fn write(&self, builder: &mut Builder<'_>) -> Result<Value, ConvertError> {
        let time = Content::Block(self.time_ms.to_be_bytes().into());
        builder.object_with(DATE, &[], vec![time]).map(Some)
    }
}

/// A `java.net.URI`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Uri {
    /// Its text.
    pub string: String,
}

const URI: &str = "java.net.URI";

impl JavaValue for Uri {
    fn read(reader: &Reader, value: Value) -> Result<Self, ConvertError> {
        let string = reader.object_of(value, URI)?.field("string")?;
        Ok(Self { string })
    }

    fn write(&self, builder: &mut Builder<'_>) -> Result<Value, ConvertError> {
        let string = self.string.write_field(builder)?;
        builder.object(URI, &[("string", string)]).map(Some)
    }
}

/// A `java.util.concurrent.TimeUnit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it all")]
pub enum TimeUnit {
    Nanoseconds,
    Microseconds,
    Milliseconds,
    Seconds,
    Minutes,
    Hours,
    Days,
}

const TIME_UNIT: &str = "java.util.concurrent.TimeUnit";

const TIME_UNITS: [(TimeUnit, &str); 7] = [
    (TimeUnit::Nanoseconds, "NANOSECONDS"),
    (TimeUnit::Microseconds, "MICROSECONDS"),
    (TimeUnit::Milliseconds, "MILLISECONDS"),
    (TimeUnit::Seconds, "SECONDS"),
    (TimeUnit::Minutes, "MINUTES"),
    (TimeUnit::Hours, "HOURS"),
    (TimeUnit::Days, "DAYS"),
];

impl JavaValue for TimeUnit {
    fn read(reader: &Reader, value: Value) -> Result<Self, ConvertError> {
        let id = value.ok_or(ConvertErrorKind::Null)?;
        let Node::Enum { class, name } = reader.tree().node(id) else {
            return Err(reader.wrong_class(value, TIME_UNIT));
        };
        let class = reader.tree().class(*class);
        if !class.is_some_and(|class| class.name.is(TIME_UNIT)) {
            return Err(reader.wrong_class(value, TIME_UNIT));
        }
        let name = reader.text(Some(*name))?;
        let unit = TIME_UNITS.iter().find(|(_, known)| *known == name);
        let missing = || ConvertErrorKind::NoConstant {
            enumeration: TIME_UNIT,
            id: name.to_string(),
        };
        Ok(unit.ok_or_else(missing)?.0)
    }

    fn write(&self, builder: &mut Builder<'_>) -> Result<Value, ConvertError> {
        let name = TIME_UNITS[*self as usize].1;
        builder.constant(TIME_UNIT, name).map(Some)
    }
}

/// An exception of whatever class (`java.lang.Throwable`), with its stack trace and causes as they came.
#[derive(Clone, Debug, PartialEq)]
pub struct Throwable {
    /// The name of its class.
    pub class: String,
    /// Its message.
    pub message: Option<String>,
    /// The object, if it came from a peer.
    original: Option<Kept>,
}

const RUNTIME_EXCEPTION: &str = "java.lang.RuntimeException";
const THROWABLE: &str = "java.lang.Throwable";

impl Throwable {
    /// An exception of our own: a `RuntimeException` without a stack trace.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            class: RUNTIME_EXCEPTION.to_owned(),
            message: Some(message.into()),
            original: None,
        }
    }

    /// The exception for a peer of another version, whose classes differ: a `RuntimeException` whose message
    /// names the class.
    pub fn portable(&self) -> Self {
        Self::new(self.to_string())
    }
}

impl std::fmt::Display for Throwable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.message {
            Some(message) => write!(f, "{}: {message}", self.class),
            None => f.write_str(&self.class),
        }
    }
}

/// The class of an array, whose elements have classes of their own in the stream.
fn is_array(class: &Class) -> bool {
    class.name.as_bytes().starts_with(b"[")
}

impl JavaValue for Throwable {
    fn read(reader: &Reader, value: Value) -> Result<Self, ConvertError> {
        let throwable = reader.object(value, THROWABLE)?;
        let class = throwable.class_name().map(Text::to_string);
        let message = throwable.reference("detailMessage");
        let message = message.map(|text| reader.text(Some(text))).transpose()?;
        Ok(Self {
            class: class.unwrap_or_default(),
            message: message.map(|text| text.into_owned()),
            original: Some(Kept::read(reader, value)?),
        })
    }

    fn write(&self, builder: &mut Builder<'_>) -> Result<Value, ConvertError> {
        if let Some(original) = &self.original {
            // Java's own classes are the same everywhere; of others we know only whose they were.
            let same_version = builder.accepts(original.tree());
            let copy = builder.graft_if(original.tree(), original.value(), |builder, class| {
                let of_java = class.name.as_bytes().starts_with(b"java.");
                builder.accepts_class(class) && (same_version || of_java || is_array(class))
            });
            return match copy {
                Some(copy) => Ok(copy),
                None => self.portable().write(builder),
            };
        }
        let message = self.message.as_deref().map(|text| builder.text(text));
        let fields = [("detailMessage", FieldValue::Reference(message))];
        builder.object(RUNTIME_EXCEPTION, &fields).map(Some)
    }
}
