//! The command takes configuration from flags, `--conf`, a file and the environment, in this order, and
//! explains and checks it.
#![cfg(feature = "cli")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The command, without configuration from the environment of the test run.
fn command(args: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("ringrail"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("RINGRAIL_") {
            command.env_remove(name);
        }
    }
    command.args(args);
    command
}

fn ringrail(args: &[&str]) -> Output {
    command(args).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// The value of a key that `conf explain` prints, with these arguments and variables.
fn value(key: &str, args: &[&str], variables: &[(&str, &str)]) -> String {
    let mut command = command(&["conf", "explain", key]);
    command.args(args).envs(variables.iter().copied());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("here"));
    line.unwrap().trim().to_owned()
}

#[test]
fn pairs_go_over_the_file_that_over_the_environment_that_over_defaults() {
    const KEY: &str = "ringrail.rpc.askTimeout";
    let dir = tempfile::tempdir().unwrap();
    let file = write(dir.path(), "a.conf", "ringrail.rpc.askTimeout  3s\n");
    let file = file.to_str().unwrap();
    let variable = ("RINGRAIL_CONF_RPC_ASK_TIMEOUT", "2s");
    let by_variable = ("RINGRAIL_PROPERTIES_FILE", file);
    assert_eq!(value(KEY, &[], &[]), "120s (by default)");
    assert_eq!(
        value(KEY, &[], &[("RINGRAIL_CONF_SPARK_NETWORK_TIMEOUT", "7s")]),
        "7s (by default)"
    );
    assert_eq!(value(KEY, &[], &[variable]), "2s");
    assert_eq!(value(KEY, &[], &[variable, by_variable]), "3s");
    assert_eq!(value(KEY, &["--properties-file", file], &[variable]), "3s");
    let pairs = [
        "--conf",
        "ringrail.rpc.askTimeout=4s",
        "--conf",
        "ringrail.rpc.askTimeout=5s",
    ];
    assert_eq!(
        value(KEY, &pairs, &[variable, by_variable]),
        "5s",
        "of several the last"
    );
    let other = write(dir.path(), "b.conf", "spark.rpc.askTimeout=6s");
    let other = ["--properties-file", other.to_str().unwrap()];
    assert_eq!(
        value(KEY, &other, &[by_variable]),
        "6s",
        "one file, not both"
    );
}

