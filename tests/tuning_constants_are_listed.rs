//! `docs/tuning.md` lists every numeric constant of the engine with its value, no more and no less.
//!
//! A scan of the text: a constant is a `const NAME: TYPE = VALUE;` whose type consists of numbers and
//! durations. Its row is found by name, file and value.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

/// Directories whose constants are listed, below [`SOURCES`].
const DIRS: [&str; 4] = ["buf", "conn", "shard", "sys"];

/// The directory that paths in the table are relative to.
const SOURCES: &str = "transport/src";

/// Types of listed constants; tuples of them are listed too.
const TYPES: [&str; 15] = [
    "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize", "f32",
    "f64", "Duration",
];

/// A constant, as the sources or the table have it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Constant {
    file: String,
    name: String,
    value: String,
}

impl fmt::Display for Constant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "| `{}` | `{}` | `{}` |",
            self.name, self.file, self.value
        )
    }
}

#[test]
fn the_table_has_every_constant_with_its_value() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let in_code = constants(&root.join(SOURCES));
    let table = std::fs::read_to_string(root.join("docs/tuning.md")).unwrap();
    let in_table = rows(&table);
    assert!(in_code.len() > 100, "the scan found {}", in_code.len());
    let lines = |all: &mut dyn Iterator<Item = &Constant>| -> String {
        all.map(|constant| format!("\n    {constant}")).collect()
    };
    let missing = lines(&mut in_code.difference(&in_table));
    let stale = lines(&mut in_table.difference(&in_code));
    assert!(
        missing.is_empty() && stale.is_empty(),
        "docs/tuning.md and the sources differ (a changed value is in both lists).\n\
         Not in the table, add a row with unit, reason and source:{missing}\n\
         Not in the sources, remove the row:{stale}"
    );
}

#[test]
fn every_row_has_a_unit_and_a_reason() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = std::fs::read_to_string(root.join("docs/tuning.md")).unwrap();
    let mut seen = BTreeSet::new();
    for line in table.lines().filter(|line| row(line).is_some()) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        assert!(cells.len() == 5 || cells.len() == 6, "{line}");
        assert!(cells.iter().all(|cell| !cell.is_empty()), "{line}");
        assert!(seen.insert(row(line)), "twice: {line}");
    }
    assert!(!seen.is_empty());
}

#[test]
fn the_scan_finds_constants_in_every_form() {
    let text = "const A: u32 = 1;\n    pub(super) const B_2: (u64, u64) =\n        (1,\n         2);\n\
                const C: &str = \"x\";\npub const D: Duration = Duration::from_millis(1);\n\
                // const E: u8 = 1;\nimpl<const N: usize> X<N> {}\n#[cfg(test)]\nmod tests {\n\
                const F: u8 = 1;\n}\n";
    let found: Vec<(String, String)> = scan(text);
    let expected = [
        ("A", "1"),
        ("B_2", "(1, 2)"),
        ("D", "Duration::from_millis(1)"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(found, expected);
}

/// All constants of the engine, without those of tests, of the simulated driver and of the
/// conformance suite.
fn constants(sources: &Path) -> BTreeSet<Constant> {
    let mut found = BTreeSet::new();
    for file in DIRS.iter().flat_map(|dir| rust_files(&sources.join(dir))) {
        let name = file
            .strip_prefix(sources)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        if is_for_tests(&name) {
            continue;
        }
        for (constant, value) in scan(&std::fs::read_to_string(&file).unwrap()) {
            found.insert(Constant {
                file: name.clone(),
                name: constant,
                value,
            });
        }
    }
    found
}

fn is_for_tests(file: &str) -> bool {
    let test_file = ["tests.rs", "_loom.rs", "_shuttle.rs"];
    let test_dir = ["/tests/", "sys/sim/", "sys/conformance/"];
    test_file.iter().any(|end| file.ends_with(end)) || test_dir.iter().any(|dir| file.contains(dir))
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// Names and values of the numeric constants in a file, up to its inline module of tests.
fn scan(text: &str) -> Vec<(String, String)> {
    let text = text.split("\nmod tests {").next().unwrap_or_default();
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("const ") {
        let line = rest[..at].rsplit('\n').next().unwrap_or_default().trim();
        rest = &rest[at + "const ".len()..];
        let is_item =
            line.is_empty() || line == "pub" || (line.starts_with("pub(") && line.ends_with(')'));
        if is_item && let Some(constant) = numeric(rest) {
            found.push(constant);
        }
    }
    found
}

/// Splits `NAME: TYPE = VALUE;` if the type is numeric. Runs of white space in the value become one
/// space, as in the table.
fn numeric(item: &str) -> Option<(String, String)> {
    let (name, item) = item.split_once(':')?;
    let (kind, item) = item.split_once('=')?;
    let (value, _) = item.split_once(';')?;
    let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let parts = kind.split(|c: char| !c.is_ascii_alphanumeric());
    let mut parts = parts.filter(|part| !part.is_empty()).peekable();
    let plain = kind
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "(), \n".contains(c));
    let numeric = plain && parts.peek().is_some() && parts.all(|part| TYPES.contains(&part));
    let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
    (name.chars().all(is_name) && numeric).then(|| (name.to_owned(), value))
}

/// The rows of all tables of the document.
fn rows(document: &str) -> BTreeSet<Constant> {
    document.lines().filter_map(row).collect()
}

/// Parses ``| `NAME` | `FILE` | `VALUE` | …``.
fn row(line: &str) -> Option<Constant> {
    let mut cells = line.strip_prefix("| `")?.split(" | ");
    let name = cells.next()?.strip_suffix('`')?;
    let mut quoted = || cells.next()?.strip_prefix('`')?.strip_suffix('`');
    let (file, value) = (quoted()?, quoted()?);
    Some(Constant {
        file: file.to_owned(),
        name: name.to_owned(),
        value: value.to_owned(),
    })
}
