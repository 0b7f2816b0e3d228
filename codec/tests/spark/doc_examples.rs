//! `docs/spark-wire.md` has the stored hex, and names every type, message, refusal and limit.

use ringrail_codec::spark::shuffle::MessageKind;
use ringrail_codec::spark::{Kind, Limits};
use serde_json::Value;

use crate::stored::{self, bytes, list, named, unhex};

const DOC: &str = include_str!("../../../docs/spark-wire.md");

/// The blocks that begin with "```hex <name>": the name and the bytes, comments behind `#` left out.
fn examples() -> Vec<(&'static str, Vec<u8>)> {
    let mut examples = Vec::new();
    let mut lines = DOC.lines();
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix("```hex ") else {
            continue;
        };
        let text: String = lines
            .by_ref()
            .take_while(|line| !line.starts_with("```"))
            .map(|line| line.split('#').next().unwrap_or_default())
            .collect();
        examples.push((name, unhex(&text)));
    }
    examples
}

#[test]
fn the_documents_hex_is_the_stored_hex() {
    let stored = stored::frames();
    let all: Vec<Value> = ["frames", "shuffle_bodies"]
        .iter()
        .flat_map(|name| list(&stored, name).to_vec())
        .collect();
    let examples = examples();
    assert!(examples.len() >= 9, "{} examples found", examples.len());
    for (name, hex) in examples {
        assert_eq!(hex, bytes(named(&all, name), "hex"), "{name}");
    }
}

#[test]
fn the_document_names_every_type_and_message() {
    for kind in Kind::ALL {
        assert!(
            DOC.contains(&format!("\n| {} | {kind} |", kind as u8)),
            "{kind}"
        );
    }
    for kind in MessageKind::ALL {
        assert!(
            DOC.contains(&format!("\n| {} | {kind} |", kind as u8)),
            "{kind}"
        );
    }
}

#[test]
fn the_document_names_every_limit_and_refusal() {
    for kind in Kind::ALL {
        for key in [Limits::body_key(kind), Limits::head_key(kind)] {
            for key in key.split(", ").filter(|key| key.contains("spark.")) {
                assert!(DOC.contains(&format!("\n| `{key}` |")), "{key}");
            }
        }
    }
    let refusals = stored::refusals();
    for fixture in list(&refusals, "refused") {
        if let Some(words) = fixture["spark"].as_str() {
            let (said, _) = words.split_once(':').unwrap_or((words, ""));
            assert!(DOC.contains(&format!("`{said}")), "{said}");
        }
    }
}
