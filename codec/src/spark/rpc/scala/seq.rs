//! Scala's sequences, of whatever class.

use crate::java::{Content, Elements, FieldValue, Node, Value};
use crate::spark::rpc::convert::ObjectReader;
use crate::spark::rpc::{Builder, ConvertError, ConvertErrorKind, JavaValue, Reader};

const SEQ: &str = "scala.collection.Seq";
const NIL: &str = "scala.collection.immutable.Nil$";
const LIST_PROXY: &str = "scala.collection.immutable.List$SerializationProxy";
const LIST_END: &str = "scala.collection.immutable.ListSerializeEnd$";
const VECTOR: &str = "scala.collection.immutable.Vector";
const LIST: &str = "scala.collection.immutable.List$";
/// The stand-in that 2.13 writes for any collection.
pub(super) const PROXY: &str = "scala.collection.generic.DefaultSerializationProxy";
const PROXY_END: &str = "scala.collection.generic.SerializeEnd$";

/// The classes that hold an array, and the names of the array and of the number of its elements in use.
const ARRAYS: [(&str, &str, Option<&str>); 5] = [
    ("scala.collection.mutable.ArraySeq", "array", Some("length")),
    ("scala.collection.mutable.WrappedArray$ofRef", "array", None),
    (
        "scala.collection.mutable.ArrayBuffer",
        "array",
        Some("size0"),
    ),
    (
        "scala.collection.immutable.ArraySeq$ofRef",
        "unsafeArray",
        None,
    ),
    ("scala.collection.mutable.ArraySeq$ofRef", "array", None),
];

impl<T: JavaValue> JavaValue for Vec<T> {
    fn read(reader: &Reader, value: Value) -> Result<Self, ConvertError> {
        let elements = elements(reader, value)?;
        elements
            .into_iter()
            .map(|element| T::read(reader, element))
            .collect()
    }

    fn write(&self, builder: &mut Builder<'_>) -> Result<Value, ConvertError> {
        let mut contents = Vec::with_capacity(self.len() + 1);
        for element in self {
            contents.push(Content::Value(element.write(builder)?));
        }
        if builder.is_scala_2_13() {
            let class = "scala.collection.IterableFactory$ToFactory";
            return write_proxy(builder, class, LIST, contents).map(Some);
        }
        let end = builder.module(LIST_END)?;
        contents.push(Content::Value(Some(end)));
        builder.object_with(LIST_PROXY, &[], contents).map(Some)
    }
}

/// The elements of a sequence. Each is counted, for the same sequence can stand in many places.
fn elements(reader: &Reader, value: Value) -> Result<Vec<Value>, ConvertError> {
    if reader.module(value).is_some_and(|class| class.is(NIL)) {
        reader.spend(0)?;
        return Ok(Vec::new());
    }
    let seq = reader.object(value, SEQ)?;
    if seq.is(PROXY) {
        return proxied(seq);
    }
    if seq.is(LIST_PROXY) {
        return up_to_end(seq.annotation(), |value| ends(reader, value, LIST_END))
            .ok_or(shape(LIST_PROXY, "its elements do not end with their mark"));
    }
    if seq.is(VECTOR) {
        return vector(seq);
    }
    for (class, array, len) in ARRAYS {
        if seq.is(class) {
            return array_elements(seq, class, array, len);
        }
    }
    Err(reader.wrong_class(value, SEQ))
}

fn ends(reader: &Reader, value: Value, mark: &str) -> bool {
    reader.module(value).is_some_and(|class| class.is(mark))
}

fn shape(class: &'static str, what: &'static str) -> ConvertError {
    ConvertErrorKind::Shape { class, what }.into()
}

/// The values in front of the one that `is_end`; `None` if there is a block or no end.
fn up_to_end(contents: &[Content], is_end: impl Fn(Value) -> bool) -> Option<Vec<Value>> {
    let mut values = Vec::new();
    for content in contents {
        match content {
            Content::Value(value) if is_end(*value) => return Some(values),
            Content::Value(value) => values.push(*value),
            Content::Block(_) => return None,
        }
    }
    None
}

