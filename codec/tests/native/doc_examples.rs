//! The hex in `docs/wire-format.md` is the stored one.

use crate::stored::{bytes, stored, unhex};

const DOC: &str = include_str!("../../../docs/wire-format.md");

/// The blocks that begin with "```hex <name>": the name and the bytes, comments behind `#` left out.
fn examples() -> Vec<(String, Vec<u8>)> {
    let mut examples = Vec::new();
    let mut lines = DOC.lines();
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix("```hex ") else {
            continue;
        };
        let text: String = lines
            .by_ref()
            .take_while(|line| !line.starts_with("```"))
            .map(|line| line.split('#').next().unwrap_or("").to_owned() + "\n")
            .collect();
        examples.push((name.trim().to_owned(), unhex(&text)));
    }
    examples
}

#[test]
fn the_documents_hex_is_the_stored_hex() {
    let stored = stored();
    let fixtures: Vec<_> = ["frames", "handshake"]
        .iter()
        .flat_map(|list| stored[*list].as_array().expect("a list"))
        .collect();
    let examples = examples();
    assert!(examples.len() >= 20, "{} examples found", examples.len());
    for (name, hex) in examples {
        let fixture = fixtures.iter().find(|fixture| fixture["name"] == *name);
        let fixture = fixture.unwrap_or_else(|| panic!("no fixture {name}"));
        assert_eq!(hex, bytes(fixture, "frame"), "{name}");
    }
}

#[test]
fn the_document_names_every_kind_code_and_limit() {
    use ringrail_codec::native::*;
    for kind in Kind::ALL {
        assert!(
            DOC.contains(&format!("`0x{:02x}` | {kind} ", kind as u8)),
            "{kind}"
        );
        assert!(DOC.contains(Limits::key(kind)), "{}", Limits::key(kind));
    }
    for code in FailureCode::ALL {
        assert!(
            DOC.contains(&format!("| {} | {code} |", code.to_wire())),
            "{code}"
        );
    }
    for code in RefusalCode::ALL {
        assert!(
            DOC.contains(&format!("| {} | {code} |", code.to_wire())),
            "{code}"
        );
    }
    for reason in DrainReason::ALL {
        assert!(
            DOC.contains(&format!("| {} | {reason} |", reason.to_wire())),
            "{reason}"
        );
    }
}
