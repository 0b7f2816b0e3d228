//! No name leads out: not out of the directory that is served, not out of the destination.

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::rc::Rc;

use ringrail::block::fetch::FetchError;
use ringrail::block::{
    ArchivedBlockRequest, BlockClient, BlockId, BlockRequest, Entry, EntryKind, ManifestReply,
    OpenReply, Page, Stamp,
};
use ringrail::codec::archive::decode;
use ringrail::codec::native::FailureCode;
use ringrail::{
    Addr, Connection, ReceivedBytes, Responder, RpcHandler, TransportContext, TransportServer,
};
use support::{conf, engine, fetcher, look, serve, write};

/// Opens names that no [`BlockId`] can hold: the code of each refusal.
fn open_raw(server: &TransportServer, ids: &[&[u8]]) -> Vec<Option<FailureCode>> {
    let clients = TransportContext::client_only(engine()).create_client_factory(Vec::new());
    let client = clients
        .create_client_blocking(&server.local_addr().to_string())
        .unwrap();
    let ids = ids.iter().map(|id| id.to_vec()).collect();
    let request = BlockRequest::Open {
        ids,
        chunk_len: 1 << 20,
    };
    let reply: OpenReply = decode(&client.send_archive(&request, None).wait().unwrap()).unwrap();
    let code = |outcome: Result<_, ringrail::block::Refusal>| {
        outcome
            .err()
            .map(|refusal| FailureCode::from_wire(refusal.code))
    };
    reply.outcomes.into_iter().map(code).collect()
}

#[test]
fn what_is_outside_of_the_directory_is_not_served() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("served");
    write(temp.path(), "secret", 10);
    write(temp.path(), "outside/file", 10);
    write(&root, "inside/file", 10);
    symlink("../secret", root.join("up")).unwrap();
    symlink(temp.path().join("secret"), root.join("absolute")).unwrap();
    symlink("../outside", root.join("dir")).unwrap();
    symlink("inside", root.join("within")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    symlink("/proc/self/root/etc/passwd", root.join("magic")).unwrap();
    let server = serve(&root);
    let refused = open_raw(
        &server,
        &[
            b"../secret",
            b"/etc/passwd",
            b"inside/../../secret",
            b"",
            b"inside\0",
            b"a//b",
            b"./x",
        ],
    );
    for (at, code) in refused.into_iter().enumerate() {
        assert_eq!(code, Some(FailureCode::InvalidArgument), "name {at}");
    }
    let out = open_raw(
        &server,
        &[b"up", b"absolute", b"dir/file", b"loop", b"magic"],
    );
    for (at, code) in out.into_iter().enumerate() {
        assert_eq!(code, Some(FailureCode::Unauthorized), "link {at}");
    }
    let other = open_raw(
        &server,
        &[b"within/file", b"inside", b"inside/none", b"inside/file/x"],
    );
    let (none, argument) = (FailureCode::NotFound, FailureCode::InvalidArgument);
    assert_eq!(other, [None, Some(argument), Some(none), Some(none)]);
}

#[test]
fn links_are_listed_not_followed() {
    let (temp, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let root = temp.path().join("served");
    write(temp.path(), "outside/file", 10);
    fs::create_dir(&root).unwrap();
    symlink("../outside", root.join("dir")).unwrap();
    let server = serve(&root);
    fetcher(&server, conf())
        .fetch(&BlockId::ROOT, to.path())
        .unwrap();
    assert!(to.path().join("dir").is_symlink());
    assert_eq!(look(to.path()).len(), 1, "the link alone");
    let through = fetcher(&server, conf()).fetch(&"dir".parse().unwrap(), &to.path().join("x"));
    assert!(
        matches!(through, Err(FetchError::Manifest(_))),
        "{through:?}"
    );
}

#[test]
fn pipes_and_sockets_are_left_out_and_hang_nobody() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(from.path(), "file", 10);
    let _socket = std::os::unix::net::UnixListener::bind(from.path().join("socket")).unwrap();
    let pipe = std::process::Command::new("mkfifo")
        .arg(from.path().join("pipe"))
        .status()
        .unwrap();
    assert!(pipe.success());
    let server = serve(from.path());
    let report = fetcher(&server, conf())
        .fetch(&BlockId::ROOT, to.path())
        .unwrap();
    assert!(report.is_complete());
    assert_eq!((report.files, report.skipped.len()), (1, 2));
    assert_eq!(
        open_raw(&server, &[b"pipe", b"socket"]),
        [Some(FailureCode::InvalidArgument); 2]
    );
}

