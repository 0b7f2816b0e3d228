//! The uses between modules that are allowed: the order that is declared here is the order of the sources, with the exceptions
//! that are listed, each with its reason; and what the documents say of source files is true.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The modules of the crate, and what each may use beside the crates below it.
const CRATE: &[(&str, &[&str])] = &[
    ("workers", &[]),
    ("block", &["workers"]),
    ("shuffle", &["block", "workers"]),
    ("rpc", &[]),
    ("conf", &["block", "rpc", "shuffle"]),
];

/// The modules of the transport, each using only those before it. There are no exceptions.
const TRANSPORT: &[&str] = &[
    "sync", "metrics", "buf", "sys", "failure", "error", "conf", "spark", "conn", "shard",
    "server", "client", "context",
];

/// Words of the transport that act, or share: the state of a connection (`conn`) has none of them.
const ACTING: &[&str] = &[
    "Cell",
    "Driver",
    "Instant",
    "Pool",
    "Rc",
    "RefCell",
    "TimerKey",
    "TimerWheel",
    "tracing",
];

/// Where it has one all the same: the file, the word, the reason.
const ACTING_EXCEPTIONS: &[(&str, &str, &str)] = &[
    (
        "send_queue.rs",
        "Pool",
        "frames are written into gathers, which the pool that is handed in gives",
    ),
    (
        "send_queue.rs",
        "Cell",
        "the counter of bodies is handed on to its body queue",
    ),
    (
        "send_queue.rs",
        "Rc",
        "the counter of bodies is handed on to its body queue",
    ),
    (
        "body_queue.rs",
        "Cell",
        "counts the bodies of all connections of a shard, for the bound on them",
    ),
    (
        "body_queue.rs",
        "Rc",
        "counts the bodies of all connections of a shard, for the bound on them",
    ),
];

/// Words that the connections of a shard do not know: what drives them.
const DRIVING: &[&str] = &["Driver", "Pump", "engine", "park", "pump"];

/// Modules of the transport that are tests.
const TRANSPORT_TESTS: &[&str] = &["scenarios", "metrics_tests"];

/// The modules of `src/rpc`, each using only those before it.
const RPC: &[&str] = &[
    "sync",
    "clock",
    "body",
    "borrowed",
    "id",
    "message",
    "timeout",
    "supervision",
    "address",
    "error",
    "uri",
    "counted",
    "failure",
    "settings",
    "lost",
    "metrics",
    "event",
    "schema",
    "wire",
    "hello",
    "file_table",
    "thread",
    "shared",
    "peer",
    "target",
    "decode_context",
    "received",
    "replies",
    "reply",
    "connection",
    "link",
    "dispatcher",
    "outbox",
    "pending_ask",
    "accepts",
    "ask",
    "endpoint_ref",
    "fast_path",
    "local_ref",
    "sending",
    "retry",
    "call",
    "interceptor",
    "handling",
    "any",
    "handler_future",
    "endpoint",
    "route",
    "inbox",
    "function",
    "handler",
    "timer",
    "env",
    "verifier",
    "inspector",
    "files",
    "memory",
    "ring",
    "backends",
    "ref_archive",
    "fan_out",
    "client",
    "group",
    "fingerprint",
    "stream",
];

/// Modules of `src/rpc` that use later ones: which, and why.
const RPC_UPWARDS: &[(&str, &str, &str)] = &[
    (
        "thread",
        "dispatcher",
        "what is posted to a thread is done by its dispatcher",
    ),
    (
        "replies",
        "dispatcher",
        "a reply's callback runs as a handler of its dispatcher does",
    ),
    (
        "dispatcher",
        "outbox",
        "a thread has its outboxes, which send and wait in its turns",
    ),
    (
        "endpoint",
        "route",
        "an endpoint declares its messages as routes, which are routes of endpoints",
    ),
    (
        "route",
        "inbox",
        "a route runs in the inbox of its endpoint, which has routes",
    ),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files below `dir`, relative to it, with this ending.
fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(next) = dirs.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let hidden = path.file_name().unwrap().to_string_lossy().starts_with('.');
            if path.is_dir() && !hidden && !path.ends_with("target") {
                dirs.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path.strip_prefix(dir).unwrap().to_owned());
            }
        }
    }
    found
}

/// The source without comments and without its tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let mut lines: Vec<&str> = Vec::new();
    let mut of_tests = false;
    for line in text.lines() {
        if of_tests && line.starts_with("mod tests") {
            break;
        }
        of_tests = line.starts_with("#[cfg(test)]")
            || line.starts_with("#[cfg(all(test")
            || (of_tests && line.starts_with("#["));
        lines.push(line.split("//").next().unwrap_or_default());
    }
    lines.join("\n")
}

/// The module that a file is, from the root of its tree.
fn module_of(file: &Path) -> Vec<String> {
    let mut parts: Vec<String> = file
        .with_extension("")
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    if parts
        .last()
        .is_some_and(|last| last == "mod" || last == "lib")
    {
        parts.pop();
    }
    parts
}

