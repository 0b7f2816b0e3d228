//! Requests that are retracted while the disk works for them, and whose ids are used again.

use ringrail_codec::native::{Cancel, ChunkRequest, Credit, Kind};

use crate::metrics::ErrorKind;
use crate::sys::sim::Faults;

use super::cluster::Cluster;
use super::content::ChunkName;
use super::ground::Simulated;
use super::{actors, seeds, settings, wire};

fn ask(cluster: &mut Cluster<Simulated>, raw: usize, id: u64, name: ChunkName, credit: u64) {
    let request = ChunkRequest {
        id,
        deadline_us: 0,
        stream_id: name.stream_id(),
        chunk_index: 0,
        offset: 0,
        max_len: u64::MAX,
        credit,
        unsummed: false,
    };
    cluster.tell(raw, request.header(), &request.body());
}

/// A read of the disk that ends after its request was retracted brings nothing to the request that has
/// the id now.
#[test]
fn a_late_read_never_reaches_the_next_request_under_its_id() {
    seeds::each(60, |seed| {
        let faults = Faults {
            cold: 1.0,
            disk_ns: 20_000_000,
            ..Faults::default()
        };
        let mut cluster = Cluster::simulated(seed, faults);
        cluster.add_shard(settings::plain());
        let addr = cluster.listen(0);
        let raw = cluster.puppet_client(&addr, wire::limits());
        let (from_file, id) = (true, 7);
        let first = ChunkName {
            from_file,
            len: 9_000,
        };
        let second = ChunkName {
            from_file,
            len: 9_016,
        };
        ask(&mut cluster, raw, id, first, 1 << 20);
        let before = cluster.rng.below(2_000_000);
        cluster.run_for(before);
        cluster.tell(raw, Cancel { id }.header(), &[]);
        ask(&mut cluster, raw, id, second, 1 << 20);
        let (header, body) = cluster.hear_one(raw, |header| header.id == id);
        assert_eq!(header.kind, Kind::ChunkData);
        actors::expect("the second chunk", &body, &second.bytes(0));
        cluster.assert_at_rest();
        cluster.finish();
    });
}

/// An id names one request at a time: a peer that uses it for two is disconnected.
#[test]
fn an_id_that_is_in_use_ends_the_connection() {
    let mut cluster = Cluster::simulated(1, Faults::default());
    cluster.pardon(ErrorKind::Unexpected);
    cluster.add_shard(settings::plain());
    let addr = cluster.listen(0);
    let raw = cluster.puppet_client(&addr, wire::limits());
    let name = ChunkName {
        from_file: false,
        len: 9_000,
    };
    ask(&mut cluster, raw, 7, name, 0);
    let (header, _) = cluster.hear_one(raw, |header| header.id == 7);
    assert_eq!(
        header.kind,
        Kind::ChunkData,
        "its length, for there is no credit"
    );
    ask(&mut cluster, raw, 7, name, 0);
    cluster.until(|cluster| cluster.raws[raw].ended);
    cluster.finish();
}

/// Grants and cancels for bodies that are not there change nothing.
#[test]
fn credit_for_nobody_is_dropped() {
    let mut cluster = Cluster::simulated(1, Faults::default());
    cluster.add_shard(settings::plain());
    let addr = cluster.listen(0);
    let raw = cluster.puppet_client(&addr, wire::limits());
    for id in 0..1_000 {
        let credit = Credit {
            id,
            bytes: 1,
            by_responder: id % 2 == 0,
        };
        cluster.tell(raw, credit.header(), &[]);
        cluster.tell(raw, Cancel { id }.header(), &[]);
    }
    let name = ChunkName {
        from_file: false,
        len: 100,
    };
    ask(&mut cluster, raw, 2_000, name, 1 << 20);
    let (_, body) = cluster.hear_one(raw, |header| header.id == 2_000);
    actors::expect("a chunk", &body, &name.bytes(0));
    cluster.assert_at_rest();
    cluster.finish();
}
