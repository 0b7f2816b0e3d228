//! `docs/configuration.md` says what the table of keys says, no more and no less.
//!
//! `RINGRAIL_WRITE_DOCS=1` writes it anew in place of comparing.

use std::path::Path;

use ringrail::conf::{DefaultText, docs, keys};

#[test]
fn the_document_is_that_of_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let text = docs::markdown();
    if std::env::var_os("RINGRAIL_WRITE_DOCS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = there
        .lines()
        .zip(text.lines())
        .position(|(there, text)| there != text);
    assert!(
        there == text,
        "docs/configuration.md differs from the table, first in line {}; write it again with \
         RINGRAIL_WRITE_DOCS=1 cargo test -p ringrail --test configuration_is_documented",
        differs.unwrap_or_else(|| there.lines().count().min(text.lines().count())) + 1
    );
}

#[test]
fn every_key_is_in_it_once_with_its_meaning() {
    let text = docs::markdown();
    for entry in keys::all().iter().flat_map(|family| family.entries) {
        let row = format!("\n| `{}` |", entry.key());
        assert_eq!(text.matches(&row).count(), 1, "{}", entry.key());
        assert!(
            entry.doc().len() > 10,
            "{}: what does it mean?",
            entry.key()
        );
        assert!(entry.doc().ends_with('.'), "{}", entry.key());
    }
}

/// The settings' own documentation names their keys; each is one that exists.
#[test]
fn keys_named_in_the_sources_and_documents_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut named = std::collections::BTreeSet::new();
    for dir in ["codec/src", "transport/src", "src", "docs"] {
        collect(&root.join(dir), &mut named);
    }
    assert!(named.len() > 50, "{named:?}");
    let mut unknown: Vec<_> = named
        .iter()
        .filter(|key| keys::find(key).is_none())
        .collect();
    // Files of the command's examples and of tests are no keys.
    unknown.retain(|key| !key.ends_with(".sock") && !key.ends_with(".service"));
    assert_eq!(unknown, Vec::<&String>::new());
}

fn collect(dir: &Path, named: &mut std::collections::BTreeSet<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let kind = path.extension().and_then(|kind| kind.to_str());
        if path.is_dir() {
            collect(&path, named);
        } else if matches!(kind, Some("rs" | "md")) {
            let text = std::fs::read_to_string(&path).unwrap();
            for (at, prefix) in text.match_indices("ringrail.") {
                let begins = text[..at]
                    .chars()
                    .next_back()
                    .is_some_and(|c| "`\" (".contains(c));
                let rest = &text[at + prefix.len()..];
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.');
                let key = &rest[..end.unwrap_or(rest.len())];
                let next = rest[key.len()..].chars().next();
                // `ringrail.transport.{a,b}` and `ringrail.block.…` stand for several.
                let whole = !matches!(next, Some('{' | '…' | '*' | '_' | '-'));
                if begins && whole && key.contains('.') && !key.ends_with('.') {
                    named.insert(format!("{prefix}{key}"));
                }
            }
        }
    }
}

#[test]
fn every_default_and_bound_is_a_value_of_its_key() {
    for entry in keys::all().iter().flat_map(|family| family.entries) {
        if let DefaultText::Value(text) = entry.default_text() {
            assert_eq!(entry.check(text), Ok(()), "{}", entry.key());
        }
        let bounds = entry.bounds();
        if let Some((least, rest)) = bounds.split_once(" to ") {
            let most = rest.split(';').next().unwrap();
            // A bound may break the other rule, but never the type or the range.
            for bound in [least, most] {
                if let Err(error) = entry.check(bound) {
                    assert!(
                        !error.to_string().contains(" to "),
                        "{}: {error}",
                        entry.key()
                    );
                    assert!(bounds.contains(';'), "{}: {error}", entry.key());
                }
            }
        }
    }
}