/// The paths of a `use`, its groups taken apart.
fn expanded(tree: &str, found: &mut Vec<String>) {
    let tree = tree.trim();
    let Some((before, group)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or_default();
        found.push(path.trim().to_owned());
        return;
    };
    let group = group.strip_suffix('}').unwrap_or(group);
    let (mut depth, mut start) = (0, 0);
    for (at, byte) in group.bytes().chain([b',']).enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            b',' if depth == 0 => {
                if !group[start..at].trim().is_empty() {
                    expanded(&format!("{before}{}", group[start..at].trim()), found);
                }
                start = at + 1;
            }
            _ => {}
        }
    }
}

/// Every path that begins with `crate` or `super`, in `use` and elsewhere.
fn paths(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = String::new();
    for statement in code.split_inclusive(';') {
        let at = statement.find("use ").filter(|at| {
            let before = statement[..*at].chars().next_back();
            before.is_none_or(|before| before.is_whitespace())
        });
        match at {
            Some(at) if statement.ends_with(';') => {
                rest.push_str(&statement[..at]);
                expanded(
                    &statement[at + 4..statement.len() - 1].replace('\n', " "),
                    &mut found,
                );
            }
            _ => rest.push_str(statement),
        }
    }
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let words = rest.split(|c| !is_part(c)).map(str::to_owned);
    found.extend(words.filter(|word| word.starts_with("crate::") || word.starts_with("super::")));
    found
}

/// The modules of a tree that use each other: from, to, and the files that do.
type Uses = BTreeMap<(String, String), BTreeSet<PathBuf>>;

/// A path as the module at `from` means it, from the root of the tree, which is `prefix` of its crate.
fn resolved(path: &str, from: &[String], prefix: &[&str]) -> Option<Vec<String>> {
    let parts: Vec<&str> = path.split("::").collect();
    if parts[0] == "crate" {
        let rest = parts[1..].strip_prefix(prefix)?;
        return Some(rest.iter().map(|part| (*part).to_owned()).collect());
    }
    let ups = parts.iter().take_while(|part| **part == "super").count();
    let base = from.get(..from.len().checked_sub(ups)?)?;
    let rest = parts[ups..].iter().map(|part| (*part).to_owned());
    (ups > 0).then(|| base.iter().cloned().chain(rest).collect())
}

/// Names that the root of a tree re-exports, by the module that they come from.
fn reexports(root: &str) -> BTreeMap<String, String> {
    let mut all = Vec::new();
    for line in root.split(';').filter(|line| line.contains("pub use ")) {
        let at = line.find("pub use ").unwrap_or_default();
        expanded(&line[at + 8..].replace('\n', " "), &mut all);
    }
    let named = all.iter().filter_map(|path| {
        let (module, name) = path.split_once("::")?;
        Some((name.to_owned(), module.to_owned()))
    });
    named.collect()
}

fn uses(dir: &str, prefix: &[&str], skipped: &[&str]) -> Uses {
    let dir = root().join(dir);
    let of_root = ["mod.rs", "lib.rs"].map(|name| dir.join(name));
    let of_root = of_root.iter().find(|path| path.exists()).unwrap();
    let known = reexports(&code(of_root));
    let mut uses = Uses::new();
    for file in files(&dir, ".rs") {
        let module = module_of(&file);
        let is_skipped = module.iter().any(|part| skipped.contains(&part.as_str()));
        let Some(from) = module.first().filter(|_| !is_skipped) else {
            continue;
        };
        for path in paths(&code(&dir.join(&file))) {
            let Some(to) = resolved(&path, &module, prefix).and_then(|to| to.first().cloned())
            else {
                continue;
            };
            let to = known.get(&to).unwrap_or(&to).clone();
            if to != *from && !to.is_empty() {
                let edge = uses.entry((from.clone(), to)).or_default();
                edge.insert(file.clone());
            }
        }
    }
    uses
}

#[test]
fn the_modules_of_the_crate_use_only_what_they_may() {
    let skipped = ["cli", "main", "macros", "models"];
    let found = uses("src", &[], &skipped);
    let modules: BTreeSet<_> = CRATE.iter().map(|(module, _)| *module).collect();
    for ((from, to), files) in &found {
        let may = CRATE.iter().find(|(module, _)| module == from);
        let (_, may) = may.unwrap_or_else(|| panic!("{from} has no place in the order"));
        if modules.contains(to.as_str()) {
            assert!(may.contains(&to.as_str()), "{from} uses {to}: {files:?}");
        }
    }
}

