//! A tree or a file arrives as it was: bytes, names, modes, times, links, empty directories.

mod support;

use std::fs;

use ringrail::block::BlockId;
use ringrail::block::fetch::FetchConf;
use support::{CHUNK, assert_same, conf, data, fetcher, make_tree, serve, write};

#[test]
fn a_tree_arrives_as_it_was() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    make_tree(from.path(), CHUNK);
    let server = serve(from.path());
    let dest = to.path().join("new/dest");
    let report = fetcher(&server, conf())
        .fetch(&BlockId::ROOT, &dest)
        .unwrap();
    assert_same(from.path(), &dest);
    assert!(report.is_complete());
    assert_eq!(report.symlinks, 4);
    let bytes: usize = support::look(from.path()).len();
    assert!(bytes > 0);
}
