//! A tree or a file arrives as it was: bytes, names, modes, times, links, empty directories.

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ringrail::block::BlockId;
use ringrail::block::digest::to_hex;
use ringrail::block::fetch::{FetchConf, FetchEvent, Resume};
use support::{CHUNK, assert_same, conf, data, fetcher, make_tree, serve, write};

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

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
    assert_eq!(
        (report.symlinks, report.files_kept, report.retries),
        (4, 0, 0)
    );
}

#[test]
fn it_arrives_the_same_however_it_is_cut_and_carried() {
    let from = tempfile::tempdir().unwrap();
    make_tree(from.path(), CHUNK);
    write(from.path(), "large", 9 << 20);
    let server = serve(from.path());
    for (connections, in_flight, chunk_len, max_bytes, verify) in [
        (1, 1, 16 << 10, 0, true),
        (3, 16, 16 << 10, 1 << 20, true),
        (2, 4, 4 << 20, 64 << 20, true),
        (8, 2, 1 << 20, 1, true),
        (4, 4, 64 << 10, 64 << 20, false),
    ] {
        let to = tempfile::tempdir().unwrap();
        let conf = FetchConf {
            connections,
            in_flight,
            chunk_len,
            max_bytes_in_flight: max_bytes,
            verify,
            ..conf()
        };
        fetcher(&server, conf.clone())
            .fetch(&BlockId::ROOT, to.path())
            .unwrap();
        assert_same(from.path(), to.path());
        assert!(!to.path().join(".ringrail-fetch").exists(), "{conf:?}");
    }
}

#[test]
fn a_part_of_the_tree_can_be_fetched() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    make_tree(from.path(), CHUNK);
    let server = serve(from.path());
    fetcher(&server, conf())
        .fetch(&"a/b".parse().unwrap(), to.path())
        .unwrap();
    assert_same(&from.path().join("a/b"), to.path());
}

#[test]
fn a_file_goes_to_the_path_or_into_the_directory_given() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let len = 3 * CHUNK + 7;
    write(from.path(), "dir/file", len);
    write(from.path(), "dir/empty", 0);
    let server = serve(from.path());
    let fetch = |id: &str, dest: &Path| {
        let report = fetcher(&server, conf())
            .fetch(&id.parse().unwrap(), dest)
            .unwrap();
        assert_eq!(report.files, 1);
        report
    };
    let report = fetch("dir/file", &to.path().join("renamed"));
    fetch("dir/file", to.path());
    fetch("dir/file", &to.path().join("new/inner/"));
    fetch("dir/empty", &to.path().join("nothing"));
    for path in ["renamed", "file", "new/inner/file"] {
        assert_eq!(
            fs::read(to.path().join(path)).unwrap(),
            data("dir/file", len),
            "{path}"
        );
    }
    assert_eq!(fs::read(to.path().join("nothing")).unwrap(), b"");
    let digest = blake3::hash(&data("dir/file", len)).to_hex().to_string();
    assert_eq!(
        report.digest.as_ref().map(to_hex),
        Some(digest),
        "that of the whole file"
    );
    let mut left = names(to.path());
    left.sort();
    assert_eq!(
        left,
        ["file", "new", "nothing", "renamed"],
        "no stage is left"
    );
}

#[test]
fn a_manifest_of_many_pages_arrives_whole() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for dir in 0..40 {
        let dir = from.path().join(format!("{dir:02}-{}", "d".repeat(100)));
        fs::create_dir(&dir).unwrap();
        for file in 0..150 {
            fs::write(dir.join(format!("{file:03}-{}", "f".repeat(150))), "").unwrap();
        }
    }
    let server = serve(from.path());
    let report = fetcher(&server, conf())
        .fetch(&BlockId::ROOT, to.path())
        .unwrap();
    assert_eq!(report.files, 6000);
    assert_same(from.path(), to.path());
}