#[test]
fn no_module_of_rpc_uses_a_later_one_but_for_the_exceptions() {
    let found = uses("src/rpc", &["rpc"], &["models"]);
    let place = |module: &str| RPC.iter().position(|known| *known == module);
    let mut upwards = BTreeSet::new();
    for ((from, to), files) in &found {
        let Some(to_at) = place(to) else {
            // The root's own names: macros and inline items.
            continue;
        };
        let from_at = place(from).unwrap_or_else(|| panic!("{from} has no place in the order"));
        if to_at < from_at {
            continue;
        }
        let excepted = |(of, what, _): &&(&str, &str, &str)| of == from && what == to;
        assert!(
            RPC_UPWARDS.iter().any(|exception| excepted(&exception)),
            "{from} uses {to}, which comes after it: {files:?}"
        );
        upwards.insert((from.as_str(), to.as_str()));
    }
    for (from, to, reason) in RPC_UPWARDS {
        assert!(!reason.is_empty(), "{from} -> {to} has no reason");
        assert!(
            upwards.contains(&(from, to)),
            "{from} -> {to} is gone: so is its exception"
        );
    }
}

#[test]
fn no_module_of_the_transport_uses_a_later_one() {
    let found = uses("transport/src", &[], TRANSPORT_TESTS);
    let place = |module: &str| TRANSPORT.iter().position(|known| *known == module);
    for ((from, to), files) in &found {
        let from_at = place(from).unwrap_or_else(|| panic!("{from} has no place in the order"));
        let Some(to_at) = place(to) else {
            // The root's own names: macros and inline items.
            continue;
        };
        assert!(
            to_at < from_at,
            "{from} uses {to}, which comes after it: {files:?}"
        );
    }
    let edge = |from: &str, to: &str| found.contains_key(&(from.to_owned(), to.to_owned()));
    assert!(edge("shard", "conn") && edge("client", "shard") && edge("conn", "buf"));
}

/// The words that a source consists of.
fn words(code: &str) -> BTreeSet<&str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_')
        .collect()
}

#[test]
fn the_state_of_a_connection_neither_acts_nor_shares() {
    let dir = root().join("transport/src/conn");
    let mut used = BTreeSet::new();
    let mut seen = 0;
    for file in files(&dir, ".rs") {
        let name = file.to_string_lossy().into_owned();
        if name.ends_with("_tests.rs") {
            continue;
        }
        seen += 1;
        let code = code(&dir.join(&file));
        let words = words(&code);
        for word in ACTING.iter().filter(|word| words.contains(**word)) {
            let excepted = |(of, what, _): &&(&str, &str, &str)| *of == name && what == word;
            let known = ACTING_EXCEPTIONS.iter().find(excepted);
            assert!(known.is_some(), "conn/{name} uses {word}");
            used.insert((name.clone(), *word));
        }
    }
    assert!(seen > 15, "{seen} files were looked at");
    for (file, word, reason) in ACTING_EXCEPTIONS {
        assert!(!reason.is_empty(), "{file}: {word} has no reason");
        let is_used = used.contains(&((*file).to_owned(), *word));
        assert!(is_used, "{file}: {word} is gone: so is its exception");
    }
}

#[test]
fn the_connections_of_a_shard_do_not_know_what_drives_them() {
    let dir = root().join("transport/src/shard/conn");
    for file in files(&dir, ".rs") {
        let code = code(&dir.join(&file));
        let words = words(&code);
        for word in DRIVING {
            assert!(!words.contains(word), "{} uses {word}", file.display());
        }
    }
}

#[test]
fn every_module_of_rpc_has_its_place() {
    let known: BTreeSet<_> = RPC.iter().map(|module| (*module).to_owned()).collect();
    assert_eq!(known.len(), RPC.len(), "a module has two places");
    let there = files(&root().join("src/rpc"), ".rs");
    let there = there
        .iter()
        .filter_map(|file| module_of(file).first().cloned());
    let there: BTreeSet<_> = there.filter(|module| module != "models").collect();
    assert_eq!(there, known);
}

/// Source files and folders of sources that documents name in backticks.
fn named(text: &str) -> Vec<&str> {
    let spans = text.split('`').skip(1).step_by(2);
    let is_path = |span: &&str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_./-".contains(c);
        let tops = [
            "src/",
            "transport/",
            "codec/",
            "tests/",
            "benches/",
            "docs/",
        ];
        span.chars().all(plain)
            && (span.ends_with(".rs") || tops.iter().any(|top| span.starts_with(top)))
    };
    spans.filter(is_path).collect()
}

#[test]
fn source_files_that_documents_name_exist() {
    let sources = files(root(), ".rs");
    let mut names = 0;
    let mut missing = Vec::new();
    for document in files(&root().join("docs"), ".md") {
        let text = fs::read_to_string(root().join("docs").join(&document)).unwrap();
        // Text in fences is code.
        for part in text.split("```").step_by(2) {
            for name in named(part) {
                let is_there = root().join(name).exists()
                    || sources.iter().any(|source| source.ends_with(name));
                if !is_there {
                    missing.push(format!("{}: {name}", document.display()));
                }
                names += 1;
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(names > 40, "documents name source files: {names}");
}
