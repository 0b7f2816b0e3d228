//! After warm-up neither an RPC nor a slice of a chunk allocates, on either side.
//!
//! A program of its own: its allocator counts every allocation of the process.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use ringrail_transport::spark::Protocols;
use ringrail_transport::{
    Checksum, ChunkOptions, Connection, ReceivedBytes, RequestError, ResponseContext,
    ResponseHandler, TransportConf,
};
use support::serve_as;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are ours.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Keeps requests in flight; tells how many allocations the second half of them cost.
struct Load {
    conn: Connection,
    chunk_len: Option<u64>,
    left: Cell<u64>,
    half: u64,
    at_half: Cell<u64>,
    done: mpsc::SyncSender<u64>,
    this: RefCell<Option<Rc<dyn ResponseHandler>>>,
}

impl Load {
    fn ask(&self) {
        let this = self.this.borrow();
        let Some(this) = &*this else { return };
        let asked = match self.chunk_len {
            None => self.conn.send_rpc_with(&[3; 64], None, this, 0),
            Some(len) => {
                let options = ChunkOptions {
                    len_hint: Some(len),
                    ..ChunkOptions::default()
                };
                self.conn.fetch_chunk_with(len, 0, &options, this, 0)
            }
        };
        asked.expect("there is room");
    }
}

impl ResponseHandler for Load {
    fn on_response(
        &self,
        _: &ResponseContext<'_>,
        _: u64,
        outcome: Result<ReceivedBytes<'_>, RequestError>,
    ) {
        let len = outcome.expect("an answer").bytes().len() as u64;
        assert_eq!(len, self.chunk_len.unwrap_or(64));
        self.left.set(self.left.get() - 1);
        if self.left.get() == self.half {
            self.at_half.set(ALLOCATIONS.load(Ordering::Relaxed));
        }
        if self.left.get() == 0 {
            let cost = ALLOCATIONS.load(Ordering::Relaxed) - self.at_half.get();
            drop(self.this.borrow_mut().take());
            self.done.send(cost).expect("the test waits");
        } else {
            self.ask();
        }
    }
}

/// Allocations of `count` requests after as many to warm up.
fn cost(protocol: Protocols, chunk_len: Option<u64>, count: u64, in_flight: usize) -> u64 {
    cost_with(
        TransportConf::default(),
        protocol,
        chunk_len,
        count,
        in_flight,
    )
}

fn cost_with(
    conf: TransportConf,
    protocol: Protocols,
    chunk_len: Option<u64>,
    count: u64,
    in_flight: usize,
) -> u64 {
    let side = serve_as(conf, protocol);
    let (context, client) = match protocol {
        Protocols::Native => side.client(),
        _ => side.spark_client(),
    };
    let (done, cost) = mpsc::sync_channel(1);
    context
        .engine()
        .run_on(0, move |_| {
            let load = Rc::new(Load {
                conn: client.here().expect("open"),
                chunk_len,
                left: Cell::new(2 * count),
                half: count,
                at_half: Cell::new(0),
                done,
                this: RefCell::new(None),
            });
            *load.this.borrow_mut() = Some(Rc::clone(&load) as Rc<dyn ResponseHandler>);
            for _ in 0..in_flight {
                load.ask();
            }
        })
        .expect("the shard runs");
    cost.recv().expect("the load ends")
}

#[test]
fn rpcs_and_slices_allocate_nothing() {
    for protocol in [Protocols::Native, Protocols::Spark] {
        let single = cost(protocol, None, 20_000, 1);
        assert!(single <= 2, "{protocol:?}, one RPC at a time: {single}");
        let many = cost(protocol, None, 100_000, 64);
        assert!(many <= 2, "{protocol:?}, 64 in flight: {many}");
        // Nor do chunks, of one slice or of 16. The tables may grow a little more.
        let small = cost(protocol, Some(1 << 20), 100, 2);
        assert!(
            small <= 8,
            "{protocol:?}: {small} allocations for 100 chunks"
        );
        let large = cost(protocol, Some(16 << 20), 100, 2);
        assert!(
            large <= 8,
            "{protocol:?}: {large} allocations for 1600 slices"
        );
    }
    let conf = TransportConf {
        checksum: Checksum::Always,
        ..TransportConf::default()
    };
    let summed = cost_with(conf, Protocols::Native, Some(16 << 20), 100, 2);
    assert!(
        summed <= 8,
        "{summed} allocations for 1600 slices with checksums"
    );
}
