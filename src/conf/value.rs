//! Types and units of values, and conversion between Rust types and text.

use std::cmp::Ordering;
use std::fmt;
use std::time::Duration;

use super::size::{ByteUnit, format_size, parse_bytes};
use super::time::{TimeUnit, format_duration, parse_duration};

/// The type of a key's value, with its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// Any text.
    Text,
    /// Texts between commas.
    List,
    /// A time; a bare number is in this unit. A negative one is refused.
    Time(TimeUnit),
    /// A time; a bare number is in this unit. A negative one counts as 0, as Spark has it for the
    /// timeouts of connections.
    TimeOrZero(TimeUnit),
    /// A size; a bare number is in this unit.
    Size(ByteUnit),
    /// One of these words, in any case.
    Choice(&'static [&'static str]),
    /// A regular expression.
    Regex,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Bool => f.write_str("bool"),
            Kind::Int => f.write_str("int"),
            Kind::Float => f.write_str("float"),
            Kind::Text => f.write_str("text"),
            Kind::List => f.write_str("list"),
            Kind::Time(unit) | Kind::TimeOrZero(unit) => write!(f, "time in {}", unit.name()),
            Kind::Size(unit) => write!(f, "size in {}", unit.name()),
            Kind::Choice(words) => f.write_str(&words.join(" or ")),
            Kind::Regex => f.write_str("regular expression"),
        }
    }
}

/// Why a text is no value of its type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValueError(String);

impl ValueError {
    /// With this explanation.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// A Rust type that a key's value can have.
pub trait ConfigValue: Sized {
    /// Reads a value of `kind`.
    ///
    /// # Errors
    /// The text is none, or the number does not fit the type.
    fn parse(text: &str, kind: Kind) -> Result<Self, ValueError>;

    /// Writes the value so that [`parse`](ConfigValue::parse) reads it back.
    fn format(&self, kind: Kind) -> String;

    /// Compares with a bound of a range; `None` where the type has no order, and no range then.
    fn compare(&self, other: &Self) -> Option<Ordering>;

    /// The value of a key that is not set and has no default: `Some(None)` for options, which may
    /// be absent, `None` for all others, which may not.
    fn absent() -> Option<Self> {
        None
    }

    /// Whether the text says that an optional value is absent.
    fn says_absent(text: &str) -> bool {
        text.trim().is_empty()
    }
}

fn for_input(what: &str, text: &str) -> ValueError {
    ValueError::new(format!("should be {what}, but was \"{text}\""))
}

macro_rules! whole_numbers {
    ($($number:ty),+) => {$(
        impl ConfigValue for $number {
            fn parse(text: &str, kind: Kind) -> Result<Self, ValueError> {
                let text = text.trim();
                let number = match kind {
                    Kind::Size(unit) => i128::from(parse_bytes(text, unit)?),
                    _ => text.parse::<i128>().map_err(|_| for_input("a whole number", text))?,
                };
                Self::try_from(number).map_err(|_| {
                    ValueError::new(format!("{text} is not within {} to {}", Self::MIN, Self::MAX))
                })
            }

            fn format(&self, kind: Kind) -> String {
                match kind {
                    Kind::Size(_) => u64::try_from(*self).map_or_else(|_| self.to_string(), format_size),
                    _ => self.to_string(),
                }
            }

            fn compare(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }

            /// `-1`, as in Spark, besides nothing.
            fn says_absent(text: &str) -> bool {
                matches!(text.trim(), "" | "-1")
            }
        }
    )+};
}

whole_numbers!(u16, u32, u64, usize);

impl ConfigValue for bool {
    fn parse(text: &str, _kind: Kind) -> Result<Self, ValueError> {
        match text.trim() {
            text if text.eq_ignore_ascii_case("true") => Ok(true),
            text if text.eq_ignore_ascii_case("false") => Ok(false),
            text => Err(for_input("true or false", text)),
        }
    }

