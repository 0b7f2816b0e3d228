//! Profiles: valid, complete for our messages, and refused with a line where they are not.

use ringrail_codec::java::{Limits, Profile, Tree};
use ringrail_codec::spark::rpc::{
    ApplicationRemoved, KillDriver, Message, NettyRpcEndpointRef, OrNull, SubmitDriverResponse,
    Version,
};

use crate::stored::all;

#[test]
fn the_profiles_that_are_built_in_are_valid() {
    for (version, name, scala) in [
        (Version::V3_5, "3.5", "2.12"),
        (Version::V4_0, "4.0", "2.13"),
        (Version::V4_1, "4.1", "2.13"),
    ] {
        let profile = version.profile();
        assert_eq!(profile.property("name"), Some(name));
        assert_eq!(profile.property("scala"), Some(scala));
        assert!(profile.classes().count() > 100);
    }
}

/// `CheckExistence` tells 3.x from 4.x, a reference 4.0 from 4.1.
#[test]
fn the_version_of_a_peer_is_seen_in_what_it_says() {
    for one in all() {
        let tree = Tree::read(&one.stream, &Limits::DEFAULT).expect(&one.name);
        let versions: Vec<Version> = Version::of_tree(&tree).collect();
        let own = match one.name.starts_with("3.5") {
            true => Version::V3_5,
            false => Version::V4_1,
        };
        assert!(versions.contains(&own), "{}", one.name);
        if one.name.ends_with(" CheckExistence") {
            let both = vec![Version::V4_0, Version::V4_1];
            let expected = if own == Version::V3_5 {
                vec![own]
            } else {
                both
            };
            assert_eq!(versions, expected);
        }
        if one.name.ends_with(" RegisterWorker") {
            assert_eq!(versions, [own], "{}", one.name);
        }
    }
}

/// Texts that are no profile, with the line and the reason.
const REFUSED: [(&str, usize, &str); 11] = [
    ("name 1\n  I port\n", 2, "a field outside of a class"),
    (
        "class A\n",
        1,
        "a class has a name, a serialVersionUID, flags and perhaps a superclass",
    ),
    ("class A x 02\n", 1, "a serialVersionUID is a hex number"),
    (
        "class A 1 04\n",
        1,
        "externalizable data of protocol version 1",
    ),
    (
        "class A 1 02\n  Q port\n",
        2,
        "a type code is one of BCDFIJSZL[",
    ),
    (
        "class A 1 02\n  I a b\n",
        2,
        "a reference has a type, a primitive field none",
    ),
    (
        "class A 1 02\n  L a LB;\n  I b\n",
        3,
        "a primitive field behind a reference",
    ),
    (
        "class A 1 02\nclass A 1 02\n",
        2,
        "the class before is there twice",
    ),
    (
        "class A 1 02 B\n",
        1,
        "the superclass of a class is missing",
    ),
    (
        "class A 1 02 A\n",
        1,
        "a class has too many superclasses, or is its own",
    ),
    (
        "one two three\n",
        1,
        "neither a class nor a field nor a property",
    ),
];

#[test]
fn what_is_no_profile_is_refused_with_its_line() {
    for (text, line, what) in REFUSED {
        let error = Profile::parse(text).expect_err(text);
        assert_eq!((error.line, error.what), (line, what), "{text}");
    }
    Profile::parse("# a comment\n\nname 1\n").expect("a profile");
}

/// A profile without a field takes null for it, and nothing else.
#[test]
fn a_field_that_a_version_lacks_is_named() {
    let text = "name 9\nclass org.apache.spark.deploy.DeployMessages$ApplicationRemoved 1 02\n";
    let profile = Profile::parse(text).expect("a profile");
    let removed = Message::from(ApplicationRemoved {
        message: "KILLED".into(),
    });
    let mut out = vec![1];
    let error = removed.encode(&profile, &Limits::DEFAULT, &mut out);
    let expected = "version 9 has no such field message in org.apache.spark.deploy.DeployMessages$ApplicationRemoved";
    assert_eq!(error.expect_err("no field").to_string(), expected);
    assert_eq!(out, [1], "nothing was appended");
    let heartbeat = Message::from(KillDriver {
        driver_id: "driver".into(),
    });
    let error = heartbeat.encode(&profile, &Limits::DEFAULT, &mut out);
    let expected = "version 9 has no class org.apache.spark.deploy.DeployMessages$KillDriver";
    assert_eq!(error.expect_err("no class").to_string(), expected);
}

/// A submitting client says nothing that tells 4.0 from 4.1: it is answered with what both have.
#[test]
fn the_answer_to_a_client_of_unknown_version_fits_both() {
    let common = Version::V4_0.profile().common(Version::V4_1.profile());
    assert_eq!(common.property("name"), Some("4.0 or 4.1"));
    assert_eq!(common.property("scala"), Some("2.13"));
    let mut master = NettyRpcEndpointRef::new("Master", None, 10);
    let answer = |master: &NettyRpcEndpointRef| {
        let answer = Message::from(SubmitDriverResponse {
            success: true,
            driver_id: None,
            master: master.clone(),
            message: String::new(),
        });
        let mut stream = Vec::new();
        let encoded = answer.encode(&common, &Limits::DEFAULT, &mut stream);
        encoded.map(|()| stream)
    };
    let error = answer(&master).expect_err("the timeout lies in the class that differs");
    assert!(
        error
            .to_string()
            .contains("no such field defaultAskTimeout"),
        "{error}"
    );
    master.default_ask_timeout = OrNull(None);
    let stream = answer(&master).expect("without it");
    let tree = Tree::read(&stream, &Limits::DEFAULT).expect("a stream");
    let versions: Vec<Version> = Version::of_tree(&tree).collect();
    assert_eq!(versions, [Version::V4_0, Version::V4_1]);
}
