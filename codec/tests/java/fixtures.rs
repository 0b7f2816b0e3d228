//! Every stream that Spark wrote, read and written again, has the same bytes.

use ringrail_codec::java::{Content, Item, Limits, Tree};

use crate::stored::all;

#[test]
fn every_stored_stream_is_written_again_byte_for_byte() {
    let stored = all();
    assert!(stored.len() >= 340);
    for one in stored {
        let tree = Tree::read(&one.stream, &Limits::DEFAULT).expect(&one.name);
        assert!(tree.object().is_some(), "{}", one.name);
        let mut again = Vec::new();
        tree.write(&Limits::DEFAULT, &mut again).expect(&one.name);
        assert!(again == one.stream, "{}", one.name);
    }
}

/// An object that is copied into another tree is written there as it was.
#[test]
fn a_grafted_object_is_written_byte_for_byte() {
    for one in all() {
        let tree = Tree::read(&one.stream, &Limits::DEFAULT).expect(&one.name);
        let mut other = Tree::new();
        other.add_text("in front");
        let root = other.graft(&tree, tree.object().expect("one object"));
        other.push(Item::Content(Content::Value(root)));
        let mut again = Vec::new();
        other.write(&Limits::DEFAULT, &mut again).expect(&one.name);
        assert!(again == one.stream, "{}", one.name);
    }
}
