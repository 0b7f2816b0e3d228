//! Properties files mean what they mean to Java, and what they and the environment set has its place.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::io::Write as _;

use proptest::prelude::*;
use ringrail::conf::keys;
use ringrail::conf::properties::{self, Property};
use ringrail::conf::{Conf, ConfError, variable_of};
use serde_json::Value;

#[path = "support/events.rs"]
mod events;

use events::warnings_of;

fn pairs(text: &str) -> BTreeMap<String, String> {
    let lines = properties::parse(text).unwrap();
    lines
        .into_iter()
        .map(|line| (line.key, line.value))
        .collect()
}

fn file(text: impl AsRef<[u8]>) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_ref()).unwrap();
    file
}

/// The expected values are a recorded output of `java.util.Properties` (17).
#[test]
fn what_java_reads_is_read() {
    let cases: Value = serde_json::from_str(include_str!("fixtures/java-properties.json")).unwrap();
    let cases = cases.as_array().unwrap();
    assert!(cases.len() > 70);
    for case in cases {
        let text = case["text"].as_str().unwrap();
        let java: BTreeMap<_, _> = case["properties"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned()))
            .collect();
        assert_eq!(pairs(text), java, "{text:?}");
    }
}

/// Java reads it as an empty key, which cannot be intended.
#[test]
fn a_backslash_alone_at_the_end_is_nothing() {
    for text in ["\\", "\\\n", "a=b\n\\"] {
        assert!(!pairs(text).contains_key(""), "{text:?}");
    }
}

#[test]
fn lines_are_counted_and_come_in_their_order() {
    let text = "# one\n\nb=1\\\n  2\r\na 3\r! x\nb=4";
    let lines = properties::parse(text).unwrap();
    let expected =
        [("b", "12", 3), ("a", "3", 5), ("b", "4", 7)].map(|(key, value, line)| Property {
            key: key.to_owned(),
            value: value.to_owned(),
            line,
        });
    assert_eq!(lines, expected);
}

#[test]
fn a_line_that_means_nothing_is_named() {
    for (text, line, says) in [
        ("a=b\nc=\\u12", 2, "four hexadecimal digits"),
        ("a=\\u12g4", 1, "four hexadecimal digits"),
        ("\n\na=\\ud83d", 3, "half a surrogate pair"),
        ("a=\\ud83d\\u0041", 1, "half a surrogate pair"),
        ("a=\\ude00", 1, "half a surrogate pair"),
    ] {
        let error = properties::parse(text).unwrap_err();
        let text = error.to_string();
        assert!(
            matches!(error, ConfError::BadLine { line: at, .. } if at == line),
            "{text}"
        );
        assert!(text.contains(says), "{text}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = properties::read_file("/no/such.conf".as_ref())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("/no/such.conf") && error.contains("No such file"),
        "{error}"
    );
    let latin = file(b"a=b\nc=\xe9\n");
    let error = properties::read_file(latin.path()).unwrap_err().to_string();
    let path = latin.path().display().to_string();
    assert!(
        error.contains(&path) && error.contains("line 2") && error.contains("UTF-8"),
        "{error}"
    );
    let long = file("");
    long.as_file()
        .set_len(properties::MAX_FILE_LEN + 1)
        .unwrap();
    let error = properties::read_file(long.path()).unwrap_err().to_string();
    assert!(error.contains("longer than"), "{error}");
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        pairs in prop::collection::btree_map("[\\PC\\t\\n\\r\\x0c\\\\=:#! ]{0,8}", "[\\PC\\t\\n\\r\\x0c\\\\=:#! ]{0,12}", 0..6)
    ) {
        let text = properties::write(pairs.iter().map(|(key, value)| (&**key, &**value)));
        prop_assert_eq!(self::pairs(&text), pairs);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "[\\PC\\t\\n\\r\\x0c\\\\=:#!u ]{0,40}") {
        if let Ok(lines) = properties::parse(&text) {
            let most = text.matches(['\n', '\r']).count() + 1;
            prop_assert!(lines.len() <= most);
            prop_assert!(lines.iter().all(|line| (1..=most).contains(&line.line)));
        }
    }
}

