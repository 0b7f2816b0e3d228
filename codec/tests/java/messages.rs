//! Spark's messages as Rust structs: read, written again, and written for other versions.

use std::collections::BTreeSet;

use ringrail_codec::java::{Item, Limits, Tree};
use ringrail_codec::spark::rpc::*;

use crate::stored::{Stored, all};

fn read(one: &Stored) -> Message {
    match Message::decode(&one.stream, &Limits::DEFAULT) {
        Ok(message) => message,
        Err(error) => panic!("{}: {error}", one.name),
    }
}

fn written(message: &Message, version: Version) -> Result<Vec<u8>, EncodeError> {
    let mut stream = Vec::new();
    message.encode(version.profile(), &Limits::DEFAULT, &mut stream)?;
    Ok(stream)
}

fn version_of(one: &Stored) -> Version {
    match one.name.starts_with("3.5") {
        true => Version::V3_5,
        false => Version::V4_1,
    }
}

fn named(name: &str) -> Message {
    let all = all();
    let one = all.iter().find(|one| one.name == name);
    read(one.expect("stored"))
}

#[test]
fn every_stored_message_is_one_of_ours() {
    for one in all() {
        assert!(!matches!(read(&one), Message::Other(_)), "{}", one.name);
    }
}

#[test]
fn every_stored_message_is_written_and_read_again() {
    for one in all() {
        let message = read(&one);
        let stream = written(&message, version_of(&one)).expect(&one.name);
        let again = Message::decode(&stream, &Limits::DEFAULT).expect(&one.name);
        assert_eq!(again, message, "{}", one.name);
    }
}

/// A message of one version can be said to another, unless the other does not know the message.
#[test]
fn every_stored_message_is_written_for_every_version() {
    for one in all() {
        let message = read(&one);
        for version in Version::ALL {
            let stream = match written(&message, version) {
                Ok(stream) => stream,
                Err(EncodeError::Object(error)) => {
                    let missing = matches!(error.kind, ConvertErrorKind::NoClass { .. });
                    assert!(missing && version == Version::V3_5, "{}: {error}", one.name);
                    continue;
                }
                Err(error) => panic!("{}: {error}", one.name),
            };
            let tree = Tree::read(&stream, &Limits::DEFAULT).expect(&one.name);
            let whose: Vec<_> = Version::of_tree(&tree).collect();
            assert!(whose.contains(&version), "{} {version:?}", one.name);
            let again = Message::decode(&stream, &Limits::DEFAULT).expect(&one.name);
            if version == version_of(&one) {
                assert_eq!(again, message, "{}", one.name);
            }
        }
    }
}

/// The made messages of both versions have the same values.
#[test]
fn the_same_values_are_read_from_both_versions() {
    let all = all();
    let mut compared = 0;
    for one in all
        .iter()
        .filter(|one| one.name.starts_with("3.5") && one.made)
    {
        let name = one.name.replacen("3.5", "4.1", 1);
        let other = all
            .iter()
            .find(|other| other.name == name)
            .expect("in both");
        // Exceptions and what else is kept differ in their classes.
        if one.name.contains("RpcFailure") || one.name.contains("ERROR") {
            continue;
        }
        assert_eq!(read(one), read(other), "{}", one.name);
        compared += 1;
    }
    assert!(compared > 75);
}

/// If Spark has no choice of form, ours is its own.
#[test]
fn short_messages_have_the_bytes_that_spark_gives_them() {
    let mut differ = BTreeSet::new();
    let mut same = 0;
    for one in all().iter().filter(|one| one.made) {
        let message = read(one);
        let stream = written(&message, version_of(one)).expect(&one.name);
        if stream == one.stream {
            same += 1;
            continue;
        }
        let name = one.name[4..].split(' ').next().expect("a name");
        differ.insert(name.to_owned());
    }
    assert!(same >= 94, "{same}");
    for name in [
        "CheckExistence",
        "Boolean",
        "Integer",
        "RegisterWorker",
        "Heartbeat",
        "KillExecutor",
    ] {
        assert!(!differ.contains(name), "{name}");
    }
    for name in [
        "MasterChanged",
        "ExecutorAdded",
        "SubmitDriverResponse",
        "RequestExecutors",
    ] {
        assert!(!differ.contains(name), "{name}");
    }
}

#[test]
fn a_workers_registration_has_sparks_values() {
    for version in ["3.5", "4.1"] {
        let Message::RegisterWorker(worker) =
            named(&format!("{version} RegisterWorker (resources)"))
        else {
            panic!("another message");
        };
        let address = |host: &str, port| RpcAddress {
            port,
            host: host.into(),
        };
        assert_eq!(worker.id, "worker-20260101000000-10.1.0.2-40001");
        assert_eq!(
            (worker.cores, worker.memory, worker.port),
            (8, 16384, 40001)
        );
        assert_eq!(worker.master_address, address("10.1.0.1", 7077));
        assert_eq!(
            worker.worker,
            NettyRpcEndpointRef::new("Worker", Some(address("10.1.0.2", 40001)), 120)
        );
        let gpu = worker.resources.get("gpu").expect("a gpu");
        assert_eq!(gpu.addresses.0, ["0", "1"]);
    }
}

