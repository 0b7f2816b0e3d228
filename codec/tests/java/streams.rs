//! Any stream that Java writes is read and written again; what is no stream is refused with a reason.

use proptest::prelude::*;
use ringrail_codec::java::*;

use crate::stored::unhex;
use crate::trees;

/// Streams that Java wrote (`ringrail.Streams made`): a name and the bytes.
fn made() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    let lines = include_str!("../fixtures/java-streams.txt").lines();
    lines.map(|line| {
        let (name, hex) = line.split_once(' ').expect("a name and a stream");
        (name, unhex(hex))
    })
}

fn named(name: &str) -> Vec<u8> {
    let found = made().find(|(own, _)| *own == name);
    found.expect("stored").1
}

fn written(tree: &Tree) -> Vec<u8> {
    let mut out = Vec::new();
    tree.write(&Limits::DEFAULT, &mut out).expect("written");
    out
}

#[test]
fn every_sort_of_object_is_written_again_byte_for_byte() {
    let mut read = 0;
    for (name, stream) in made().filter(|(name, _)| *name != "abortedWithin") {
        let tree = Tree::read(&stream, &Limits::DEFAULT).expect(name);
        assert!(written(&tree) == stream, "{name}");
        read += 1;
    }
    assert!(read >= 27, "{read}");
}

#[test]
fn a_writer_that_gave_up_within_an_object_is_named() {
    let error = Tree::read(&named("abortedWithin"), &Limits::DEFAULT).expect_err("no object");
    let ReadErrorKind::Aborted { class, message } = error.kind else {
        panic!("{error}");
    };
    assert_eq!(class, "java.io.NotSerializableException");
    assert_eq!(message, "java.lang.Object");
}

#[test]
fn a_writer_that_gave_up_between_objects_is_seen() {
    let tree = Tree::read(&named("aborted"), &Limits::DEFAULT).expect("a stream");
    let [_, Item::Exception(exception)] = tree.items() else {
        panic!("{:?}", tree.items());
    };
    let class = tree.class_of(*exception).expect("an exception");
    assert!(class.name.is("java.io.NotSerializableException"));
}

#[test]
fn a_reset_begins_handles_again() {
    let tree = Tree::read(&named("reset"), &Limits::DEFAULT).expect("a stream");
    let resets = tree
        .items()
        .iter()
        .filter(|item| matches!(item, Item::Reset));
    assert_eq!(resets.count(), 1);
    // Without the reset the second text would have been a reference.
    let texts = tree.nodes().filter(|node| matches!(node, Node::Text(_)));
    assert_eq!(texts.count(), 2);
}

#[test]
fn a_circle_is_one_node() {
    let tree = Tree::read(&named("cycle"), &Limits::DEFAULT).expect("a stream");
    let root = tree.object().expect("one object");
    let knot = tree.as_object(root).expect("a knot");
    assert_eq!(tree.field(knot, "left"), Some(FieldValue::Reference(root)));
}

#[test]
fn texts_keep_what_no_rust_string_can_hold() {
    let tree = Tree::read(&named("text"), &Limits::DEFAULT).expect("a stream");
    let text = tree.text(tree.object().expect("one")).expect("a text");
    assert_eq!(text.to_str(), None);
    assert_eq!(text.to_str_lossy(), "\0aä€😀\u{fffd}");
    for text in ["", "\0", "plain", "ä€😀", "\u{ffff}\u{10ffff}"] {
        assert_eq!(Text::from(text).to_str().expect("whole"), text);
        assert!(Text::from(text).is(text));
    }
}

#[test]
fn only_modified_utf_8_is_a_text() {
    let good: [&[u8]; 5] = [
        b"",
        b"\xc0\x80",
        b"\xdf\xbf",
        b"\xe0\xa0\x80",
        b"\xed\xa0\x80",
    ];
    for bytes in good {
        let text = Text::from_modified_utf8(bytes).expect("modified UTF-8");
        assert_eq!(text.as_bytes(), bytes);
    }
    let bad: [&[u8]; 8] = [
        b"\0",
        b"\x80",
        b"\xc0\x81",
        b"\xc1\xbf",
        b"\xe0\x9f\xbf",
        b"\xc3",
        b"\xe2\x82",
        "😀".as_bytes(),
    ];
    for bytes in bad {
        let error = Text::from_modified_utf8(bytes).expect_err("no modified UTF-8");
        assert_eq!(error, ReadErrorKind::NotModifiedUtf8);
    }
}

/// From 65536 bytes on a text has a length of eight bytes.
#[test]
fn texts_have_the_shorter_form_that_holds_them() {
    for (len, code) in [(65535, 0x74), (65536, 0x7c)] {
        let mut tree = Tree::new();
        let text = tree.add_text(&"x".repeat(len));
        tree.push(Item::Content(Content::Value(Some(text))));
        let stream = written(&tree);
        assert_eq!(stream[4], code);
        let again = Tree::read(&stream, &Limits::DEFAULT).expect("a stream");
        assert_eq!(written(&again), stream);
    }
}

proptest! {
    #[test]
    fn any_tree_is_read_as_it_was_written(seed: u64, size in 0_usize..60) {
        let tree = trees::tree(seed, size);
        let stream = written(&tree);
        let again = Tree::read(&stream, &Limits::DEFAULT).expect("a stream");
        prop_assert_eq!(written(&again), stream);
    }

    #[test]
    fn any_text_comes_back(text: String) {
        let java = Text::from(text.as_str());
        prop_assert_eq!(java.to_str().expect("whole"), text.as_str());
        let again = Text::from_modified_utf8(java.as_bytes()).expect("modified UTF-8");
        prop_assert_eq!(again, java);
    }

    /// A stream with some bytes changed is refused, or is another stream; it is never a panic.
    #[test]
    fn damage_does_no_harm(seed: u64, at: prop::sample::Index, bytes: [u8; 3]) {
        let mut stream = written(&trees::tree(seed, 12));
        let at = at.index(stream.len() - 3);
        stream[at..at + 3].copy_from_slice(&bytes);
        if let Ok(tree) = Tree::read(&stream, &Limits::DEFAULT) {
            let again = written(&tree);
            let read = Tree::read(&again, &Limits::DEFAULT).expect("just written");
            prop_assert_eq!(written(&read), again);
        }
    }
}

/// Java takes no reference in place of a constant's name.
#[test]
fn the_name_of_a_constant_is_a_text_of_its_own() {
    let stream = named("constant");
    let mut tree = Tree::read(&stream, &Limits::DEFAULT).expect("a stream");
    let constants = tree.nodes().filter_map(|node| match node {
        Node::Enum { class, name } => Some((*class, *name)),
        _ => None,
    });
    let (class, name) = constants.last().expect("a constant");
    let second = tree.add(Node::Enum { class, name });
    tree.push(Item::Content(Content::Value(Some(second))));
    let error = tree.write(&Limits::DEFAULT, &mut Vec::new());
    let expected = "a node that is not a text of the constant's own";
    assert_eq!(error.expect_err("refused").to_string(), expected);

    let mut class = b"\xac\xed\x00\x05\x74\x00\x01A\x7e\x72\x00\x01E".to_vec();
    class.extend([0; 8]);
    class.extend(b"\x12\x00\x00\x78\x70\x71\x00\x7e\x00\x00");
    let error = Tree::read(&class, &Limits::DEFAULT).expect_err("refused");
    let expected = "type code 71 where the name of a constant is expected";
    assert_eq!(error.kind.to_string(), expected);
}
