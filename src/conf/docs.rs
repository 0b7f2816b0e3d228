//! `docs/configuration.md`, written from the table.

use std::fmt::Write as _;

use super::entry::{AnyEntry, DefaultText};
use super::keys::spark::{DEPRECATED, RENAMED};
use super::keys::{self, Family};

const HEAD: &str = "\
# Configuration

<!-- Written from the table in src/conf/keys. To write it again after a change there:
     RINGRAIL_WRITE_DOCS=1 cargo test -p ringrail --test configuration_is_documented -->

Every key that there is. `ringrail conf list` prints this list, `ringrail conf explain KEY` one key of it,
`ringrail conf check FILE` looks for what is wrong with a properties file.

## Where values come from

The first of these that sets a key counts:

1. a flag of the command, or what a program sets itself (`Conf::set`);
2. `--conf KEY=VALUE` of the command; of several for one key the last;
3. the properties file: `--properties-file FILE`, else the one that `RINGRAIL_PROPERTIES_FILE` names;
4. the environment: `RINGRAIL_CONF_` and the key in capitals, without `ringrail.`, with `_` for a dot and before an
   inner capital: `RINGRAIL_CONF_RPC_ASK_TIMEOUT=30s`, `RINGRAIL_CONF_SPARK_NETWORK_TIMEOUT=2min`;
5. the default.

A program gets 3 and 4 from `Conf::load`, and nothing from `Conf::new`. It is the *name* under which a value is set that
counts here; a key that is not set itself, in any of these places, is looked for under its other names, in the order of
its row, and only then has its default.

A properties file is one of Java's: `key value`, `key=value` or `key: value` on a line, comments after `#` or `!` at its
beginning, `\\` at its end to go on in the next, `\\t`, `\\n`, `\\u20AC` and so on. It is UTF-8. Keys that begin neither with
`ringrail.` nor with `spark.` are left out.

A key that nobody knows and that begins with `ringrail.` is warned of, and so is one that Spark has given up.

## How values are written

- *time*: a whole number and `us`, `ms`, `s`, `m` or `min`, `h`, `d`. Without one of these it is in the unit of the row. No
  fractions: `1500ms`.
- *size*: a whole number and `b`, `k`, `m`, `g`, `t`, `p` (or `kb`, `kib`, …), powers of 1024. Without one of these it is
  in the unit of the row. No fractions: `1536k`.
- *bool*: `true` or `false`. *list*: with commas between.
- `${env:NAME}` in a value is a variable of the environment, `${ringrail.network.timeout}` what that key is set to or has by
  default. What cannot be resolved stays as it is; a value that refers to itself is an error.
";

const OLD: &str = "
## Spark's old keys

Setting one warns, in Spark's words, and is stored in any case. Reading the new key finds it; where several are set, the
first in the row counts.

| new key | old keys (given up in Spark) |
|---|---|
";

const GONE: &str = "
These mean nothing any more:

| key | given up in | |
|---|---|---|
";

/// The text of `docs/configuration.md`.
pub fn markdown() -> String {
    let mut out = String::from(HEAD);
    for family in keys::all() {
        add_family(family, &mut out);
    }
    out.push_str(OLD);
    for (key, alternates) in RENAMED {
        let names: Vec<_> = alternates
            .iter()
            .map(|other| old_name(other.key, other.since))
            .collect();
        let _ = writeln!(out, "| `{key}` | {} |", names.join(", "));
    }
    out.push_str(GONE);
    for gone in DEPRECATED {
        let _ = writeln!(out, "| `{}` | {} | {} |", gone.key, gone.since, gone.advice);
    }
    out
}

fn add_family(family: &Family, out: &mut String) {
    let own = family
        .entries
        .iter()
        .all(|entry| entry.key().starts_with("ringrail."));
    let _ = write!(out, "\n## {}\n\n", family.title);
    if !family.doc.is_empty() {
        let _ = write!(out, "{}\n\n", family.doc);
    }
    let title = if own {
        "other names, in this order"
    } else {
        "sets; old names"
    };
    let _ = writeln!(
        out,
        "| key | type | default | allowed | {title} | meaning |"
    );
    out.push_str("|---|---|---|---|---|---|\n");
    for entry in family.entries {
        let mut set = keys::set_by(entry.key());
        if set.is_empty() && !own {
            set.push("nothing");
        }
        let set = set.into_iter().map(|key| match key.contains('.') {
            true => format!("`{key}`"),
            false => key.to_owned(),
        });
        let names: Vec<_> = set.chain(other_names(*entry)).collect();
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {} | {} | {} |",
            entry.key(),
            entry.kind(),
            default(*entry),
            entry.bounds(),
            names.join(", "),
            meaning(*entry),
        );
    }
}

fn meaning(entry: &dyn AnyEntry) -> String {
    match entry.deprecated() {
        None => entry.doc(),
        Some(gone) => format!("{} Given up in Spark {}.", entry.doc(), gone.since),
    }
}

fn default(entry: &dyn AnyEntry) -> String {
    match entry.default_text() {
        DefaultText::Absent => String::from("–"),
        DefaultText::Value(text) => format!("`{}`", text.replace('|', "\\|")),
        DefaultText::Computed(says) => says.to_owned(),
        DefaultText::Key(key) => format!("that of `{key}`"),
    }
}

/// The names that are looked at, those of other names included, in their order.
fn other_names(entry: &dyn AnyEntry) -> Vec<String> {
    let names = keys::other_names(entry.key());
    let names = names.into_iter();
    names.map(|name| old_name(name.key, name.since)).collect()
}

fn old_name(key: &str, since: Option<&str>) -> String {
    match since {
        None => format!("`{key}`"),
        Some(since) => format!("`{key}` (old, {since})"),
    }
}
