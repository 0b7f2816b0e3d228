//! Reads what is stored of Spark's bytes.

use serde_json::Value;

/// The frames and shuffle messages, made with Spark's encoders.
pub(crate) fn frames() -> Value {
    parse(include_str!("../fixtures/spark-frames.json"))
}

/// Bytes that end a connection.
pub(crate) fn refusals() -> Value {
    parse(include_str!("../fixtures/spark-refusals.json"))
}

/// Bitmaps of every sort.
pub(crate) fn bitmaps() -> Value {
    parse(include_str!("../fixtures/spark-bitmaps.json"))
}

/// Handshakes between a real executor and its shuffle service.
pub(crate) fn handshakes() -> Value {
    parse(include_str!("../fixtures/spark-handshakes.json"))
}

/// Handshakes and records exchanged with Spark's classes.
pub(crate) fn peers() -> Value {
    parse(include_str!("../fixtures/spark-peers.json"))
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).expect("valid JSON")
}

/// The members of a list.
pub(crate) fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().expect("a list")
}

/// The member of a list with this name.
pub(crate) fn named<'a>(list: &'a [Value], name: &str) -> &'a Value {
    list.iter()
        .find(|one| one["name"] == name)
        .unwrap_or_else(|| panic!("no fixture {name}"))
}

/// A text field.
pub(crate) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("no text {name} in {value}"))
}

/// The bytes in a field.
pub(crate) fn bytes(value: &Value, name: &str) -> Vec<u8> {
    unhex(text(value, name))
}

/// The bytes of a hex string, blanks ignored.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).expect("a hex digit"))
        .collect();
    assert_eq!(digits.len() % 2, 0, "half a byte in {text}");
    digits
        .chunks(2)
        .map(|pair| (pair[0] * 16 + pair[1]) as u8)
        .collect()
}

/// A number: plain, or as a string in hex or with a sign.
pub(crate) fn number(value: &Value, name: &str) -> i64 {
    match &value[name] {
        Value::String(text) => match text.strip_prefix("0x") {
            Some(hex) => i64::from_str_radix(hex, 16).expect("a hex number"),
            None => text.parse().expect("a number"),
        },
        number => number
            .as_i64()
            .unwrap_or_else(|| panic!("no number {name} in {value}")),
    }
}
