//! Every limit of a stream is reached, and named; memory is taken for what came, not for what was announced.

use ringrail_codec::java::*;

/// The front of a class descriptor: name, serialVersionUID 0, flags, number of fields.
fn class(name: &str, flags: u8, fields: u16) -> Vec<u8> {
    let mut bytes = vec![0x72];
    bytes.extend((name.len() as u16).to_be_bytes());
    bytes.extend(name.as_bytes());
    bytes.extend([0; 8]);
    bytes.push(flags);
    bytes.extend(fields.to_be_bytes());
    bytes
}

fn stream(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = vec![0xac, 0xed, 0, 5];
    parts.iter().for_each(|part| bytes.extend(*part));
    bytes
}

fn refusal(stream: &[u8], limits: &Limits) -> ReadErrorKind {
    Tree::read(stream, limits).expect_err("beyond a limit").kind
}

fn limit(kind: ReadErrorKind) -> (&'static str, usize, usize) {
    match kind {
        ReadErrorKind::BeyondLimit { name, value, limit } => (name, value, limit),
        other => panic!("{other}"),
    }
}

const OBJECTS: &str = "[Ljava.lang.Object;";

/// The beginning of an array of one array of one array …
fn nested(depth: usize) -> Vec<u8> {
    let mut array = vec![0x75];
    array.extend(class(OBJECTS, 2, 0));
    array.extend([0x78, 0x70, 0, 0, 0, 1]);
    let mut bytes = stream(&[&array]);
    // Its class has the handle 0, itself 1, and so on.
    for _ in 1..depth {
        bytes.extend([0x75, 0x71, 0, 0x7e, 0, 0, 0, 0, 0, 1]);
    }
    bytes.push(0x70);
    bytes
}

#[test]
fn the_defaults_and_the_greatest_are_valid() {
    assert_eq!(Limits::default().check(), Ok(()));
    assert_eq!(Limits::GREATEST.check(), Ok(()));
    let limits = Limits {
        max_depth: 257,
        ..Limits::DEFAULT
    };
    let error = limits.check().expect_err("too deep");
    assert_eq!(error.to_string(), "max_depth = 257 is outside of 32..=256");
}

#[test]
fn a_stream_is_no_longer_than_max_len() {
    let limits = Limits {
        max_len: 10,
        ..Limits::DEFAULT
    };
    let bytes = stream(&[b"\x74\x00\x04text"]);
    assert_eq!(limit(refusal(&bytes, &limits)), ("max_len", 11, 10));
    let tree = Tree::read(&bytes, &Limits::DEFAULT).expect("a stream");
    let mut out = vec![1];
    let error = tree.write(&limits, &mut out).expect_err("too long");
    assert_eq!(error.to_string(), "max_len is 10, and the tree has 11");
    assert_eq!(out, [1], "nothing was appended");
}

#[test]
fn objects_nest_no_deeper_than_max_depth() {
    let deepest = Limits::DEFAULT.max_depth as usize;
    // The class of the first array lies deeper than it.
    let tree = Tree::read(&nested(deepest), &Limits::DEFAULT).expect("not too deep");
    let mut out = Vec::new();
    tree.write(&Limits::DEFAULT, &mut out)
        .expect("not too deep");
    assert_eq!(out, nested(deepest));
    let found = limit(refusal(&nested(deepest + 1), &Limits::DEFAULT));
    assert_eq!(found, ("max_depth", deepest + 1, deepest));
    let shallower = Limits {
        max_depth: 32,
        ..Limits::DEFAULT
    };
    let error = tree.write(&shallower, &mut Vec::new());
    assert!(
        error
            .expect_err("too deep")
            .to_string()
            .starts_with("max_depth is 32")
    );
}

/// An object with an object in its annotation, with one in its own …
fn annotated(depth: usize) -> Vec<u8> {
    let mut bytes = stream(&[&[0x73], &class("A", 3, 0), &[0x78, 0x70]]);
    for _ in 1..depth {
        bytes.extend([0x73, 0x71, 0, 0x7e, 0, 0]);
    }
    bytes.extend(vec![0x78; depth]);
    bytes
}

/// Any thread has room for the greatest depth.
#[test]
fn the_greatest_depth_fits_a_small_stack() {
    let work = || {
        for deep in [nested, annotated] {
            let stream = deep(Limits::GREATEST_DEPTH as usize);
            let tree = Tree::read(&stream, &Limits::GREATEST).expect("not too deep");
            let mut out = Vec::new();
            tree.write(&Limits::GREATEST, &mut out)
                .expect("not too deep");
            assert_eq!(out, stream);
            assert!(Tree::read(&deep(100_000), &Limits::GREATEST).is_err());
        }
    };
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(work);
    thread.expect("started").join().expect("no overflow");
}

#[test]
fn a_tree_has_no_more_parts_than_max_nodes() {
    let limits = Limits {
        max_nodes: 100,
        ..Limits::DEFAULT
    };
    let nulls = stream(&[&[0x70; 101]]);
    assert_eq!(limit(refusal(&nulls, &limits)), ("max_nodes", 101, 100));
    let texts = stream(&[&[0x74, 0, 0].repeat(51)]);
    assert_eq!(limit(refusal(&texts, &limits)).0, "max_nodes");
    let mut annotated = vec![0x73];
    annotated.extend(class("A", 3, 0));
    annotated.extend([0x78, 0x70]);
    annotated.extend([0x70; 101]);
    assert_eq!(
        limit(refusal(&stream(&[&annotated]), &limits)).0,
        "max_nodes"
    );
}

