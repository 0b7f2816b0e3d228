//! Answers that contradict themselves: the fetch ends with an error that says so, and nothing gets a
//! name that is not what was promised.

mod support;

use std::fs;
use std::rc::Rc;
use std::sync::Arc;

use ringrail::block::fetch::{FetchConf, FetchError, FetchReport};
use ringrail::block::{
    ArchivedBlockRequest, BlockHandler, BlockId, BlockRequest, BlockServer, BlockServerConf,
    DigestReply, ManifestReply, OpenReply, Page,
};
use ringrail::transport::buf::ManagedBuffer;
use ringrail::transport::server::StreamManager;
use ringrail::{
    Addr, Connection, ReceivedBytes, Responder, RpcFailure, RpcHandler, TransportContext,
};
use support::{CHUNK, conf, engine, fetcher, memory};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Lie {
    /// Fewer outcomes than blocks asked for.
    OpensLess,
    /// No digests at all.
    NoDigests,
    /// A digest too few.
    DigestsLess,
    /// Chunks that are a byte short.
    ShortChunks,
    /// Replies that are no archives.
    Garbage,
    /// A manifest of more entries than it says.
    PagesOfMore,
    /// A manifest of more entries than anybody takes.
    EndlessPages,
}

/// A block server that lies in one respect.
struct Liar {
    inner: BlockHandler,
    lie: Lie,
}

impl RpcHandler for Liar {
    fn receive(&self, from: &Connection, body: ReceivedBytes<'_>, reply: Responder<'_>) {
        let request = body.access::<BlockRequest>().unwrap();
        let (stream, pages) = (77, 3);
        match (self.lie, request) {
            (Lie::OpensLess, ArchivedBlockRequest::Open { .. }) => {
                reply.reply_archive(&OpenReply {
                    outcomes: Vec::new(),
                });
            }
            (Lie::NoDigests, ArchivedBlockRequest::Digests { .. }) => {
                reply.reply_archive(&DigestReply {
                    outcomes: Vec::new(),
                });
            }
            (Lie::DigestsLess, ArchivedBlockRequest::Digests { of }) => {
                let outcomes = of.iter().map(|_| Ok(Vec::new())).collect();
                reply.reply_archive(&DigestReply { outcomes });
            }
            (Lie::Garbage, ArchivedBlockRequest::Open { .. }) => reply.reply(&[0xff; 32]),
            (Lie::PagesOfMore, ArchivedBlockRequest::Manifest { .. }) => {
                reply.reply_archive(&ManifestReply::Stream {
                    stream,
                    pages,
                    entries: 4,
                });
            }
            (Lie::EndlessPages, ArchivedBlockRequest::Manifest { .. }) => {
                let (pages, entries) = (u32::MAX, u64::MAX);
                reply.reply_archive(&ManifestReply::Stream {
                    stream,
                    pages,
                    entries,
                });
            }
            _ => self.inner.receive(from, body, reply),
        }
    }

    fn receive_one_way(&self, from: &Connection, body: ReceivedBytes<'_>) {
        self.inner.receive_one_way(from, body);
    }

    fn stream_manager(&self) -> Option<&dyn StreamManager> {
        Some(self)
    }
}

impl StreamManager for Liar {
    fn get_chunk(
        &self,
        from: &Connection,
        stream_id: u64,
        index: u32,
    ) -> Result<ManagedBuffer, RpcFailure> {
        if self.lie == Lie::PagesOfMore {
            let entries = support::some_entries(3);
            let mut page = Vec::new();
            ringrail::codec::archive::encode_to_vec(&Page { entries }, &mut page).unwrap();
            return Ok(bytes::Bytes::from(page).into());
        }
        let chunk = self.inner.get_chunk(from, stream_id, index)?;
        let less = u64::from(self.lie == Lie::ShortChunks);
        Ok(chunk.slice(0, chunk.len() - less))
    }
}

fn fetch_from(lie: Lie, conf: FetchConf) -> (Result<FetchReport, FetchError>, tempfile::TempDir) {
    let store = Arc::new(memory(&[("large", 3 * CHUNK), ("small", 100)]));
    let blocks = BlockServer::new(store, &BlockServerConf::default()).unwrap();
    let handler = move || {
        Rc::new(Liar {
            inner: blocks.handler(),
            lie,
        })
    };
    let context = TransportContext::new(engine(), handler);
    let server = context
        .create_server("127.0.0.1:0".parse::<Addr>().unwrap())
        .unwrap();
    let to = tempfile::tempdir().unwrap();
    let outcome = fetcher(&server, conf).fetch(&BlockId::ROOT, to.path());
    for name in ["large", "small"] {
        assert!(!to.path().join(name).exists(), "{lie:?}: {name}");
    }
    (outcome, to)
}

#[test]
fn lies_about_files_fail_the_files() {
    for (lie, verify, says) in [
        (Lie::OpensLess, true, "it left a file out"),
        (Lie::NoDigests, true, "it left a digest out"),
        (Lie::DigestsLess, true, "it left a digest out"),
        (Lie::ShortChunks, true, "differs from what the server has"),
        (Lie::ShortChunks, false, "differs from what the server has"),
    ] {
        let conf = FetchConf {
            verify,
            connections: 1,
            max_retries: 1,
            ..conf()
        };
        let (outcome, _to) = fetch_from(lie, conf);
        let report = outcome.unwrap();
        assert_eq!((report.files, report.failed), (0, 2), "{lie:?}");
        let text = report.failures[0].error.to_string();
        assert!(text.contains(says), "{lie:?}: {text}");
    }
}

#[test]
fn lies_about_everything_end_the_fetch() {
    for (lie, says) in [
        (Lie::Garbage, "does not answer as a block server does"),
        (Lie::PagesOfMore, "more entries than it said"),
        (Lie::EndlessPages, "more entries than are allowed here"),
    ] {
        let (outcome, to) = fetch_from(lie, conf());
        let text = outcome.unwrap_err().to_string();
        assert!(text.contains(says), "{lie:?}: {text}");
        let left = fs::read_dir(to.path()).unwrap().count();
        assert_eq!(left, 0, "{lie:?} left something behind");
    }
}
