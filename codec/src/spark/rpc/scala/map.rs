//! Scala's maps, of whatever class.

use super::seq::{PROXY, proxied, values, write_proxy};
use crate::java::{Content, FieldValue, Value};
use crate::spark::rpc::convert::ObjectReader;
use crate::spark::rpc::{Builder, ConvertError, ConvertErrorKind, JavaValue, Reader};

const MAP: &str = "scala.collection.Map";
const EMPTY: &str = "scala.collection.immutable.Map$EmptyMap$";
const HASH_MAP_PROXY: &str = "scala.collection.immutable.HashMap$SerializationProxy";
const MUTABLE_HASH_MAP: &str = "scala.collection.mutable.HashMap";
const WITH_DEFAULT: &str = "scala.collection.immutable.Map$WithDefault";
const TUPLE: &str = "scala.Tuple2";

/// The classes of the maps of one to four entries.
const SMALL: [&str; 4] = [
    "scala.collection.immutable.Map$Map1",
    "scala.collection.immutable.Map$Map2",
    "scala.collection.immutable.Map$Map3",
    "scala.collection.immutable.Map$Map4",
];

/// The entries of a `scala.collection.Map`, in the order of the stream.
///
/// Two maps are equal if they have the same entries in any order: Spark's order of more than four is that of a
/// hash table.
#[derive(Clone, Debug)]
pub struct Map<K, V>(pub Vec<(K, V)>);

impl<K: PartialEq, V: PartialEq> PartialEq for Map<K, V> {
    fn eq(&self, other: &Self) -> bool {
        let in_order = || self.0 == other.0;
        let in_any_order = || {
            let has = |map: &Self, entry| map.0.contains(entry);
            self.0.iter().all(|entry| has(other, entry))
                && other.0.iter().all(|entry| has(self, entry))
        };
        self.0.len() == other.0.len() && (in_order() || in_any_order())
    }
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K, V> FromIterator<(K, V)> for Map<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl<V> Map<String, V> {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&V> {
        let mut entries = self.0.iter();
        entries.find(|(own, _)| own == key).map(|(_, value)| value)
    }
}

impl<K: JavaValue, V: JavaValue> JavaValue for Map<K, V> {
    fn read(reader: &Reader, value: Value) -> Result<Self, ConvertError> {
        let entries = entries(reader, value)?.into_iter();
        let read = entries.map(|(key, value)| Ok((K::read(reader, key)?, V::read(reader, value)?)));
        read.collect()
    }

