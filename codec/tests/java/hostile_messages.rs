//! Messages of peers that lie: refused with the place, and never with more memory than allowed.

use ringrail_codec::java::*;
use ringrail_codec::spark::rpc::*;

use crate::stored::all;

fn stored(name: &str) -> Tree {
    let all = all();
    let one = all.iter().find(|one| one.name == name).expect("stored");
    Tree::read(&one.stream, &Limits::DEFAULT).expect("a stream")
}

fn refusal(tree: Tree) -> ConvertError {
    let object = tree.object().expect("one object");
    Message::read(&Reader::new(tree), object).expect_err("no message")
}

/// Changes the fields of the message.
fn message_mut(tree: &mut Tree) -> &mut Object {
    let root = tree.object().expect("one object").expect("not null");
    match tree.node_mut(root) {
        Node::Object(object) => object,
        other => panic!("{other:?}"),
    }
}

#[test]
fn null_is_refused_where_sparks_own_code_would_fail() {
    let mut tree = stored("3.5 CheckExistence");
    message_mut(&mut tree).levels[0].fields[0] = FieldValue::Reference(None);
    assert_eq!(refusal(tree).to_string(), "name: null");
}

#[test]
fn an_object_of_another_class_is_refused() {
    let mut tree = stored("4.1 RegisterWorker");
    let root = tree.object().expect("one");
    let fields = &mut message_mut(&mut tree).levels[0].fields;
    fields[5] = FieldValue::Reference(root);
    let expected = "masterAddress: org.apache.spark.deploy.DeployMessages$RegisterWorker \
                    where org.apache.spark.rpc.RpcAddress is expected";
    assert_eq!(refusal(tree).to_string(), expected);
}

#[test]
fn a_constant_that_does_not_exist_is_refused() {
    for version in ["3.5", "4.1"] {
        let mut tree = stored(&format!("{version} ExecutorStateChanged (RUNNING)"));
        let message = message_mut(&mut tree).clone();
        let Some(FieldValue::Reference(Some(state))) = tree.field(&message, "state") else {
            panic!("no state");
        };
        let Node::Object(constant) = tree.node_mut(state) else {
            panic!("no object");
        };
        constant.levels[1].fields[0] = FieldValue::Int(7);
        let expected = "state: org.apache.spark.deploy.ExecutorState$ has no constant 7";
        assert_eq!(refusal(tree).to_string(), expected);
    }
}

/// The constant of another enumeration has a number too.
#[test]
fn a_constant_of_another_enumeration_is_refused() {
    for version in ["3.5", "4.1"] {
        let mut tree = stored(&format!("{version} ExecutorStateChanged (RUNNING)"));
        let other = stored(&format!("{version} DriverStateChanged (FINISHED)"));
        let message = other
            .as_object(other.object().expect("one"))
            .expect("an object");
        let Some(FieldValue::Reference(state)) = other.field(message, "state") else {
            panic!("no state");
        };
        let state = tree.graft(&other, state);
        let fields = &mut message_mut(&mut tree).levels[0].fields;
        *fields.last_mut().expect("the state") = FieldValue::Reference(state);
        let expected = "state: org.apache.spark.deploy.master.DriverState$ \
                        where org.apache.spark.deploy.ExecutorState$ is expected";
        assert_eq!(refusal(tree).to_string(), expected);
    }
}

/// A field that the peer's class does not have is null or 0, as for Java.
#[test]
fn a_field_that_is_left_out_is_null_or_0() {
    let mut tree = stored("3.5 KillExecutor");
    let class = message_mut(&mut tree).class;
    message_mut(&mut tree).levels[0].fields.remove(0);
    let Node::Class(class) = tree.node_mut(class) else {
        panic!("no class");
    };
    class.fields.remove(0);
    let object = tree.object().expect("one");
    let kill = KillExecutor::read(&Reader::new(tree), object).expect("a message");
    assert_eq!(
        (kill.exec_id, kill.app_id.as_str()),
        (0, "app-20260101000000-0000")
    );
}