#[test]
fn what_is_there_already_is_kept_or_replaced() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    make_tree(from.path(), CHUNK);
    let server = serve(from.path());
    let fetch = |resume| {
        let conf = FetchConf { resume, ..conf() };
        fetcher(&server, conf)
            .fetch(&BlockId::ROOT, to.path())
            .unwrap()
    };
    let first = fetch(Resume::Continue);
    let second = fetch(Resume::Continue);
    assert_eq!((second.files, second.bytes), (0, 0));
    assert_eq!(second.files_kept, first.files);

    // Shorter, of another mode, of other bytes at the same length and time.
    fs::write(to.path().join("sizes/4095"), "short").unwrap();
    fs::set_permissions(
        to.path().join("sizes/4096"),
        fs::Permissions::from_mode(0o600),
    )
    .unwrap();
    let third = fetch(Resume::Continue);
    assert_eq!(third.files, 1);
    assert_same(from.path(), to.path());

    let forged = to.path().join("many/100");
    let time = fs::metadata(&forged).unwrap().modified().unwrap();
    fs::write(&forged, vec![0; 3700]).unwrap();
    fs::File::options()
        .append(true)
        .open(&forged)
        .unwrap()
        .set_modified(time)
        .unwrap();
    assert_eq!(
        fetch(Resume::Continue).files,
        0,
        "length and time are all it looks at"
    );
    assert_eq!(
        fetch(Resume::Recheck).files,
        1,
        "now it has looked at the bytes"
    );
    assert_same(from.path(), to.path());
    assert_eq!(fetch(Resume::Fresh).files, first.files);
    assert_same(from.path(), to.path());
}

#[test]
fn what_is_in_the_way_of_a_file_is_replaced_but_never_written_through() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let outside = tempfile::tempdir().unwrap();
    write(from.path(), "f", 100);
    symlink("f", from.path().join("l")).unwrap();
    fs::write(outside.path().join("victim"), "untouched").unwrap();
    symlink(outside.path().join("victim"), to.path().join("f")).unwrap();
    fs::write(to.path().join("l"), "a file where a link belongs").unwrap();
    let server = serve(from.path());
    fetcher(&server, conf())
        .fetch(&BlockId::ROOT, to.path())
        .unwrap();
    assert_same(from.path(), to.path());
    assert_eq!(
        fs::read(outside.path().join("victim")).unwrap(),
        b"untouched"
    );
}

#[test]
fn every_file_has_one_outcome_and_every_byte_is_told() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    make_tree(from.path(), CHUNK);
    let server = serve(from.path());
    let (done, bytes, planned) = <(Arc<AtomicU64>, Arc<AtomicU64>, Arc<AtomicU64>)>::default();
    let counters = (Arc::clone(&done), Arc::clone(&bytes), Arc::clone(&planned));
    let fetcher = fetcher(&server, conf()).on_event(move |event| match event {
        FetchEvent::FileDone { .. } => _ = counters.0.fetch_add(1, Ordering::Relaxed),
        FetchEvent::Progress {
            bytes,
            resumed: false,
        } => {
            counters.1.fetch_add(*bytes, Ordering::Relaxed);
        }
        FetchEvent::Planned { bytes, .. } => counters.2.store(*bytes, Ordering::Relaxed),
        other => panic!("{other:?}"),
    });
    let report = fetcher.fetch(&BlockId::ROOT, to.path()).unwrap();
    assert_eq!(done.load(Ordering::Relaxed), report.files);
    assert_eq!(bytes.load(Ordering::Relaxed), report.bytes);
    assert_eq!(planned.load(Ordering::Relaxed), report.bytes);
}

#[test]
fn a_file_that_the_server_cannot_give_fails_alone() {
    // A file that vanishes between the listing and the opening, seen from the store's side.
    let store = Arc::new(support::Vanishing::of(&[
        ("a", 10),
        ("gone", 10),
        ("z", 200_000),
    ]));
    let server = support::serve_store(store);
    let to = tempfile::tempdir().unwrap();
    let report = fetcher(&server, conf())
        .fetch(&BlockId::ROOT, to.path())
        .unwrap();
    assert!(!report.is_complete());
    assert_eq!((report.files, report.failed), (2, 1));
    assert_eq!(report.failures[0].path.to_string(), "gone");
    assert!(
        report.failures[0]
            .error
            .to_string()
            .contains("there is no gone here")
    );
    assert!(!to.path().join("gone").exists());
    assert_eq!(fs::read(to.path().join("z")).unwrap(), data("z", 200_000));
}
