//! Reads the stored fixtures, and holds a second decoder that shares nothing with the crate's: it was
//! written from `docs/wire-format.md` alone.

use serde_json::Value;

/// The stored file.
pub(crate) fn stored() -> Value {
    serde_json::from_str(include_str!("../fixtures/native-frames.json")).expect("valid JSON")
}

/// One fixture, by name, of the list `frames` or `handshake`.
pub(crate) fn fixture(list: &str, name: &str) -> Value {
    let stored = stored();
    let found = stored[list]
        .as_array()
        .and_then(|all| all.iter().find(|one| one["name"] == name));
    found
        .unwrap_or_else(|| panic!("no fixture {name} in {list}"))
        .clone()
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

/// The bytes in a field of a fixture.
pub(crate) fn bytes(fixture: &Value, field: &str) -> Vec<u8> {
    unhex(fixture[field].as_str().expect("a hex string"))
}

/// A number of a fixture: plain, or as a hex string where JSON's floats would not hold it.
pub(crate) fn number(value: &Value) -> u64 {
    match value {
        Value::String(text) => {
            u64::from_str_radix(text.trim_start_matches("0x"), 16).expect("a hex number")
        }
        value => value.as_u64().expect("a number"),
    }
}

/// `len` bytes at `at`, as a little-endian number.
pub(crate) fn little(bytes: &[u8], at: usize, len: usize) -> u64 {
    let mut number = 0;
    for &byte in bytes[at..at + len].iter().rev() {
        number = number * 256 + u64::from(byte);
    }
    number
}

/// CRC32C, bit by bit.
pub(crate) fn slow_crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            let low = crc & 1;
            crc >>= 1;
            if low == 1 {
                crc ^= 0x82f6_3b78;
            }
        }
    }
    !crc
}

/// The second decoder: the fields of the frame at the front of `bytes`, by the names of the fixtures.
pub(crate) fn second_decoder(bytes: &[u8]) -> Vec<(&'static str, u64)> {
    vec![
        ("flags", little(bytes, 1, 1)),
        ("code", little(bytes, 2, 2)),
        ("body_len", little(bytes, 4, 4)),
        ("id", little(bytes, 8, 8)),
        ("arg", little(bytes, 16, 8)),
        ("aux", little(bytes, 24, 4)),
        ("crc", little(bytes, 28, 4)),
    ]
}
