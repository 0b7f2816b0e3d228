//! Lists in messages: as they were received, or as the sender has them.
//!
//! A received list is a view of the receive buffer. Its bytes were checked when the message was decoded, so
//! looking at its members cannot fail and allocates nothing.

use std::fmt;

use crate::spark::FieldError;
use crate::spark::wire::{Field, Fields, Writer};

/// A list of i32 or i64.
macro_rules! numbers {
    ($(#[$doc:meta])* $name:ident, $iter:ident, $number:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub struct $name<'a>(Repr<'a, [u8; size_of::<$number>()], $number>);

        impl<'a> $name<'a> {
            /// The number of members.
            pub const fn len(&self) -> usize {
                match self.0 {
                    Repr::Wire(words) => words.len(),
                    Repr::Own(numbers) => numbers.len(),
                }
            }

            /// Whether there are none.
            pub const fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// The member at `index`, if there is one.
            pub fn get(&self, index: usize) -> Option<$number> {
                match self.0 {
                    Repr::Wire(words) => words.get(index).map(|word| <$number>::from_be_bytes(*word)),
                    Repr::Own(numbers) => numbers.get(index).copied(),
                }
            }

            /// The members in their order.
            pub const fn iter(&self) -> $iter<'a> {
                $iter { list: *self, next: 0 }
            }
        }

        impl<'a> From<&'a [$number]> for $name<'a> {
            fn from(numbers: &'a [$number]) -> Self {
                Self(Repr::Own(numbers))
            }
        }

        impl<'a> Field<'a> for $name<'a> {
            fn wire_len(&self) -> usize {
                4 + self.len() * size_of::<$number>()
            }

            fn write(&self, out: &mut Writer<'_>) {
                out.count(self.len());
                match self.0 {
                    Repr::Wire(words) => out.raw(words.as_flattened()),
                    Repr::Own(numbers) => numbers.iter().for_each(|number| out.put(number)),
                }
            }

            fn read(name: &'static str, fields: &mut Fields<'a>) -> Result<Self, FieldError> {
                const LEN: usize = size_of::<$number>();
                let count = fields.count(name, LEN)?;
                let (words, _) = fields.take(name, count * LEN)?.as_chunks::<LEN>();
                Ok(Self(Repr::Wire(words)))
            }
        }

        list!($name, $iter, $number);

        impl<'a> Iterator for $iter<'a> {
            type Item = $number;

            fn next(&mut self) -> Option<$number> {
                let number = self.list.get(self.next)?;
                self.next += 1;
                Some(number)
            }

            fn size_hint(&self) -> (usize, Option<usize>) {
                let left = self.list.len() - self.next;
                (left, Some(left))
            }
        }

        #[doc = concat!("The members of [`", stringify!($name), "`].")]
        #[derive(Clone, Debug)]
        pub struct $iter<'a> {
            list: $name<'a>,
            next: usize,
        }
    };
}

/// The implementation that all lists share.
macro_rules! list {
    ($name:ident, $iter:ident, $item:ty) => {
        impl<'a> IntoIterator for $name<'a> {
            type Item = $item;
            type IntoIter = $iter<'a>;

            fn into_iter(self) -> $iter<'a> {
                self.iter()
            }
        }

        impl PartialEq for $name<'_> {
            fn eq(&self, other: &Self) -> bool {
                self.len() == other.len() && self.iter().eq(other.iter())
            }
        }

        impl Eq for $name<'_> {}

        impl fmt::Debug for $name<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_list().entries(self.iter()).finish()
            }
        }

        impl ExactSizeIterator for $iter<'_> {}
    };
}

/// A list as received, or as the sender has it.
#[derive(Clone, Copy)]
enum Repr<'a, W, T> {
    Wire(&'a [W]),
    Own(&'a [T]),
}

numbers! {
    /// A list of i32.
    Ints, IntsIter, i32
}

numbers! {
    /// A list of i64.
    Longs, LongsIter, i64
}

/// A list of texts.
///
/// ```
/// use ringrail_codec::spark::shuffle::Strings;
/// let own = ["rdd_0_1".to_owned()];
/// assert_eq!(Strings::from(&own[..]), Strings::from(&["rdd_0_1"][..]));
/// ```
#[derive(Clone, Copy)]
pub struct Strings<'a>(Texts<'a>);

#[derive(Clone, Copy)]
enum Texts<'a> {
    Wire { count: usize, bytes: &'a [u8] },
    Borrowed(&'a [&'a str]),
    Own(&'a [String]),
}

impl<'a> Strings<'a> {
    /// The number of texts.
    pub const fn len(&self) -> usize {
        match self.0 {
            Texts::Wire { count, .. } => count,
            Texts::Borrowed(texts) => texts.len(),
            Texts::Own(texts) => texts.len(),
        }
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The texts in their order.
    pub const fn iter(&self) -> StringsIter<'a> {
        StringsIter { rest: self.0 }
    }
}

