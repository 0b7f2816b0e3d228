//! Outgoing bodies are bounded per shard, and no connection takes all entries.

use ringrail_codec::native::{ChunkRequest, FailureCode, Flags, Kind};

use crate::client::ChunkOptions;
use crate::sys::sim::Faults;

use super::cluster::Cluster;
use super::content::ChunkName;
use super::ground::Simulated;
use super::{actors, settings, wire};

const LIMIT: u64 = 12;

fn ask(cluster: &mut Cluster<Simulated>, raw: usize, id: u64, credit: u64) {
    let name = ChunkName {
        from_file: false,
        len: 5_000,
    };
    let request = ChunkRequest {
        id,
        deadline_us: 0,
        stream_id: name.stream_id(),
        chunk_index: id as u32,
        offset: 0,
        max_len: u64::MAX,
        credit,
        unsummed: false,
    };
    cluster.tell(raw, request.header(), &request.body());
}

/// Peers that ask for chunks and grant nothing hold their share of the table; what goes beyond is
/// refused as busy, and an honest peer beside them is served.
#[test]
fn peers_that_take_nothing_leave_room_for_others() {
    let mut cluster = Cluster::simulated(3, Faults::default());
    let mut conf = settings::plain();
    conf.max_transfers = LIMIT as usize;
    cluster.add_shard(conf);
    let addr = cluster.listen(0);
    let greedy: Vec<usize> = (0..3)
        .map(|_| cluster.puppet_client(&addr, wire::limits()))
        .collect();
    let mut held = 0;
    for &raw in &greedy {
        for id in 1..=2 * LIMIT {
            ask(&mut cluster, raw, id, 0);
        }
        let mut answers = 0;
        while answers < 2 * LIMIT {
            for (header, _) in cluster.hear_some(raw) {
                answers += 1;
                if header.kind == Kind::ChunkData {
                    held += 1;
                    continue;
                }
                assert_eq!(header.kind, Kind::ChunkFailure);
                assert_eq!(header.code, FailureCode::Busy.to_wire());
                assert!(header.flags.contains(Flags::RETRYABLE));
            }
        }
    }
    assert!((LIMIT / 2..LIMIT).contains(&held), "{held} of {LIMIT}");
    assert_eq!(cluster.shards[0].pump.local.transfers.get() as u64, held);
    let honest = cluster.puppet_client(&addr, wire::limits());
    for id in 1..=20 {
        ask(&mut cluster, honest, id, 1 << 20);
        let (header, body) = cluster.hear_one(honest, |header| header.id == id);
        assert_eq!(header.kind, Kind::ChunkData);
        let name = ChunkName {
            from_file: false,
            len: 5_000,
        };
        actors::expect("a chunk", &body, &name.bytes(id as u32));
    }
    for raw in greedy {
        cluster.raws[raw].close();
    }
    cluster.until(|cluster| cluster.shards[0].pump.local.conn_count() == 1);
    assert_eq!(cluster.shards[0].pump.local.transfers.get(), 0);
    cluster.assert_at_rest();
    cluster.finish();
}

/// After bulk a connection waits for the next header with a buffer of its own; when nothing has been
/// asked for a while, it gives that back.
#[test]
fn a_connection_that_is_idle_after_bulk_holds_no_buffer() {
    let mut cluster = Cluster::simulated(5, Faults::default());
    let client = cluster.pair(settings::plain(), settings::plain());
    let leased = |cluster: &Cluster<Simulated>| {
        let shard = &cluster.shards[1].pump.local;
        shard.pool.stats().leased_bytes
    };
    cluster.run_for(1_000_000);
    let before = leased(&cluster);
    let name = ChunkName {
        from_file: false,
        len: 200_000,
    };
    let chunk = client.fetch_chunk(name.stream_id(), 1, &ChunkOptions::default());
    let body = cluster.block_on(chunk).expect("a chunk");
    actors::expect("a chunk", &body, &name.bytes(1));
    drop(body);
    cluster.run_for(1_000_000);
    assert!(
        leased(&cluster) > before,
        "the header behind it is waited for"
    );
    // A quarter of the connection's timeout.
    cluster.run_for(11_000_000_000);
    assert!(leased(&cluster) <= before, "{} bytes", leased(&cluster));
    let clock = cluster.clock.clone();
    let order = super::content::Order::new(super::content::Deed::Reply, 1, 100);
    let reply = cluster.block_on(actors::order(client, order, 100, clock));
    reply.expect("a reply");
    cluster.assert_at_rest();
    cluster.finish();
}