#[test]
fn a_text_is_no_longer_than_max_text_len() {
    let bytes = stream(&[&[0x7c, 0x7f], &[0xff; 7]]);
    let (name, _, limit) = limit(refusal(&bytes, &Limits::DEFAULT));
    assert_eq!((name, limit), ("max_text_len", 4 << 20));
}

#[test]
fn an_array_has_no_more_elements_than_max_elements() {
    for name in ["[J", OBJECTS] {
        let class = class(name, 2, 0);
        let bytes = stream(&[&[0x75], &class, &[0x78, 0x70, 0x7f, 0xff, 0xff, 0xff]]);
        let found = limit(refusal(&bytes, &Limits::DEFAULT));
        assert_eq!(found, ("max_elements", i32::MAX as usize, 1 << 20));
        let bytes = stream(&[&[0x75], &class, &[0x78, 0x70, 0xff, 0xff, 0xff, 0xff]]);
        let negative = ReadErrorKind::NegativeLen { len: -1 };
        assert_eq!(refusal(&bytes, &Limits::DEFAULT), negative);
        let bytes = stream(&[&[0x75], &class, &[0x78, 0x70, 0, 0x10, 0, 0]]);
        let error = refusal(&bytes, &Limits::DEFAULT);
        assert!(matches!(error, ReadErrorKind::Truncated { left: 0, .. }));
    }
}

#[test]
fn a_class_has_no_more_fields_than_max_fields() {
    let bytes = stream(&[&[0x73], &class("A", 2, 1025)]);
    let found = limit(refusal(&bytes, &Limits::DEFAULT));
    assert_eq!(found, ("max_fields", 1025, 1024));
    let proxy = stream(&[&[0x73, 0x7d, 0, 0, 4, 1]]);
    assert_eq!(limit(refusal(&proxy, &Limits::DEFAULT)).0, "max_fields");
}

#[test]
fn a_line_of_superclasses_is_no_longer_than_max_supers() {
    let mut bytes = vec![0x73];
    for _ in 0..40 {
        bytes.extend(class("A", 2, 0));
        bytes.push(0x78);
    }
    bytes.push(0x70);
    let found = limit(refusal(&stream(&[&bytes]), &Limits::DEFAULT));
    assert_eq!(found, ("max_supers", 33, 32));
}

#[test]
fn a_class_is_not_above_itself() {
    let bytes = stream(&[&[0x73], &class("A", 2, 0), &[0x78, 0x71, 0, 0x7e, 0, 0]]);
    let handle = 0x7e_0000;
    assert_eq!(
        refusal(&bytes, &Limits::DEFAULT),
        ReadErrorKind::NoHandle { handle }
    );
    // A tree made by hand, with two classes above each other.
    let mut tree = Tree::new();
    let class = |super_class| {
        Node::Class(Box::new(Class {
            name: "A".into(),
            suid: 0,
            flags: Flags(2),
            fields: Vec::new(),
            annotation: Vec::new(),
            super_class,
        }))
    };
    let first = tree.add(class(None));
    let second = tree.add(class(Some(first)));
    *tree.node_mut(first) = class(Some(second));
    tree.push(Item::Content(Content::Value(Some(first))));
    let error = tree
        .write(&Limits::DEFAULT, &mut Vec::new())
        .expect_err("a circle");
    assert_eq!(error.to_string(), "max_supers is 32, and the tree has 33");
}

#[test]
fn what_java_does_not_write_is_refused() {
    let refused = |parts: &[&[u8]]| refusal(&stream(parts), &Limits::DEFAULT).to_string();
    assert_eq!(
        refusal(b"\0\0\0\x05", &Limits::DEFAULT).to_string(),
        "begins with 00000005 instead of aced0005"
    );
    assert_eq!(
        refused(&[&[0x71, 0, 0x7e, 0, 0]]),
        "back reference 007e0000 to nothing"
    );
    assert_eq!(
        refused(&[&[0x6f]]),
        "type code 6f where an object is expected"
    );
    let flags = refused(&[&[0x73], &class("A", 6, 0)]);
    assert_eq!(flags, "class A: serializable and externalizable at once");
    let old = refused(&[&[0x73], &class("A", 4, 0)]);
    assert_eq!(old, "class A: externalizable data of protocol version 1");
    let plain = refused(&[&[0x73], &class("A", 0, 0), &[0x78, 0x70]]);
    assert_eq!(plain, "class A: an object of a class that has none");
    let constant = refused(&[&[0x7e], &class("A", 2, 0), &[0x78, 0x70]]);
    assert_eq!(constant, "class A: a constant of a class that is no enum");
    let array = refused(&[&[0x75], &class("A", 2, 0), &[0x78, 0x70]]);
    assert_eq!(array, "class A: the class of an array has another name");
    let order = refused(&[&[0x73], &class("A", 2, 2), b"L\0\x01a\x74\0\x01LI\0\x01b"]);
    assert_eq!(order, "class A: a primitive field behind a reference");
    let nested = refused(&[&[0x73], &class("A", 3, 0), &[0x78, 0x70, 0x79]]);
    assert_eq!(nested, "type code 79 where an object is expected");
    assert_eq!(
        refused(&[b"\x74\x00\x01t\x73\x71\x00\x7e\x00\x00"]),
        "back reference 007e0000 to something that is not a class"
    );
}