/// The elements in the proxy of a collection of 2.13: as many as it says, or up to the end mark.
pub(super) fn proxied(proxy: ObjectReader<'_>) -> Result<Vec<Value>, ConvertError> {
    let counted = proxy.counted();
    let (count, rest) = counted.ok_or(shape(PROXY, "it begins without a count"))?;
    if count < 0 {
        let reader = proxy.reader;
        return up_to_end(rest, |value| ends(reader, value, PROXY_END))
            .ok_or(shape(PROXY, "its elements do not end with their mark"));
    }
    let values = values(rest).filter(|values| values.len() == count as usize);
    values.ok_or(shape(PROXY, "its count is not that of its elements"))
}

/// The values of contents without blocks.
pub(super) fn values(contents: &[Content]) -> Option<Vec<Value>> {
    let value = contents.iter().map(|content| match content {
        Content::Value(value) => Some(*value),
        Content::Block(_) => None,
    });
    value.collect()
}

/// The proxy of a collection of 2.13 with these elements.
pub(super) fn write_proxy(
    builder: &mut Builder<'_>,
    factory_class: &str,
    module: &str,
    elements: Vec<Content>,
) -> Result<crate::java::NodeId, ConvertError> {
    let module = FieldValue::Reference(Some(builder.module(module)?));
    let factory = builder.object(factory_class, &[("factory", module)])?;
    let factory = FieldValue::Reference(Some(factory));
    let count = elements.len() as i32;
    let mut contents = vec![Content::Block(count.to_be_bytes().into())];
    contents.extend(elements);
    builder.object_with(PROXY, &[("factory", factory)], contents)
}

/// The names of the levels of a `Vector`: each node of one has 32 of the one before.
const DISPLAYS: [&str; 6] = [
    "display0", "display1", "display2", "display3", "display4", "display5",
];

/// A `Vector` of 2.12: a tree with 32 branches, of which each level keeps the node on the way to the element in
/// focus. That node can be newer than the tree above it, so elements are looked up as Scala does.
fn vector(vector: ObjectReader<'_>) -> Result<Vec<Value>, ConvertError> {
    let start: i32 = vector.field("startIndex")?;
    let end: i32 = vector.field("endIndex")?;
    let focus: i32 = vector.field("focus")?;
    let mut elements = Vec::new();
    for index in start.max(0)..end {
        vector.reader.spend(0)?;
        let element = vector_element(vector, index as usize, (index ^ focus) as usize);
        elements.push(element.ok_or(shape(VECTOR, "indices outside of its arrays"))?);
    }
    Ok(elements)
}

/// The element at `index`; `distance` has a bit wherever the index differs from the one in focus.
fn vector_element(vector: ObjectReader<'_>, index: usize, distance: usize) -> Option<Value> {
    let level = (0..DISPLAYS.len()).find(|level| distance >> (5 * (level + 1)) == 0)?;
    let mut node = array(vector, vector.reference(DISPLAYS[level]))?;
    for level in (1..=level).rev() {
        node = array(vector, *node.get(index >> (5 * level) & 31)?)?;
    }
    node.get(index & 31).copied()
}

fn array_elements(
    seq: ObjectReader<'_>,
    class: &'static str,
    name: &'static str,
    len: Option<&'static str>,
) -> Result<Vec<Value>, ConvertError> {
    let all = array(seq, seq.reference(name)).ok_or(shape(class, "no array"))?;
    let len = match len {
        Some(name) => usize::try_from(seq.field::<i32>(name)?).unwrap_or(usize::MAX),
        None => all.len(),
    };
    let in_use = all.get(..len);
    let in_use = in_use.ok_or(shape(class, "more elements than its array has"))?;
    Ok(in_use.to_vec())
}

/// The elements of an array of references.
fn array(object: ObjectReader<'_>, value: Value) -> Option<&[Value]> {
    match object.reader.tree().node(value?) {
        Node::Array(array) => match &array.elements {
            Elements::References(values) => Some(values),
            Elements::Primitive(_) => None,
        },
        _ => None,
    }
}
