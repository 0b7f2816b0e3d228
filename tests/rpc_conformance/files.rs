//! Files: given out under names, fetched by others, never from outside.

use std::fs;
use std::io::{ErrorKind, Read};
use std::path::Path;

use ringrail::rpc::{FileServerError, RpcEnv};

use crate::ground::{Backend, block_on};

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at ^ at >> 8) as u8).collect()
}

fn read(env: &RpcEnv, uri: &str) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut channel = env.open_channel_blocking(uri).expect("the env is there");
    channel.read_to_end(&mut bytes).map(|_| bytes)
}

fn file(dir: &Path, name: &str, bytes: &[u8]) -> std::path::PathBuf {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

pub(crate) fn files_jars_and_directories_are_fetched_byte_for_byte(backend: Backend) {
    let (server, asker) = backend.pair();
    let client = backend.client("client");
    let dir = tempfile::tempdir().unwrap();
    let files = server.file_server().unwrap();
    let url = server.address().unwrap().url();
    for len in [0, 1, 100_000, 5_000_000] {
        let name = format!("a file of {len}");
        let path = file(dir.path(), &name, &content(len));
        let uri = files.add_file(&path).unwrap();
        assert_eq!(uri, format!("{url}/files/a%20file%20of%20{len}"));
        for env in [&server, &asker, &client] {
            assert!(read(env, &uri).unwrap() == content(len), "{len} bytes");
        }
    }
    let jar = files.add_jar(file(dir.path(), "x.jar", b"jar")).unwrap();
    assert_eq!(jar, format!("{url}/jars/x.jar"));
    assert_eq!(read(&asker, &jar).unwrap(), b"jar");
    assert_eq!(
        read(&asker, &jar.replace("rail:", "spark:")).unwrap(),
        b"jar"
    );
    file(dir.path(), "tree/deep/er", b"deeper");
    let base = files
        .add_directory("/classes/", dir.path().join("tree"))
        .unwrap();
    assert_eq!(base, format!("{url}/classes"));
    assert_eq!(
        read(&client, &format!("{base}/deep/er")).unwrap(),
        b"deeper"
    );
}

pub(crate) fn channels_are_read_by_futures_too(backend: Backend) {
    let (server, asker) = backend.pair();
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "f", &content(300_000));
    let uri = server.file_server().unwrap().add_file(path).unwrap();
    let bytes = block_on(async {
        let mut channel = asker.open_channel(&uri).await.unwrap();
        let mut bytes = Vec::new();
        while let Some(more) = channel.next().await {
            bytes.extend_from_slice(&more.unwrap());
        }
        bytes
    });
    assert!(bytes == content(300_000));
    let bytes = block_on(async {
        let mut channel = std::pin::pin!(asker.open_channel(&uri).await.unwrap());
        let (mut bytes, mut some) = (Vec::new(), [0; 1000]);
        loop {
            let mut out = tokio::io::ReadBuf::new(&mut some);
            let read = std::future::poll_fn(|cx| {
                tokio::io::AsyncRead::poll_read(channel.as_mut(), cx, &mut out)
            });
            read.await.unwrap();
            if out.filled().is_empty() {
                return bytes;
            }
            bytes.extend_from_slice(out.filled());
        }
    });
    assert!(bytes == content(300_000));
}

pub(crate) fn a_name_stands_for_one_path(backend: Backend) {
    let server = backend.env("server");
    let files = server.file_server().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (
        file(dir.path(), "1/f", b"one"),
        file(dir.path(), "2/f", b"two"),
    );
    let uri = files.add_file(&one).unwrap();
    assert_eq!(files.add_file(&one).unwrap(), uri, "the same path is fine");
    let error = files.add_file(&two).unwrap_err();
    assert!(matches!(error, FileServerError::Taken { .. }), "{error}");
    assert_eq!(read(&server, &uri).unwrap(), b"one");
    assert!(files.remove_file("f"));
    assert!(!files.remove_file("f"));
    assert_eq!(read(&server, &uri).unwrap_err().kind(), ErrorKind::NotFound);
    files.add_file(&two).unwrap();
    assert_eq!(read(&server, &uri).unwrap(), b"two");
    for base in ["files", "jars", "", "/", "a//b", "../x", "a/.."] {
        let error = files.add_directory(base, dir.path()).unwrap_err();
        assert!(matches!(error, FileServerError::BadName { .. }), "{base}");
    }
    files.add_directory("d", dir.path()).unwrap();
    assert!(
        files.add_directory("d", dir.path()).is_err(),
        "no duplicates"
    );
    assert!(files.remove_directory("/d"));
    for name in ["", ".", "..", "a/b"] {
        assert!(files.add_file_as(name, &one).is_err(), "{name}");
    }
    assert!(files.add_file(dir.path().join("none")).is_err());
    assert!(files.add_file_as("dir", dir.path()).is_err());
}

pub(crate) fn no_name_leads_outside_of_a_directory(backend: Backend) {
    let (server, asker) = backend.pair();
    let dir = tempfile::tempdir().unwrap();
    file(dir.path(), "secret", b"secret");
    file(dir.path(), "open/inside", b"inside");
    let open = dir.path().join("open");
    std::os::unix::fs::symlink("../secret", open.join("link")).unwrap();
    std::os::unix::fs::symlink(dir.path().join("secret"), open.join("absolute")).unwrap();
    std::os::unix::fs::symlink("inside", open.join("good")).unwrap();
    let base = server
        .file_server()
        .unwrap()
        .add_directory("open", &open)
        .unwrap();
    assert_eq!(read(&asker, &format!("{base}/good")).unwrap(), b"inside");
    for name in [
        "../secret",
        "%2e%2e/secret",
        "x/../../secret",
        "link",
        "absolute",
        "/etc/passwd",
    ] {
        let error = read(&asker, &format!("{base}/{name}")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{name}: {error}");
    }
}

pub(crate) fn a_missing_file_fails_the_reader(backend: Backend) {
    let (server, asker) = backend.pair();
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "f", b"soon gone");
    let uri = server.file_server().unwrap().add_file(&path).unwrap();
    fs::remove_file(&path).unwrap();
    for uri in [
        uri.clone(),
        format!("{uri}x"),
        uri.replace("/files/", "/other/"),
    ] {
        let mut channel = asker.open_channel_blocking(&uri).expect("the env is there");
        let error = channel.read(&mut [0; 10]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        assert!(error.to_string().contains("was not found"), "{error}");
    }
    assert!(asker.open_channel_blocking("http://x/files/f").is_err());
    assert!(
        asker
            .open_channel_blocking("rail://127.0.0.1:1/files/f")
            .is_err()
    );
}

pub(crate) fn an_env_that_does_not_listen_gives_out_nothing(backend: Backend) {
    let client = backend.client("client");
    let error = client.file_server().unwrap_err();
    assert!(error.to_string().contains("client mode"), "{error}");
}
