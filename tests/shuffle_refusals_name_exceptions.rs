//! Refusals of the shuffle service, by the exception that each names. `tests/spark_interop` compares the same with Spark's
//! own service.

#[path = "support/spark_shuffle.rs"]
mod spark_shuffle;

use ringrail::shuffle::MAX_CONNECTION_CHUNKS;
use spark_shuffle::{APP, Disk, Peer};

/// Spark's clients get the first line of a stack trace: the class of an exception, and its text.
#[test]
fn every_refusal_begins_with_an_exceptions_class() {
    let disk = Disk::new();
    let peer = Peer::registered(&disk);
    disk.write_map(0, 1, &[5, 6]);
    disk.write_map(0, 2, &[50]);
    disk.write("shuffle_0_2_0.data", &[1; 49]);
    disk.write("shuffle_0_3_0.index", &[0; 20]);
    let fetch = |map, reduces: &[i32], batch| {
        let handle = peer.fetch(0, &[map], &[reduces], batch)?;
        peer.chunk(handle.stream_id, 0)
    };
    let beyond = |index| peer.chunk(peer.open(&["rdd_1_1"])?.stream_id, index);
    let register = |dirs: &[String]| peer.register(APP, "9", dirs).map(|()| Vec::new());
    let many: Vec<i32> = vec![0; MAX_CONNECTION_CHUNKS + 1];
    let refusals = [
        ("java.lang.SecurityException", register(&["/".to_owned()])),
        ("java.lang.IllegalArgumentException", register(&[])),
        ("java.lang.IndexOutOfBoundsException", fetch(1, &[2], false)),
        (
            "java.lang.IndexOutOfBoundsException",
            fetch(1, &[-1], false),
        ),
        (
            "java.lang.IndexOutOfBoundsException",
            fetch(1, &[i32::MAX], false),
        ),
        (
            "java.lang.IllegalArgumentException",
            fetch(1, &[2, 1], true),
        ),
        (
            "java.lang.ArrayIndexOutOfBoundsException",
            fetch(1, &[1], true),
        ),
        ("java.lang.IllegalArgumentException", peer.chunk(0x7777, 0)),
        ("java.io.EOFException", fetch(2, &[0], false)),
        ("java.lang.RuntimeException", fetch(3, &[0], false)),
        ("java.lang.RuntimeException", fetch(4, &[0], false)),
        ("java.lang.IllegalStateException", beyond(1)),
        (
            "java.lang.IllegalArgumentException",
            peer.ask_bytes(vec![99]),
        ),
        (
            "java.io.IOException",
            fetch(1, &many[1..], false).and_then(|_| fetch(1, &[0, 1], false)),
        ),
    ];
    for (at, (class, refused)) in refusals.into_iter().enumerate() {
        let text = refused.expect_err("refused");
        assert!(text.starts_with(&format!("{class}: ")), "{at}: {text}");
    }
}
