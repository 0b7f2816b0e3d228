//! Java's own serialisation and Spark's own classes against the codec's.

use std::io::{Seek, Write};

use ringrail::codec::java::{Limits, Tree};
use ringrail::codec::spark::rpc::{Message, Version as Classes, decode};
use ringrail_spark_peers::{Install, Version};
use serde_json::Value;

use crate::support::install;
use crate::trees;

/// The answer of a Java program to these lines.
fn answers(install: &Install, class: &str, args: &[&str], lines: &str) -> String {
    let mut input = tempfile::tempfile().expect("a file");
    input.write_all(lines.as_bytes()).expect("room");
    input.rewind().expect("at the front");
    let mut command = install.java(class, &["-Xmx256m"]);
    let output = command.args(args).stdin(input).output().expect("started");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).expect("text")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16).expect("a hex digit") as u8;
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}

fn written(tree: &Tree) -> Vec<u8> {
    let mut stream = Vec::new();
    tree.write(&Limits::DEFAULT, &mut stream).expect("written");
    stream
}

#[test]
#[ignore = "needs Spark: see .ci/spark"]
fn every_sort_of_object_that_java_writes_is_written_again() {
    let made = answers(&install(Version::V3_5), "ringrail.Streams", &["made"], "");
    let mut read = 0;
    for line in made.lines() {
        let (name, stream) = line.split_once(' ').expect("a name and a stream");
        if name != "abortedWithin" {
            let stream = unhex(stream);
            let tree = Tree::read(&stream, &Limits::DEFAULT).expect(name);
            assert!(written(&tree) == stream, "{name}");
            read += 1;
        }
    }
    assert!(read >= 28, "{read}");
}

#[test]
#[ignore = "needs Spark: see .ci/spark"]
fn java_reads_any_tree_and_writes_the_same_bytes() {
    let streams: Vec<String> = (0..500)
        .map(|seed| hex(&written(&trees::tree(seed, seed as usize % 60))))
        .collect();
    let lines = streams.join("\n") + "\n";
    let again = answers(
        &install(Version::V3_5),
        "ringrail.Streams",
        &["again"],
        &lines,
    );
    assert_eq!(again.lines().count(), streams.len());
    for (seed, (again, stream)) in again.lines().zip(&streams).enumerate() {
        assert!(again == stream, "seed {seed}:\n{stream}\n{again}");
    }
}

/// The Java streams of the messages that a version of Spark has made.
fn stored(version: Version) -> Vec<(String, String)> {
    let text = match version {
        Version::V3_5 => include_str!("../../codec/tests/fixtures/spark-rpc-messages-3.5.json"),
        Version::V4_1 => include_str!("../../codec/tests/fixtures/spark-rpc-messages-4.1.json"),
    };
    let list: Vec<Value> = serde_json::from_str(text).expect("a list");
    let made = list.iter().filter(|one| one["source"] == "made");
    let stored = made.map(|one| {
        let text = |name: &str| one[name].as_str().expect("a text").to_owned();
        let body = text("bytes");
        let start = (0..body.len())
            .step_by(2)
            .find(|at| body[*at..].starts_with("aced0005"));
        (text("name"), body[start.expect("a stream")..].to_owned())
    });
    stored.collect()
}

fn classes(version: Version) -> Classes {
    match version {
        Version::V3_5 => Classes::V3_5,
        Version::V4_1 => Classes::V4_1,
    }
}

/// Messages of `from`, read and written for `to`, are for `to`'s own classes the same as those that it has made
/// itself with the same values.
fn messages_are_the_same(from: Version, to: Version) {
    let own = stored(to);
    let mut lines = String::new();
    let mut names = Vec::new();
    for (name, stream) in stored(from) {
        let Some((_, expected)) = own.iter().find(|(own, _)| *own == name) else {
            continue;
        };
        let message = Message::decode(&unhex(&stream), &Limits::DEFAULT).expect(&name);
        let mut ours = Vec::new();
        let profile = classes(to).profile();
        message
            .encode(profile, &Limits::DEFAULT, &mut ours)
            .expect(&name);
        lines += &format!("{} {expected}\n", hex(&ours));
        names.push(name);
    }
    assert!(names.len() > 80, "{}", names.len());
    let same = answers(&install(to), "ringrail.Streams", &["same"], &lines);
    let same: Vec<&str> = same.lines().collect();
    let mut differences = Vec::new();
    for (name, same) in names.iter().zip(&same) {
        // The other version need not have the class of Spark's exception: it is in the message.
        let exception = from != to && name == "RpcFailure" && same.contains("RuntimeException");
        if *same != "same" && !exception {
            differences.push(format!("{name}{same}"));
        }
    }
    assert_eq!(differences, Vec::<String>::new());
    assert_eq!(same.len(), names.len());
}

#[test]
#[ignore = "needs Spark: see .ci/spark"]
fn spark_3_5_reads_its_messages_as_we_write_them() {
    messages_are_the_same(Version::V3_5, Version::V3_5);
}

#[test]
#[ignore = "needs Spark: see .ci/spark"]
fn spark_4_1_reads_its_messages_as_we_write_them() {
    messages_are_the_same(Version::V4_1, Version::V4_1);
}

#[test]
#[ignore = "needs Spark: see .ci/spark"]
fn spark_4_1_reads_what_spark_3_5_said() {
    messages_are_the_same(Version::V3_5, Version::V4_1);
}

#[test]
#[ignore = "needs Spark: see .ci/spark"]
fn spark_3_5_reads_what_spark_4_1_said() {
    messages_are_the_same(Version::V4_1, Version::V3_5);
}

/// Vectors of every depth, and with a part dropped, in both versions.
#[test]
#[ignore = "needs Spark: see .ci/spark"]
fn vectors_are_read_to_their_end() {
    for version in [Version::V3_5, Version::V4_1] {
        let made = answers(&install(version), "ringrail.Streams", &["vectors"], "");
        assert_eq!(made.lines().count(), 12);
        for line in made.lines() {
            let parts: Vec<&str> = line.split(' ').collect();
            let number = |at: usize| parts[at].parse::<usize>().expect("a number");
            let numbers = number(0)..number(1);
            let read = decode::<Vec<String>>(&unhex(parts[2]), &Limits::DEFAULT);
            let expected: Vec<String> = numbers.map(|n| n.to_string()).collect();
            assert!(
                read.expect("a vector") == expected,
                "{} {}",
                parts[0],
                parts[1]
            );
        }
    }
}

/// The profiles that are built in are those of the jars.
#[test]
#[ignore = "needs Spark: see .ci/spark"]
fn profiles_are_those_of_the_jars() {
    let names = include_str!("../../codec/src/spark/rpc/profiles/classes");
    let profiles = [
        (
            Version::V3_5,
            "2.12",
            include_str!("../../codec/src/spark/rpc/profiles/3.5"),
        ),
        (
            Version::V4_1,
            "2.13",
            include_str!("../../codec/src/spark/rpc/profiles/4.1"),
        ),
    ];
    for (version, scala, stored) in profiles {
        let args = [version.name(), scala];
        let made = answers(&install(version), "ringrail.Profile", &args, names);
        assert!(
            made == stored,
            "the profile of {} differs from its jars",
            version.name()
        );
    }
}
