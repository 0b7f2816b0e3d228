//! Bytes that changed on their way are never given a file's name.

mod support;

use std::cell::Cell;
use std::fs;
use std::rc::Rc;
use std::sync::Arc;

use ringrail::block::fetch::{FetchConf, FileError};
use ringrail::block::{BlockHandler, BlockId, BlockServer, BlockServerConf};
use ringrail::transport::buf::ManagedBuffer;
use ringrail::transport::server::StreamManager;
use ringrail::{
    Addr, Connection, ReceivedBytes, Responder, RpcFailure, RpcHandler, TransportContext,
    TransportServer,
};
use support::{CHUNK, conf, data, engine, fetcher, memory};

/// A block server that flips a bit in chunk 3, the first `times` times that it is asked for.
struct Flipping {
    inner: BlockHandler,
    times: Cell<u32>,
}

impl RpcHandler for Flipping {
    fn receive(&self, from: &Connection, body: ReceivedBytes<'_>, reply: Responder<'_>) {
        self.inner.receive(from, body, reply);
    }

    fn receive_one_way(&self, from: &Connection, body: ReceivedBytes<'_>) {
        self.inner.receive_one_way(from, body);
    }

    fn stream_manager(&self) -> Option<&dyn StreamManager> {
        Some(self)
    }

    fn channel_inactive(&self, connection: &Connection) {
        self.inner.channel_inactive(connection);
    }
}

impl StreamManager for Flipping {
    fn get_chunk(
        &self,
        from: &Connection,
        stream_id: u64,
        index: u32,
    ) -> Result<ManagedBuffer, RpcFailure> {
        let chunk = self.inner.get_chunk(from, stream_id, index)?;
        if index != 3 || self.times.get() == 0 {
            return Ok(chunk);
        }
        self.times.set(self.times.get() - 1);
        let Some(bytes) = chunk.as_slice() else {
            panic!("the store is in memory");
        };
        let mut bytes = bytes.to_vec();
        bytes[100] ^= 0x10;
        Ok(bytes::Bytes::from(bytes).into())
    }
}

fn flipping(times: u32) -> TransportServer {
    let store = Arc::new(memory(&[("file", 8 * CHUNK), ("other", 100)]));
    let blocks = BlockServer::new(store, &BlockServerConf::default()).unwrap();
    let handler = move || {
        Rc::new(Flipping {
            inner: blocks.handler(),
            times: Cell::new(times),
        })
    };
    let context = TransportContext::new(engine(), handler);
    context
        .create_server("127.0.0.1:0".parse::<Addr>().unwrap())
        .unwrap()
}

fn one_connection() -> FetchConf {
    FetchConf {
        connections: 1,
        ..conf()
    }
}

#[test]
fn damage_that_passes_is_fetched_again() {
    let (server, to) = (flipping(2), tempfile::tempdir().unwrap());
    let report = fetcher(&server, one_connection())
        .fetch(&BlockId::ROOT, to.path())
        .unwrap();
    assert!(report.is_complete());
    assert_eq!(report.retries, 2);
    assert_eq!(
        fs::read(to.path().join("file")).unwrap(),
        data("file", 8 * CHUNK)
    );
}

#[test]
fn damage_that_stays_fails_the_file_and_no_other() {
    let (server, to) = (flipping(u32::MAX), tempfile::tempdir().unwrap());
    let report = fetcher(&server, one_connection())
        .fetch(&BlockId::ROOT, to.path())
        .unwrap();
    assert_eq!((report.files, report.failed), (1, 1));
    let error = &report.failures[0].error;
    assert!(
        matches!(error, FileError::Damaged { chunk: 3, .. }),
        "{error}"
    );
    assert!(!to.path().join("file").exists());
    assert_eq!(
        fs::read(to.path().join("other")).unwrap(),
        data("other", 100)
    );
}

#[test]
fn without_verification_nobody_looks() {
    let (server, to) = (flipping(u32::MAX), tempfile::tempdir().unwrap());
    let conf = FetchConf {
        verify: false,
        ..one_connection()
    };
    let report = fetcher(&server, conf)
        .fetch(&BlockId::ROOT, to.path())
        .unwrap();
    assert!(report.is_complete() && report.digest.is_none());
    assert_ne!(
        fs::read(to.path().join("file")).unwrap(),
        data("file", 8 * CHUNK)
    );
}