/// Few bytes that refer to one text a hundred thousand times do not become gigabytes.
#[test]
fn values_take_no_more_memory_than_their_limit() {
    let mut tree = stored("3.5 DecommissionWorkers");
    let big = tree.add_text(&"x".repeat(60_000));
    let array = tree.nodes().position(|node| matches!(node, Node::Array(_)));
    let message = message_mut(&mut tree).clone();
    let Some(FieldValue::Reference(Some(ids))) = tree.field(&message, "ids") else {
        panic!("no ids");
    };
    assert!(array.is_none(), "a list");
    let Node::Object(list) = tree.node_mut(ids) else {
        panic!("no list");
    };
    let level = list.levels.last_mut().expect("a level");
    let element = Content::Value(Some(big));
    level.annotation.splice(0..0, vec![element; 100_000]);
    let mut stream = Vec::new();
    tree.write(&Limits::DEFAULT, &mut stream).expect("small");
    assert!(stream.len() < 700_000);
    let error = Message::decode(&stream, &Limits::DEFAULT).expect_err("too much");
    let expected = "ids: the values take more than 67108864 bytes (MAX_VALUE_LEN)";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_sequence_whose_count_lies_is_refused() {
    let mut tree = stored("4.1 WorkerLatestState (empty)");
    let message = message_mut(&mut tree).clone();
    let Some(FieldValue::Reference(Some(ids))) = tree.field(&message, "driverIds") else {
        panic!("no ids");
    };
    let Node::Object(list) = tree.node_mut(ids) else {
        panic!("no list");
    };
    list.levels[0].annotation[0] = Content::Block(i32::MAX.to_be_bytes().into());
    let expected = "driverIds: scala.collection.generic.DefaultSerializationProxy: \
                    its count is not that of its elements";
    assert_eq!(refusal(tree).to_string(), expected);
}

/// An object of a class that we do not know is passed on as it is.
#[test]
fn an_unknown_message_is_kept() {
    let mut tree = stored("3.5 CheckExistence");
    let class = message_mut(&mut tree).class;
    let Node::Class(class) = tree.node_mut(class) else {
        panic!("no class");
    };
    class.name = "com.example.Unknown".into();
    let mut stream = Vec::new();
    tree.write(&Limits::DEFAULT, &mut stream).expect("written");
    let message = Message::decode(&stream, &Limits::DEFAULT).expect("kept");
    let Message::Other(kept) = &message else {
        panic!("{message:?}");
    };
    assert_eq!(kept.class_name().as_deref(), Some("com.example.Unknown"));
    let mut again = Vec::new();
    let profile = Version::V4_1.profile();
    message
        .encode(profile, &Limits::DEFAULT, &mut again)
        .expect("written");
    assert_eq!(again, stream);
}

/// An exception of Spark's goes to another version as a `RuntimeException`, one of Java's as it is.
#[test]
fn exceptions_cross_versions() {
    let crossed = |name: &str, to: Version| {
        let tree = stored(name);
        let object = tree.object().expect("one");
        let message = Message::read(&Reader::new(tree), object).expect("a message");
        let mut stream = Vec::new();
        message
            .encode(to.profile(), &Limits::DEFAULT, &mut stream)
            .expect("written");
        Message::decode(&stream, &Limits::DEFAULT).expect("a message")
    };
    for (name, to) in [
        ("3.5 RpcFailure", Version::V4_1),
        ("4.1 RpcFailure", Version::V3_5),
    ] {
        let Message::RpcFailure(failure) = crossed(name, to) else {
            panic!("another message");
        };
        let expected = "java.lang.RuntimeException: org.apache.spark.SparkException: boom";
        assert_eq!(failure.e.to_string(), expected);
    }
    let Message::DriverStatusResponse(status) =
        crossed("3.5 DriverStatusResponse (ERROR)", Version::V4_1)
    else {
        panic!("another message");
    };
    assert_eq!(
        status.exception.expect("one").to_string(),
        "java.lang.Exception: bad"
    );
}
