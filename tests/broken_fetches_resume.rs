//! A fetch that breaks off leaves nothing half done under a file's name, and the next one goes on.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use ringrail::TransportServer;
use ringrail::block::BlockId;
use ringrail::block::fetch::{FetchConf, FetchError, FetchEvent, FetchReport, Resume};
use support::{CHUNK, assert_same, conf, fetcher, serve, write};

const CHUNKS: usize = 64;

fn source() -> tempfile::TempDir {
    let from = tempfile::tempdir().unwrap();
    write(from.path(), "a/large", CHUNKS * CHUNK + 99);
    write(from.path(), "b/small", 1000);
    from
}

fn one_connection() -> FetchConf {
    FetchConf {
        connections: 1,
        in_flight: 2,
        max_retries: 1,
        ..conf()
    }
}

/// Fetches until `after` chunks have come, then ends the server.
fn fetch_and_lose(server: TransportServer, to: &Path, after: u64) -> FetchError {
    let fetcher = fetcher(&server, one_connection());
    let (server, seen) = (Mutex::new(Some(server)), AtomicU64::new(0));
    let fetcher = fetcher.on_event(move |event| {
        if matches!(event, FetchEvent::Progress { resumed: false, .. })
            && seen.fetch_add(1, Ordering::Relaxed) + 1 == after
        {
            drop(server.lock().unwrap().take());
        }
    });
    fetcher.fetch(&BlockId::ROOT, to).unwrap_err()
}

fn parts(to: &Path) -> Vec<PathBuf> {
    let stage = fs::read_dir(to.join(".ringrail-fetch")).unwrap();
    stage.map(|entry| entry.unwrap().path()).collect()
}

fn fetch_all(from: &Path, to: &Path) -> FetchReport {
    let server = serve(from);
    fetcher(&server, one_connection())
        .fetch(&BlockId::ROOT, to)
        .unwrap()
}

#[test]
fn a_lost_server_is_said_to_be_lost_and_the_next_fetch_goes_on() {
    let (from, to) = (source(), tempfile::tempdir().unwrap());
    let error = fetch_and_lose(serve(from.path()), to.path(), 20);
    assert!(
        matches!(error, FetchError::Lost { files_left: 2, .. }),
        "{error}"
    );
    assert!(error.is_connection());
    let text = error.to_string();
    assert!(
        text.contains("the server is gone") && text.contains("Run it again"),
        "{text}"
    );
    assert!(
        !to.path().join("a/large").exists(),
        "no half file under its name"
    );
    assert_eq!(parts(to.path()).len(), 1);

    let report = fetch_all(from.path(), to.path());
    assert_same(from.path(), to.path());
    assert!(report.bytes_resumed >= 20 * CHUNK as u64, "{report}");
    assert!(
        report.bytes <= ((CHUNKS - 20) * CHUNK + 99 + 1000) as u64,
        "{report}"
    );
    assert!(!to.path().join(".ringrail-fetch").exists());
}

#[test]
fn what_an_earlier_fetch_left_is_checked_before_it_is_used() {
    let (from, to) = (source(), tempfile::tempdir().unwrap());
    fetch_and_lose(serve(from.path()), to.path(), 30);
    let part = parts(to.path()).remove(0);
    let mut left = fs::read(&part).unwrap();
    left[5 * CHUNK + 17] ^= 1;
    fs::write(&part, left).unwrap();
    let report = fetch_all(from.path(), to.path());
    assert_same(from.path(), to.path());
    assert!(
        report.bytes_resumed >= 29 * CHUNK as u64,
        "all but the damaged chunk: {report}"
    );
    assert!(
        report.bytes >= ((CHUNKS - 30 + 1) * CHUNK - 2 * CHUNK) as u64,
        "{report}"
    );
}

#[test]
fn leftovers_of_another_version_of_the_file_do_no_harm() {
    let (from, to) = (source(), tempfile::tempdir().unwrap());
    fetch_and_lose(serve(from.path()), to.path(), 30);
    // The file has changed: shorter, and other bytes in the middle.
    let path = from.path().join("a/large");
    let mut changed = fs::read(&path).unwrap();
    changed.truncate(40 * CHUNK + 1);
    changed[3 * CHUNK..4 * CHUNK].fill(7);
    fs::write(&path, changed).unwrap();
    let report = fetch_all(from.path(), to.path());
    assert_same(from.path(), to.path());
    assert!(report.bytes_resumed > 0);
}

#[test]
fn leftovers_can_be_ignored() {
    let (from, to) = (source(), tempfile::tempdir().unwrap());
    fetch_and_lose(serve(from.path()), to.path(), 30);
    let server = serve(from.path());
    let conf = FetchConf {
        resume: Resume::Fresh,
        ..one_connection()
    };
    let report = fetcher(&server, conf)
        .fetch(&BlockId::ROOT, to.path())
        .unwrap();
    assert_same(from.path(), to.path());
    assert_eq!(report.bytes_resumed, 0);
}

#[test]
fn without_verification_leftovers_are_checked_all_the_same() {
    let (from, to) = (source(), tempfile::tempdir().unwrap());
    fetch_and_lose(serve(from.path()), to.path(), 30);
    let part = parts(to.path()).remove(0);
    let mut left = fs::read(&part).unwrap();
    left[0] ^= 1;
    fs::write(&part, left).unwrap();
    let server = serve(from.path());
    let conf = FetchConf {
        verify: false,
        ..one_connection()
    };
    let report = fetcher(&server, conf)
        .fetch(&BlockId::ROOT, to.path())
        .unwrap();
    assert_same(from.path(), to.path());
    assert!(report.bytes_resumed > 0);
}

#[test]
fn a_cancelled_fetch_ends_and_can_be_resumed() {
    let (from, to) = (source(), tempfile::tempdir().unwrap());
    let server = serve(from.path());
    let fetcher = fetcher(&server, one_connection());
    let canceller = fetcher.canceller();
    let fetcher = fetcher.on_event(move |event| {
        if matches!(event, FetchEvent::Progress { .. }) {
            canceller.cancel();
        }
    });
    let error = fetcher.fetch(&BlockId::ROOT, to.path()).unwrap_err();
    assert!(matches!(error, FetchError::Cancelled), "{error}");
    assert!(!to.path().join("a/large").exists());
    assert!(fetch_all(from.path(), to.path()).bytes_resumed > 0);
    assert_same(from.path(), to.path());
}

#[test]
fn two_fetches_to_one_destination_exclude_each_other() {
    let (from, to) = (source(), tempfile::tempdir().unwrap());
    let server = serve(from.path());
    let second = Mutex::new(Some(fetcher(&server, one_connection())));
    let (dest, outcome) = (to.path().to_owned(), std::sync::Arc::new(Mutex::new(None)));
    let place = std::sync::Arc::clone(&outcome);
    let first = fetcher(&server, one_connection()).on_event(move |_| {
        if let Some(second) = second.lock().unwrap().take() {
            *place.lock().unwrap() = Some(second.fetch(&BlockId::ROOT, &dest));
        }
    });
    first.fetch(&BlockId::ROOT, to.path()).unwrap();
    let second = outcome.lock().unwrap().take().unwrap();
    assert!(
        matches!(second, Err(FetchError::InUse { .. })),
        "{second:?}"
    );
    assert_same(from.path(), to.path());
}
