//! Helpers shared by the tests of blocks: trees of distinct file contents, a comparison of trees,
//! servers and fetchers over loopback.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "every test binary uses another part of it"
)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ringrail::block::fetch::{FetchConf, Fetcher};
use ringrail::block::{
    BlockId, BlockServer, BlockServerConf, BlockStore, DirStore, Entry, EntryKind, MemoryStore,
    OpenBlock, Stamp, StoreError, Visit,
};
use ringrail::{Addr, Engine, ParkMode, TransportConf, TransportContext, TransportServer};

/// Data that depends on the name and differs in every place.
pub fn data(name: &str, len: usize) -> Vec<u8> {
    let mut state = name.bytes().fold(0x9e37_79b9_7f4a_7c15u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    let mut out = Vec::with_capacity(len + 8);
    while out.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(len);
    out
}

/// Writes a file with [`data`], its directories too.
pub fn write(root: &Path, name: &str, len: usize) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, data(name, len)).unwrap();
}

/// A tree with a bit of everything, for chunks of `chunk` bytes.
pub fn make_tree(root: &Path, chunk: usize) {
    for len in [
        0,
        1,
        4095,
        4096,
        4097,
        chunk - 1,
        chunk,
        chunk + 1,
        5 * chunk + 12_345,
    ] {
        write(root, &format!("sizes/{len}"), len);
    }
    write(root, "a/b/c/d/e/f/deep", 10_000);
    write(root, "odd/with space", 11);
    write(root, "odd/new\nline", 12);
    write(root, "odd/ünïcødé", 13);
    write(root, "odd/-rf", 14);
    write(root, &format!("odd/{}", "n".repeat(255)), 15);
    let bytes = root
        .join("odd")
        .join(std::ffi::OsStr::from_bytes(b"not-\xff-utf8"));
    fs::write(bytes, data("bytes", 16)).unwrap();
    for count in 0..150 {
        write(root, &format!("many/{count:03}"), count * 37);
    }
    fs::create_dir_all(root.join("empty/inner")).unwrap();
    symlink("../sizes/4096", root.join("a/link")).unwrap();
    symlink("nowhere/at/all", root.join("a/dangling")).unwrap();
    symlink("/etc/passwd", root.join("a/absolute")).unwrap();
    symlink("b", root.join("a/to-dir")).unwrap();
    set_mode(&root.join("sizes/1"), 0o400);
    set_mode(&root.join("sizes/4096"), 0o755);
    set_mode(&root.join("empty/inner"), 0o711);
    let old = fs::File::options()
        .append(true)
        .open(root.join("sizes/4097"))
        .unwrap();
    let time = std::time::UNIX_EPOCH + Duration::new(86_400, 123_456_789);
    old.set_modified(time).unwrap();
}

pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// The state of one path: kind, mode, time, content.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    kind: String,
    mode: u32,
    mtime: (i64, i64),
    content: Vec<u8>,
}

/// Everything below `root`, by path.
pub fn look(root: &Path) -> BTreeMap<Vec<u8>, Seen> {
    let mut seen = BTreeMap::new();
    look_into(root, b"", &mut seen);
    seen
}

fn look_into(dir: &Path, prefix: &[u8], seen: &mut BTreeMap<Vec<u8>, Seen>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let mut name = prefix.to_vec();
        name.extend_from_slice(path.file_name().unwrap().as_bytes());
        let meta = fs::symlink_metadata(&path).unwrap();
        let (kind, content) = if meta.is_symlink() {
            (
                "link",
                fs::read_link(&path)
                    .unwrap()
                    .as_os_str()
                    .as_bytes()
                    .to_vec(),
            )
        } else if meta.is_dir() {
            ("dir", Vec::new())
        } else {
            ("file", fs::read(&path).unwrap())
        };
        seen.insert(
            name.clone(),
            Seen {
                kind: kind.into(),
                mode: meta.mode(),
                mtime: (meta.mtime(), meta.mtime_nsec()),
                content,
            },
        );
        if meta.is_dir() {
            name.push(b'/');
            look_into(&path, &name, seen);
        }
    }
}

/// Compares two trees, naming the first paths that differ.
pub fn assert_same(ours: &Path, theirs: &Path) {
    let (ours, theirs) = (look(ours), look(theirs));
    let mut differing = Vec::new();
    for name in ours.keys().chain(theirs.keys()) {
        if ours.get(name) != theirs.get(name) {
            let brief = |seen: Option<&Seen>| {
                seen.map(|seen| {
                    let Seen {
                        kind,
                        mode,
                        mtime,
                        content,
                    } = seen;
                    format!("{kind} {mode:o} {mtime:?} {} bytes", content.len())
                })
            };
            let (one, other) = (brief(ours.get(name)), brief(theirs.get(name)));
            differing.push(format!("{}: {one:?} / {other:?}", name.escape_ascii()));
        }
    }
    assert!(differing.is_empty(), "{differing:#?}");
}

pub fn engine() -> Engine {
    engine_with(TransportConf::default())
}

pub fn engine_with(conf: TransportConf) -> Engine {
    Engine::builder(conf)
        .shards(1)
        .unpinned()
        .park(ParkMode::Bare)
        .start()
        .unwrap()
}

/// Serves a store on loopback.
pub fn serve_store(store: Arc<dyn BlockStore>) -> TransportServer {
    let blocks = BlockServer::new(store, &BlockServerConf::default()).unwrap();
    let addr: Addr = "127.0.0.1:0".parse().unwrap();
    blocks.context(engine()).create_server(addr).unwrap()
}

/// Serves a directory on loopback.
pub fn serve(root: &Path) -> TransportServer {
    serve_store(Arc::new(DirStore::open_root(root).unwrap()))
}

/// Small chunks and short waits.
pub fn conf() -> FetchConf {
    FetchConf {
        chunk_len: CHUNK as u32,
        retry_wait: Duration::from_millis(10),
        ..FetchConf::default()
    }
}

/// The chunk length of [`conf`].
pub const CHUNK: usize = 64 << 10;

/// A fetcher from `server`.
pub fn fetcher(server: &TransportServer, conf: FetchConf) -> Fetcher {
    fetcher_of(&server.local_addr().to_string(), conf)
}

pub fn fetcher_of(address: &str, conf: FetchConf) -> Fetcher {
    let clients = TransportContext::client_only(engine()).create_client_factory(Vec::new());
    Fetcher::new(clients, address, conf)
}

/// A store in memory whose block `gone` is listed but cannot be opened.
pub struct Vanishing(MemoryStore);

impl Vanishing {
    pub fn of(blocks: &[(&str, usize)]) -> Self {
        Self(memory(blocks))
    }
}

impl BlockStore for Vanishing {
    fn open(&self, id: &BlockId) -> Result<OpenBlock, StoreError> {
        if id.as_bytes() == b"gone" {
            return Err(StoreError::NotFound { id: id.clone() });
        }
        self.0.open(id)
    }

    fn walk(&self, id: &BlockId, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.0.walk(id, visit)
    }
}

/// A store of blocks with [`data`].
pub fn memory(blocks: &[(&str, usize)]) -> MemoryStore {
    let store = MemoryStore::new(1 << 30);
    for (name, len) in blocks {
        store.put(name.parse().unwrap(), data(name, *len)).unwrap();
    }
    store
}

/// Entries of a manifest: so many empty files.
pub fn some_entries(count: usize) -> Vec<Entry> {
    let kind = EntryKind::File { digest: None };
    let entry = |number: usize| Entry {
        path: number.to_string().into_bytes(),
        kind: kind.clone(),
        stamp: Stamp::default(),
    };
    (0..count).map(entry).collect()
}