    fn format(&self, _kind: Kind) -> String {
        self.to_string()
    }

    fn compare(&self, _other: &Self) -> Option<Ordering> {
        None
    }
}

impl ConfigValue for f64 {
    fn parse(text: &str, _kind: Kind) -> Result<Self, ValueError> {
        let text = text.trim();
        text.parse().map_err(|_| for_input("a number", text))
    }

    fn format(&self, _kind: Kind) -> String {
        self.to_string()
    }

    fn compare(&self, other: &Self) -> Option<Ordering> {
        self.partial_cmp(other)
    }
}

impl ConfigValue for String {
    fn parse(text: &str, kind: Kind) -> Result<Self, ValueError> {
        match kind {
            Kind::Choice(words) => {
                let word = words
                    .iter()
                    .find(|word| word.eq_ignore_ascii_case(text.trim()));
                word.map(|word| (*word).to_owned())
                    .ok_or_else(|| for_input(&format!("one of {}", words.join(", ")), text))
            }
            Kind::Regex => match regex_lite::Regex::new(text) {
                Ok(_) => Ok(text.to_owned()),
                Err(error) => Err(ValueError::new(format!("no regular expression: {error}"))),
            },
            _ => Ok(text.to_owned()),
        }
    }

    fn format(&self, _kind: Kind) -> String {
        self.clone()
    }

    fn compare(&self, _other: &Self) -> Option<Ordering> {
        None
    }
}

impl ConfigValue for Vec<String> {
    fn parse(text: &str, _kind: Kind) -> Result<Self, ValueError> {
        let parts = text.split(',').map(str::trim);
        Ok(parts
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect())
    }

    fn format(&self, _kind: Kind) -> String {
        self.join(",")
    }

    fn compare(&self, _other: &Self) -> Option<Ordering> {
        None
    }
}

impl ConfigValue for Duration {
    fn parse(text: &str, kind: Kind) -> Result<Self, ValueError> {
        match kind {
            Kind::TimeOrZero(unit) => Ok(parse_duration(text, unit)?.unwrap_or_default()),
            Kind::Time(unit) => parse_duration(text, unit)?
                .ok_or_else(|| ValueError::new(format!("must not be negative, but was {text}"))),
            _ => Err(ValueError::new("no time")),
        }
    }

    fn format(&self, _kind: Kind) -> String {
        format_duration(*self)
    }

    fn compare(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Reads and writes an enum by the word of each of its values.
macro_rules! words {
    ($type:ty: $($word:literal => $value:expr),+) => {
        impl $crate::conf::value::ConfigValue for $type {
            fn parse(text: &str, kind: $crate::conf::value::Kind) -> Result<Self, $crate::conf::value::ValueError> {
                match <String as $crate::conf::value::ConfigValue>::parse(text, kind)?.as_str() {
                    $($word => Ok($value),)+
                    other => Err($crate::conf::value::ValueError::new(format!(
                        "should be one of {}, but was \"{other}\"",
                        [$($word),+].join(", ")
                    ))),
                }
            }

            fn format(&self, _kind: $crate::conf::value::Kind) -> String {
                let all = [$(($value, $word)),+];
                let found = all.iter().find(|(value, _)| value == self);
                found.map_or_else(String::new, |(_, word)| (*word).to_owned())
            }

            fn compare(&self, _other: &Self) -> Option<std::cmp::Ordering> {
                None
            }
        }
    };
}
pub(super) use words;

impl<T: ConfigValue> ConfigValue for Option<T> {
    fn parse(text: &str, kind: Kind) -> Result<Self, ValueError> {
        if T::says_absent(text) {
            Ok(None)
        } else {
            T::parse(text, kind).map(Some)
        }
    }

    fn format(&self, kind: Kind) -> String {
        self.as_ref()
            .map_or_else(String::new, |value| value.format(kind))
    }

    fn compare(&self, other: &Self) -> Option<Ordering> {
        self.as_ref()?.compare(other.as_ref()?)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}
