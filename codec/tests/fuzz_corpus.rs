//! Replays the stored corpus of every fuzz target, so that what fuzzing once found stays found.

#[path = "../../tests/fuzz/checks/archive.rs"]
mod archive;
#[path = "../../tests/fuzz/checks/assembly.rs"]
mod assembly;
#[path = "../../tests/fuzz/checks/frame.rs"]
mod frame;
#[path = "../../tests/fuzz/checks/hello.rs"]
mod hello;
#[cfg(feature = "spark")]
#[path = "../../tests/fuzz/checks/java.rs"]
mod java;
#[path = "../../tests/fuzz/checks/spark_auth.rs"]
mod spark_auth;
#[path = "../../tests/fuzz/checks/spark_frame.rs"]
mod spark_frame;
#[path = "../../tests/fuzz/checks/spark_shuffle.rs"]
mod spark_shuffle;

use std::path::Path;

/// Gives every stored input of `target` to `check`, and every beginning of it.
fn replay(target: &str, check: fn(&[u8])) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/fuzz/corpus")
        .join(target);
    let mut replayed = 0;
    for entry in std::fs::read_dir(&dir).expect("the corpus is stored") {
        let path = entry.expect("readable").path();
        let input = std::fs::read(&path).expect("readable");
        for len in 0..=input.len() {
            check(&input[..len]);
        }
        replayed += 1;
    }
    assert!(replayed >= 5, "{replayed} inputs in {}", dir.display());
}

#[test]
fn frames() {
    replay("frame", frame::check);
}

#[test]
fn first_bytes() {
    replay("hello", hello::check);
}

#[test]
fn archives() {
    replay("archive", archive::check);
}

#[test]
fn assemblies() {
    replay("assembly", assembly::check);
}

#[test]
fn sparks_frames() {
    replay("spark_frame", spark_frame::check);
}

#[test]
fn sparks_shuffle_messages() {
    replay("spark_shuffle", spark_shuffle::check);
}

#[test]
fn sparks_handshakes() {
    replay("spark_auth", spark_auth::check);
}

#[cfg(feature = "spark")]
#[test]
fn javas_streams_and_sparks_rpcs() {
    replay("java", java::check);
}