/// A server that lists arbitrary names, and opens nothing.
struct Hostile(Vec<Entry>);

impl RpcHandler for Hostile {
    fn receive(&self, _: &Connection, body: ReceivedBytes<'_>, reply: Responder<'_>) {
        match body.access::<BlockRequest>().unwrap() {
            ArchivedBlockRequest::Manifest { .. } => {
                reply.reply_archive(&ManifestReply::Inline(Page {
                    entries: self.0.clone(),
                }));
            }
            _ => drop(reply),
        }
    }
}

fn entry(path: &str, kind: EntryKind) -> Entry {
    Entry {
        path: path.into(),
        kind,
        stamp: Stamp::default(),
    }
}

#[test]
fn a_hostile_servers_names_are_refused_before_anything_is_written() {
    let link = |to: &str| EntryKind::Symlink { target: to.into() };
    let file = || EntryKind::File { digest: None };
    let hostile: [Vec<Entry>; 6] = [
        vec![entry("../x", file())],
        vec![entry("/tmp/x", file())],
        vec![entry("a/../../x", file())],
        vec![entry("l", link("..")), entry("l/x", file())],
        vec![
            entry("l", link("..")),
            entry("l", EntryKind::Directory),
            entry("l/x", file()),
        ],
        vec![entry("../d", EntryKind::Directory)],
    ];
    for entries in hostile {
        let temp = tempfile::tempdir().unwrap();
        let mut all = vec![entry("", EntryKind::Directory)];
        all.extend(entries);
        let shown = format!("{all:?}");
        let context = TransportContext::new(engine(), move || Rc::new(Hostile(all.clone())));
        let server = context
            .create_server("127.0.0.1:0".parse::<Addr>().unwrap())
            .unwrap();
        let dest = temp.path().join("dest");
        let error = fetcher(&server, conf())
            .fetch(&BlockId::ROOT, &dest)
            .unwrap_err();
        assert!(
            matches!(error, FetchError::Refused { .. }),
            "{error} for {shown}"
        );
        assert_eq!(look(temp.path()).len(), 0, "{shown}");
    }
}

#[test]
fn a_link_that_lies_at_the_destination_is_not_written_through() {
    let (from, temp) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(from.path(), "sub/file", 10);
    let (outside, dest) = (temp.path().join("outside"), temp.path().join("dest"));
    fs::create_dir_all(&outside).unwrap();
    fs::create_dir_all(&dest).unwrap();
    symlink(&outside, dest.join("sub")).unwrap();
    let server = serve(from.path());
    let error = fetcher(&server, conf())
        .fetch(&BlockId::ROOT, &dest)
        .unwrap_err();
    assert!(matches!(error, FetchError::Local(_)), "{error}");
    assert!(error.to_string().contains("in the way"), "{error}");
    assert_eq!(look(&outside).len(), 0);

    // Nor through a stage directory that is a symbolic link.
    fs::remove_file(dest.join("sub")).unwrap();
    symlink(&outside, dest.join(".ringrail-fetch")).unwrap();
    let error = fetcher(&server, conf())
        .fetch(&BlockId::ROOT, &dest)
        .unwrap_err();
    assert!(matches!(error, FetchError::Local(_)), "{error}");
    assert_eq!(look(&outside).len(), 0);
}

#[test]
fn a_stream_of_another_connection_cannot_be_read() {
    let from = tempfile::tempdir().unwrap();
    write(from.path(), "file", 10);
    let server = serve(from.path());
    let clients = TransportContext::client_only(engine()).create_client_factory(Vec::new());
    let address = server.local_addr().to_string();
    let connect = || BlockClient::new(clients.create_unmanaged_client_blocking(&address).unwrap());
    let (mine, other) = (connect(), connect());
    let opened = mine.open_one(&"file".parse().unwrap(), 1 << 20).unwrap();
    assert_eq!(
        mine.fetch_chunk(opened.stream, 0, None)
            .wait()
            .unwrap()
            .len(),
        10
    );
    let error = other
        .fetch_chunk(opened.stream, 0, None)
        .wait()
        .unwrap_err();
    assert!(
        error.to_string().contains("not open on this connection"),
        "{error}"
    );
}