impl<'a> From<&'a [&'a str]> for Strings<'a> {
    fn from(texts: &'a [&'a str]) -> Self {
        Self(Texts::Borrowed(texts))
    }
}

impl<'a> From<&'a [String]> for Strings<'a> {
    fn from(texts: &'a [String]) -> Self {
        Self(Texts::Own(texts))
    }
}

impl<'a> Field<'a> for Strings<'a> {
    fn wire_len(&self) -> usize {
        match self.0 {
            Texts::Wire { bytes, .. } => 4 + bytes.len(),
            _ => 4 + self.iter().map(|text| text.wire_len()).sum::<usize>(),
        }
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.count(self.len());
        match self.0 {
            Texts::Wire { bytes, .. } => out.raw(bytes),
            _ => self.iter().for_each(|text| out.put(&text)),
        }
    }

    fn read(name: &'static str, fields: &mut Fields<'a>) -> Result<Self, FieldError> {
        let count = fields.count(name, 4)?;
        let bytes = fields
            .span(|fields| (0..count).try_for_each(|_| fields.get::<&str>(name).map(drop)))?;
        Ok(Self(Texts::Wire { count, bytes }))
    }
}

list!(Strings, StringsIter, &'a str);

/// The members of [`Strings`].
#[derive(Clone)]
pub struct StringsIter<'a> {
    rest: Texts<'a>,
}

impl<'a> Iterator for StringsIter<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        match &mut self.rest {
            Texts::Wire { count, bytes } => {
                *count = count.checked_sub(1)?;
                let mut fields = Fields::new(bytes);
                let text = fields.get("text").ok()?;
                *bytes = fields.rest();
                Some(text)
            }
            Texts::Borrowed(texts) => texts.split_off_first().copied(),
            Texts::Own(texts) => texts.split_off_first().map(String::as_str),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = Strings(self.rest).len();
        (left, Some(left))
    }
}

/// A list of lists of i32.
#[derive(Clone, Copy)]
pub struct IntLists<'a>(Lists<'a>);

#[derive(Clone, Copy)]
enum Lists<'a> {
    Wire { count: usize, bytes: &'a [u8] },
    Borrowed(&'a [&'a [i32]]),
    Own(&'a [Vec<i32>]),
}

impl<'a> IntLists<'a> {
    /// The number of inner lists.
    pub const fn len(&self) -> usize {
        match self.0 {
            Lists::Wire { count, .. } => count,
            Lists::Borrowed(lists) => lists.len(),
            Lists::Own(lists) => lists.len(),
        }
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The inner lists in their order.
    pub const fn iter(&self) -> IntListsIter<'a> {
        IntListsIter { rest: self.0 }
    }
}

impl<'a> From<&'a [&'a [i32]]> for IntLists<'a> {
    fn from(lists: &'a [&'a [i32]]) -> Self {
        Self(Lists::Borrowed(lists))
    }
}

impl<'a> From<&'a [Vec<i32>]> for IntLists<'a> {
    fn from(lists: &'a [Vec<i32>]) -> Self {
        Self(Lists::Own(lists))
    }
}

impl<'a> Field<'a> for IntLists<'a> {
    fn wire_len(&self) -> usize {
        match self.0 {
            Lists::Wire { bytes, .. } => 4 + bytes.len(),
            _ => 4 + self.iter().map(|list| list.wire_len()).sum::<usize>(),
        }
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.count(self.len());
        match self.0 {
            Lists::Wire { bytes, .. } => out.raw(bytes),
            _ => self.iter().for_each(|list| out.put(&list)),
        }
    }

    fn read(name: &'static str, fields: &mut Fields<'a>) -> Result<Self, FieldError> {
        let count = fields.count(name, 4)?;
        let bytes = fields
            .span(|fields| (0..count).try_for_each(|_| fields.get::<Ints<'_>>(name).map(drop)))?;
        Ok(Self(Lists::Wire { count, bytes }))
    }
}

list!(IntLists, IntListsIter, Ints<'a>);

/// The members of [`IntLists`].
#[derive(Clone)]
pub struct IntListsIter<'a> {
    rest: Lists<'a>,
}

impl<'a> Iterator for IntListsIter<'a> {
    type Item = Ints<'a>;

    fn next(&mut self) -> Option<Ints<'a>> {
        match &mut self.rest {
            Lists::Wire { count, bytes } => {
                *count = count.checked_sub(1)?;
                let mut fields = Fields::new(bytes);
                let list = fields.get("list").ok()?;
                *bytes = fields.rest();
                Some(list)
            }
            Lists::Borrowed(lists) => lists.split_off_first().map(|list| Ints::from(*list)),
            Lists::Own(lists) => lists.split_off_first().map(|list| Ints::from(&list[..])),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = IntLists(self.rest).len();
        (left, Some(left))
    }
}