/// Limits show who was listened to: a server refuses by the name of the key.
#[test]
fn flags_go_over_pairs_and_values_are_checked_before_anything_starts() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_str().unwrap();
    for (args, says) in [
        (
            &[
                "serve",
                root,
                "--conf",
                "ringrail.transport.poolBudget=lots",
            ][..],
            "Illegal value for config key ringrail.transport.poolBudget",
        ),
        (
            &["serve", root, "--conf", "spark.authenticate=true"],
            "authentication",
        ),
        (
            &[
                "serve",
                root,
                "--conf",
                "ringrail.transport.shards=4096",
                "--listen",
                "x",
            ],
            "must be 0 to 1024",
        ),
        (&["serve", root, "--shards", "4096"], "must be 0 to 1024"),
        (
            &["serve", root, "--properties-file", "/no/such.conf"],
            "/no/such.conf",
        ),
        (
            &[
                "fetch",
                "rail://h:1",
                "-o",
                "x",
                "--conf",
                "ringrail.block.chunkLen=5000",
            ],
            "must be 16k to 64m",
        ),
        (
            &[
                "fetch",
                "rail://h:1",
                "-o",
                "x",
                "--conf",
                "ringrail.transport.poolBudget=1m",
            ],
            "ringrail.transport.poolReserve",
        ),
        (
            &["demo", "--conf", "ringrail.transport.inlineMax=1m"],
            "must be 0b to 32k",
        ),
        (
            &["bench", "rpc", "--conf", "ringrail.transport.recvBuffers=3"],
            "must be a power of two",
        ),
    ] {
        let output = ringrail(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(
            stderr(&output).contains(says),
            "{args:?}: {}",
            stderr(&output)
        );
    }
    for (pair, says) in [
        ("ringrail.rpc.shards", "key=value"),
        ("shards=1", "ringrail. or spark."),
    ] {
        let output = ringrail(&["serve", root, "--conf", pair]);
        assert_eq!(output.status.code(), Some(2), "{pair}");
        assert!(
            stderr(&output).contains(says),
            "{pair}: {}",
            stderr(&output)
        );
    }
    // The bad value of a pair does not count where a flag says otherwise.
    let output = ringrail(&[
        "serve",
        root,
        "--conf",
        "ringrail.transport.shards=9999",
        "--shards",
        "1",
        "--listen",
        "x",
    ]);
    assert!(
        stderr(&output).contains("cannot listen on x"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_key_that_is_spelt_wrong_is_warned_of() {
    let output = ringrail(&[
        "fetch",
        "rail://127.0.0.1:1",
        "-o",
        "/dev/null/x",
        "--retries",
        "0",
        "--conf",
        "ringrail.block.chunklen=1m",
    ]);
    let text = stderr(&output);
    assert!(
        text.contains("did you mean 'ringrail.block.chunkLen'?"),
        "{text}"
    );
}

#[test]
fn a_fetch_does_what_its_configuration_says() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("from")).unwrap();
    write(dir.path(), "from/data", &"ringrail ".repeat(100_000));
    let conf = write(
        dir.path(),
        "a.conf",
        "ringrail.block.verify false\nringrail.block.chunkLen 64k\nspark.shuffle.io.maxRetries=0\n",
    );
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    let mut server = command(&["serve", from.to_str().unwrap(), "--listen", "127.0.0.1:0"])
        .args(["--conf", "ringrail.transport.shards=1", "--no-pin"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let out = server.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).unwrap();
    let uri = line
        .trim()
        .strip_prefix("listening on ")
        .unwrap()
        .to_owned();
    let fetch = |more: &[&str]| {
        let mut command = command(&["fetch", &uri, "--json", "-o"]);
        command
            .arg(&to)
            .args(more)
            .arg("--properties-file")
            .arg(&conf);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        json
    };
    let first = fetch(&[]);
    assert_eq!(first["verified"], false, "{first}");
    assert_eq!(
        std::fs::read(to.join("data")).unwrap(),
        std::fs::read(from.join("data")).unwrap()
    );
    let second = fetch(&["--conf", "ringrail.block.verify=true", "--resume", "fresh"]);
    assert_eq!(second["verified"], true, "{second}");
    assert_eq!(second["files_kept"], 0, "{second}");
    server.kill().unwrap();
    server.wait().unwrap();
}

#[test]
fn keys_are_listed_and_explained() {
    let all = stdout(&ringrail(&["conf", "list"]));
    let of_spark = |line: &str| line.trim_start().starts_with("spark.");
    assert!(
        all.contains("ringrail.rpc.askTimeout") && !all.lines().any(of_spark),
        "{all}"
    );
    let some = stdout(&ringrail(&["conf", "list", "askTIMEOUT", "--spark"]));
    let keys: Vec<_> = some
        .lines()
        .filter_map(|line| {
            line.split_whitespace()
                .next()
                .filter(|word| word.contains('.'))
        })
        .collect();
    assert_eq!(keys, ["ringrail.rpc.askTimeout", "spark.rpc.askTimeout"]);
    let output = ringrail(&["conf", "list", "--json", "--spark"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = json.as_array().unwrap();
    let row = rows
        .iter()
        .find(|row| row["key"] == "ringrail.rpc.askTimeout")
        .unwrap();
    assert_eq!(row["default"], "that of ringrail.network.timeout");
    assert_eq!(row["variable"], "RINGRAIL_CONF_RPC_ASK_TIMEOUT");
    let names: Vec<_> = row["other_names"].as_array().unwrap().iter().collect();
    assert_eq!(names[0]["key"], "spark.rpc.askTimeout");
    assert_eq!(names[1]["key"], "spark.akka.askTimeout");
    assert_eq!(names[1]["given_up_in_spark"], "1.4");
    for (key, says) in [
        ("ringrail.block.chunkLen", "16k to 64m; a power of two"),
        (
            "spark.akka.frameSize",
            "spark.rpc.message.maxSize has taken its place",
        ),
        ("spark.cache.class", "deprecated as of Spark 0.8"),
        ("spark.akka.threads", "not supported any more"),
    ] {
        let output = ringrail(&["conf", "explain", key]);
        assert!(output.status.success(), "{key}");
        assert!(stdout(&output).contains(says), "{key}: {}", stdout(&output));
    }
    let output = ringrail(&["conf", "explain", "ringrail.rpc.asktimeout"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("did you mean ringrail.rpc.askTimeout?"));
    let output = ringrail(&[
        "conf",
        "explain",
        "spark.network.timeout",
        "--json",
        "--conf",
        "spark.network.timeout=2min",
    ]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["value"], "120s");
    assert_eq!(json["is_set"], true);
    assert_eq!(json["sets"][0], "ringrail.network.timeout");
    let secret = ("RINGRAIL_CONF_SPARK_SSL_RPC_KEY_PASSWORD", "hunter2");
    let shown = value("spark.ssl.rpc.keyPassword", &[], &[secret]);
    assert_eq!(shown, "*********(redacted)");
}

#[test]
fn a_properties_file_is_checked_line_by_line() {
    let dir = tempfile::tempdir().unwrap();
    let bad = write(
        dir.path(),
        "bad.conf",
        "# a comment\n\
         ringrail.rpc.askTimeout   1.5s\n\
         ringrail.rpc.askTimeOut   1s\n\
         spark.akka.frameSize      10\n\
         spark.rpc                 netty\n\
         my.own                    x\n\
         ringrail.network.timeout  5s\n\
         ringrail.network.timeout  6s\n",
    );
    let output = ringrail(&["conf", "check", bad.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    let file = bad.display();
    for (line, says) in [
        (2, "Illegal value for config key ringrail.rpc.askTimeout"),
        (3, "did you mean 'ringrail.rpc.askTimeout'?"),
        (
            4,
            "Please use the new key 'spark.rpc.message.maxSize' instead",
        ),
        (5, "deprecated as of Spark 2.0"),
        (6, "'my.own' is left out"),
        (8, "is set in line 7 already"),
    ] {
        let start = format!("{file}:{line}: ");
        let found = text.lines().find(|found| found.starts_with(&start));
        assert!(
            found.is_some_and(|found| found.contains(says)),
            "line {line}: {text}"
        );
    }
    assert_eq!(text.lines().count(), 6, "{text}");
    let output = ringrail(&["conf", "check", bad.to_str().unwrap(), "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["ok"], false);
    assert_eq!(json["findings"].as_array().unwrap().len(), 6);
    assert_eq!(json["findings"][0]["line"], 2);

    let conflict = write(
        dir.path(),
        "conflict.conf",
        "ringrail.transport.sliceLen=2m\n",
    );
    let output = ringrail(&["conf", "check", conflict.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("must not pass ringrail.transport.maxBodyLen"));

    let good = write(
        dir.path(),
        "good.conf",
        "ringrail.rpc.askTimeout=2s\nspark.app.name=x\n",
    );
    let output = ringrail(&["conf", "check", good.to_str().unwrap()]);
    assert!(output.status.success(), "{}", stdout(&output));
    assert!(stdout(&output).contains("2 keys, nothing wrong"));
    let output = ringrail(&["conf", "check", "/no/such.conf"]);
    assert_eq!(output.status.code(), Some(1));
}
