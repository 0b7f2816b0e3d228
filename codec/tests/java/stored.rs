//! Reads what is stored of Spark's RPCs.

use serde_json::Value;

/// One message as a process of Spark wrote it.
pub(crate) struct Stored {
    /// The version and the name.
    pub(crate) name: String,
    /// The body, with its envelope if it has one.
    pub(crate) body: Vec<u8>,
    /// Sender and receiver as text.
    pub(crate) envelope: Value,
    /// Its Java stream.
    pub(crate) stream: Vec<u8>,
    /// Whether it was made with fixed values, not recorded.
    pub(crate) made: bool,
}

/// All messages of both versions.
pub(crate) fn all() -> Vec<Stored> {
    let versions = [
        (
            "3.5",
            include_str!("../fixtures/spark-rpc-messages-3.5.json"),
        ),
        (
            "4.1",
            include_str!("../fixtures/spark-rpc-messages-4.1.json"),
        ),
    ];
    versions
        .into_iter()
        .flat_map(|(version, text)| of(version, text))
        .collect()
}

fn of(version: &str, text: &str) -> Vec<Stored> {
    let list: Vec<Value> = serde_json::from_str(text).expect("a list");
    let stored = list.into_iter().map(|entry| {
        let body = unhex(entry["bytes"].as_str().expect("bytes"));
        let header = [0xac, 0xed, 0, 5];
        let start = body
            .windows(4)
            .position(|four| four == header)
            .expect("a stream");
        Stored {
            name: format!("{version} {}", entry["name"].as_str().expect("a name")),
            stream: body[start..].to_vec(),
            body,
            envelope: entry["envelope"].clone(),
            made: entry["source"] == "made",
        }
    });
    stored.collect()
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16).expect("a hex digit") as u8;
    text.as_bytes()
        .chunks(2)
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}