#[test]
fn an_executors_launch_has_sparks_values() {
    for version in ["3.5", "4.1"] {
        let Message::LaunchExecutor(launch) = named(&format!("{version} LaunchExecutor")) else {
            panic!("another message");
        };
        assert_eq!(launch.master_url, "spark://10.1.0.1:7077");
        assert_eq!((launch.exec_id, launch.rp_id), (3, 0));
        let app = launch.app_desc.clone().into_inner();
        assert_eq!((app.name.as_str(), app.max_cores), ("pi", Some(2)));
        assert_eq!(
            app.command.java_opts,
            ["-Dspark.driver.port=40009", "-Dx=ä"]
        );
        assert_eq!(
            app.command
                .environment
                .get("SPARK_USER")
                .map(String::as_str),
            Some("alice")
        );
        let memory = app.default_profile.executor_resources.get("memory");
        assert_eq!(memory.map(|memory| memory.amount), Some(512));
        assert_eq!(
            app.event_log_dir.map(|uri| uri.string),
            Some("file:/tmp/ev".into())
        );
    }
}

/// Vectors of 2.12 with more than one level, and with a part dropped (`ringrail.Streams vectors`).
#[test]
fn vectors_are_read_to_their_end() {
    let lines = include_str!("../fixtures/scala-vectors.txt").lines();
    let mut read = 0;
    for line in lines {
        let parts: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| parts[at].parse::<usize>().expect("a number");
        let expected: Vec<String> = (number(0)..number(1)).map(|n| n.to_string()).collect();
        let stream = crate::stored::unhex(parts[2]);
        let vector: Vec<String> = decode(&stream, &Limits::DEFAULT).expect("a vector");
        assert_eq!(vector, expected);
        read += 1;
    }
    assert_eq!(read, 6);
}

/// A Master passes on exactly what the driver sent, with whatever it does not know.
#[test]
fn an_application_is_passed_on_byte_for_byte() {
    for version in [Version::V3_5, Version::V4_1] {
        let name = version.profile().property("name").expect("named");
        let Message::RegisterApplication(app) = named(&format!("{name} RegisterApplication"))
        else {
            panic!("another message");
        };
        let Message::LaunchExecutor(mut launch) = named(&format!("{name} LaunchExecutor")) else {
            panic!("another message");
        };
        launch.app_desc = app.app_description;
        let stream = written(&Message::LaunchExecutor(launch), version).expect("written");
        let stored = all();
        let sparks = stored
            .iter()
            .find(|one| one.name == format!("{name} LaunchExecutor"));
        let of = |stream: &[u8]| {
            let tree = Tree::read(stream, &Limits::DEFAULT).expect("a stream");
            let message = tree
                .as_object(tree.object().expect("one"))
                .expect("an object");
            let Some(ringrail_codec::java::FieldValue::Reference(desc)) =
                tree.field(message, "appDesc")
            else {
                panic!("no description");
            };
            let mut alone = Tree::new();
            let root = alone.graft(&tree, desc);
            alone.push(Item::Content(ringrail_codec::java::Content::Value(root)));
            let mut out = Vec::new();
            alone.write(&Limits::DEFAULT, &mut out).expect("written");
            out
        };
        assert_eq!(of(&stream), of(&sparks.expect("stored").stream));
    }
}

#[test]
fn maps_are_equal_in_any_order() {
    let map = |entries: &[(i32, i32)]| entries.iter().copied().collect::<Map<i32, i32>>();
    assert_eq!(map(&[(1, 1), (2, 2)]), map(&[(2, 2), (1, 1)]));
    assert_ne!(map(&[(1, 1), (2, 2)]), map(&[(1, 1), (2, 1)]));
    assert_ne!(map(&[(1, 1), (1, 1)]), map(&[(1, 1), (2, 2)]));
    assert_ne!(map(&[(1, 1)]), map(&[]));
}

/// Maps of every size are written in the forms of both Scalas, and read again.
#[test]
fn maps_of_every_size_come_back() {
    for version in Version::ALL {
        for len in 0..10 {
            let map: Map<String, i32> = (0..len).map(|n| (n.to_string(), n)).collect();
            let mut stream = Vec::new();
            encode(&map, version.profile(), &Limits::DEFAULT, &mut stream).expect("a map");
            let read: Map<String, i32> = decode(&stream, &Limits::DEFAULT).expect("a map");
            assert_eq!(read.0, map.0);
        }
    }
}