#[test]
fn files_go_over_the_environment_and_what_is_set_over_both() {
    let file = file("ringrail.rpc.askTimeout 2s  \nringrail.network.timeout=3s\nmy.own=x\n");
    let variables = [
        ("RINGRAIL_CONF_RPC_ASK_TIMEOUT", "1s"),
        ("RINGRAIL_CONF_RPC_LOOKUP_TIMEOUT", "1s"),
        ("RINGRAIL_CONF_SPARK_NETWORK_TIMEOUT", "1s"),
        ("PATH", "/bin"),
        ("RINGRAIL_LOG", "warn"),
    ];
    let (conf, warnings) = warnings_of(|| {
        let mut conf = Conf::new();
        conf.load_variables(variables);
        conf.load_file(file.path()).unwrap();
        conf.set("ringrail.network.timeout", "4s");
        conf
    });
    let expected = [
        ("ringrail.network.timeout", "4s"),
        ("ringrail.rpc.askTimeout", "2s"),
        ("ringrail.rpc.lookupTimeout", "1s"),
        ("spark.network.timeout", "1s"),
    ];
    assert_eq!(conf.iter().collect::<Vec<_>>(), expected);
    assert_eq!(warnings, ["left out: keys begin with ringrail. or spark."]);
}

#[test]
fn a_variable_that_belongs_to_no_key_is_warned_of_with_the_nearest() {
    let (conf, warnings) = warnings_of(|| {
        let mut conf = Conf::new();
        conf.load_variables([("RINGRAIL_CONF_RPC_ASKTIMEOUT", "1s")]);
        conf
    });
    assert!(conf.is_empty());
    let text = "The variable RINGRAIL_CONF_RPC_ASKTIMEOUT sets no configuration key; \
                did you mean RINGRAIL_CONF_RPC_ASK_TIMEOUT?";
    assert_eq!(warnings, [text]);
}

#[test]
fn every_key_has_a_variable_of_its_own() {
    let mut seen = HashSet::new();
    for entry in keys::all().iter().flat_map(|family| family.entries) {
        let variable = variable_of(entry.key());
        let allowed =
            |char: char| char.is_ascii_uppercase() || char.is_ascii_digit() || char == '_';
        assert!(variable.chars().all(allowed), "{variable}");
        assert!(seen.insert(variable.clone()), "{variable}");
        let conf = {
            let mut conf = Conf::new();
            conf.load_variables([(variable, "x")]);
            conf
        };
        assert_eq!(conf.iter().collect::<Vec<_>>(), [(entry.key(), "x")]);
    }
    for (key, variable) in [
        (
            "ringrail.transport.spinUs",
            "RINGRAIL_CONF_TRANSPORT_SPIN_US",
        ),
        (
            "spark.shuffle.io.lazyFD",
            "RINGRAIL_CONF_SPARK_SHUFFLE_IO_LAZY_FD",
        ),
    ] {
        assert_eq!(variable_of(key), variable);
    }
}

#[test]
fn loading_warns_of_keys_that_were_given_up_once_each() {
    let file = file("spark.akka.askTimeout=1\nspark.rpc=netty\n");
    let ((), warnings) = warnings_of(|| {
        let mut conf = Conf::new();
        conf.load_file(file.path()).unwrap();
        let _ = conf.clone().get("spark.rpc.askTimeout");
    });
    assert_eq!(warnings.len(), 2, "{warnings:?}");
}

/// Runs itself as another process, whose environment can be chosen.
#[test]
fn loading_takes_the_environment_and_the_file_that_it_names() {
    const CHILD: &str = "RINGRAIL_TEST_CHILD";
    const NAME: &str = "loading_takes_the_environment_and_the_file_that_it_names";
    if std::env::var_os(CHILD).is_some() {
        let conf = Conf::load().map(|conf| conf.to_debug_string());
        eprintln!("<{}>", conf.unwrap_or_else(|error| error.to_string()));
        return;
    }
    let file = file("ringrail.rpc.askTimeout=2s");
    let run = |path: &std::ffi::OsStr| {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child
            .args(["--exact", NAME, "--nocapture"])
            .env_clear()
            .env(CHILD, "1");
        child
            .env("RINGRAIL_CONF_RPC_ASK_TIMEOUT", "1s")
            .env("RINGRAIL_CONF_PORT_MAX_RETRIES", "3");
        let output = child
            .env("RINGRAIL_PROPERTIES_FILE", path)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        let (_, rest) = text.split_once('<').unwrap();
        rest.split_once('>').unwrap().0.to_owned()
    };
    let path = file.path().as_os_str();
    assert_eq!(
        run(path),
        "ringrail.port.maxRetries=3\nringrail.rpc.askTimeout=2s"
    );
    assert_eq!(
        run("".as_ref()),
        "ringrail.port.maxRetries=3\nringrail.rpc.askTimeout=1s"
    );
    assert!(run("/no/such.conf".as_ref()).contains("/no/such.conf"));
}