    fn write(&self, builder: &mut Builder<'_>) -> Result<Value, ConvertError> {
        let mut entries = Vec::with_capacity(self.0.len());
        for (key, value) in &self.0 {
            entries.push((key.write(builder)?, value.write(builder)?));
        }
        let id = match entries.len() {
            0 => builder.module(EMPTY)?,
            1..=4 => write_small(builder, &entries)?,
            _ if builder.is_scala_2_13() => write_tuples(builder, &entries)?,
            _ => {
                let count = entries.len() as i32;
                let mut contents = vec![Content::Block(count.to_be_bytes().into())];
                for (key, value) in entries {
                    contents.extend([Content::Value(key), Content::Value(value)]);
                }
                builder.object_with(HASH_MAP_PROXY, &[], contents)?
            }
        };
        Ok(Some(id))
    }
}

type Entry = (Value, Value);

fn shape(class: &'static str, what: &'static str) -> ConvertError {
    ConvertErrorKind::Shape { class, what }.into()
}

fn entries(reader: &Reader, value: Value) -> Result<Vec<Entry>, ConvertError> {
    if reader.module(value).is_some_and(|class| class.is(EMPTY)) {
        reader.spend(0)?;
        return Ok(Vec::new());
    }
    let mut value = value;
    let mut map = reader.object(value, MAP)?;
    // A map with a default stands around another. Around a third it would be a circle or a joke.
    if map.is(WITH_DEFAULT) {
        value = map.reference("underlying");
        if reader.module(value).is_some_and(|class| class.is(EMPTY)) {
            return Ok(Vec::new());
        }
        map = reader.object(value, MAP)?;
    }
    if let Some(index) = SMALL.iter().position(|class| map.is(class)) {
        return Ok(small(map, index));
    }
    if map.is(PROXY) {
        return tuples(map);
    }
    if map.is(HASH_MAP_PROXY) {
        let counted = map.counted();
        let (count, rest) = counted.ok_or(shape(HASH_MAP_PROXY, "it begins without a count"))?;
        return pairs(HASH_MAP_PROXY, count, rest);
    }
    if map.is(MUTABLE_HASH_MAP) {
        return mutable(map);
    }
    Err(reader.wrong_class(value, MAP))
}

/// The names of a field of a small map: plain, or with the class in front.
fn small_field(index: usize, what: &str, number: usize) -> [String; 2] {
    let plain = format!("{what}{number}");
    let long = SMALL[index].replace('.', "$");
    [format!("{long}$${plain}"), plain]
}

fn small(map: ObjectReader<'_>, index: usize) -> Vec<Entry> {
    let tree = map.reader.tree();
    let field = |what, number| {
        let names = small_field(index, what, number);
        let mut fields = names.iter().filter_map(|name| tree.field(map.object, name));
        match fields.next() {
            Some(FieldValue::Reference(value)) => value,
            _ => None,
        }
    };
    let entry = |number| (field("key", number), field("value", number));
    (1..=index + 1).map(entry).collect()
}

/// Keys and values in turn, as many as the count says.
fn pairs(class: &'static str, count: i32, rest: &[Content]) -> Result<Vec<Entry>, ConvertError> {
    let values = values(rest).filter(|values| {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        values.len() % 2 == 0 && values.len() / 2 == count
    });
    let values = values.ok_or(shape(class, "its count is not that of its entries"))?;
    Ok(values
        .chunks_exact(2)
        .map(|pair| (pair[0], pair[1]))
        .collect())
}

/// The mutable map of 2.12: load factor, count, seed and a flag in front of the entries.
fn mutable(map: ObjectReader<'_>) -> Result<Vec<Entry>, ConvertError> {
    match map.annotation() {
        [Content::Block(head), rest @ ..] if head.len() == 13 => {
            let count = i32::from_be_bytes([head[4], head[5], head[6], head[7]]);
            pairs(MUTABLE_HASH_MAP, count, rest)
        }
        _ => Err(shape(MUTABLE_HASH_MAP, "it begins without a count")),
    }
}

/// The entries of 2.13's proxy, which are tuples.
fn tuples(map: ObjectReader<'_>) -> Result<Vec<Entry>, ConvertError> {
    let tuples = proxied(map)?.into_iter().map(|tuple| {
        let tuple = map.reader.object_of(tuple, TUPLE)?;
        Ok((tuple.reference("_1"), tuple.reference("_2")))
    });
    tuples.collect()
}

fn write_small(
    builder: &mut Builder<'_>,
    entries: &[Entry],
) -> Result<crate::java::NodeId, ConvertError> {
    let class = SMALL[entries.len() - 1];
    let names = builder.field_names(class)?;
    let mut fields = Vec::with_capacity(2 * entries.len());
    for (at, (key, value)) in entries.iter().enumerate() {
        for (what, value) in [("key", key), ("value", value)] {
            let suffix = format!("{what}{}", at + 1);
            let name = names.iter().find(|name| name.ends_with(suffix.as_str()));
            let name = name.ok_or(shape(class, "a field for each key and value is missing"))?;
            fields.push((*name, FieldValue::Reference(*value)));
        }
    }
    builder.object(class, &fields)
}

fn write_tuples(
    builder: &mut Builder<'_>,
    entries: &[Entry],
) -> Result<crate::java::NodeId, ConvertError> {
    let mut tuples = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        let fields = [
            ("_1", FieldValue::Reference(*key)),
            ("_2", FieldValue::Reference(*value)),
        ];
        tuples.push(Content::Value(Some(builder.object(TUPLE, &fields)?)));
    }
    let class = "scala.collection.MapFactory$ToFactory";
    write_proxy(
        builder,
        class,
        "scala.collection.immutable.HashMap$",
        tuples,
    )
}
