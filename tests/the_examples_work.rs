//! The programs of `docs/examples` do what they say.
#![allow(
    dead_code,
    reason = "each example has a main of its own, which is not called here"
)]

#[path = "../docs/examples/chunks_of_a_file.rs"]
mod chunks_of_a_file;
#[path = "../docs/examples/echo_from_threads.rs"]
mod echo_from_threads;
#[path = "../docs/examples/echo_from_tokio.rs"]
mod echo_from_tokio;

#[test]
fn threads_get_their_echoes() {
    assert_eq!(echo_from_threads::run(3, 50).unwrap(), 150);
}

#[test]
fn tasks_get_their_echoes() {
    assert_eq!(echo_from_tokio::run(100).unwrap(), 101);
}

#[test]
fn a_file_comes_in_chunks() {
    for len in [0, 1, 512 << 10, (2 << 20) + 12_345] {
        let content: Vec<u8> = (0..len).map(|at: usize| (at * 31 / 7) as u8).collect();
        let (got, _) = chunks_of_a_file::run(&content).unwrap();
        assert!(got == content, "{len} bytes");
    }
}
