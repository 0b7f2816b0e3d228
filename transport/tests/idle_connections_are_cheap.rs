//! An idle connection costs at most 8 KiB of the server's memory, heap and pool together.
//!
//! A program of its own: its allocator counts the bytes that the process holds.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::sync::atomic::{AtomicI64, Ordering};

use ringrail_codec::native::{Hello, Limits, Terms};
use ringrail_transport::TransportConf;
use support::{eventually, serve};

struct Counting;

static HELD: AtomicI64 = AtomicI64::new(0);

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller's promises are ours.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const CONNECTIONS: usize = 2000;

#[test]
fn an_idle_connection_costs_at_most_eight_kibibytes() {
    let side = serve(TransportConf::default());
    let mut hello = [0; 4096];
    let terms = Terms::new(&Limits::DEFAULT);
    let len = Hello { terms, ext: &[] }.encode(&mut hello).unwrap();
    let open = |count: usize| -> Vec<_> {
        (0..count)
            .map(|_| {
                let mut stream = side.raw();
                stream.write_all(&hello[..len]).unwrap();
                stream.read_exact(&mut vec![0; len]).unwrap();
                stream
            })
            .collect()
    };
    let held = || {
        let pool = side.context.engine().metrics().pool_bytes_used;
        HELD.load(Ordering::Relaxed) + pool as i64
    };
    // Tables and lists grow by doubling: warm them up first.
    drop(open(10));
    eventually("the first are gone", || {
        side.context.engine().metrics().connections_active == 0
    });
    let before = held();
    let streams = open(CONNECTIONS);
    eventually("all are open", || {
        side.context.engine().metrics().connections_active == CONNECTIONS as u64
    });
    let each = (held() - before) / CONNECTIONS as i64;
    assert!(each <= 8 << 10, "{each} bytes for each idle connection");
    drop(streams);
}
