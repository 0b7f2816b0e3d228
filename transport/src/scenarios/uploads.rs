//! Uploads: taken, refused at every stage, panicked upon, retracted, cut off, and kept in memory.

use std::sync::atomic::Ordering;

use ringrail_codec::native::{HEADER_LEN, Kind, Upload, UploadData, UploadEnd};

use crate::conf::TransportConf;
use crate::error::RequestError;
use crate::sys::sim::{Faults, Rng};

use super::board::read;
use super::cluster::Cluster;
use super::ground::Ground;
use super::service::{UploadEnds, UploadPlan};
use super::{actors, seeds, settings, tasks, wire};

const MS: u64 = 1_000_000;

fn a_plan(rng: &mut Rng, tag: u64) -> UploadPlan {
    let len = rng.cut(150_000) * rng.below(8).min(1) as usize;
    let ends = [
        UploadEnds::Reply,
        UploadEnds::Reply,
        UploadEnds::Refuse,
        UploadEnds::Forget,
        UploadEnds::Panic,
        UploadEnds::PanicAtOnce,
    ];
    UploadPlan {
        len,
        fails_at: match rng.below(4) {
            0 => Some(rng.below(len as u64 + 1) as usize),
            1 => Some(0),
            _ => None,
        },
        ends: ends[rng.below(6) as usize],
        reply_len: rng.cut(50_000),
        ..UploadPlan::new(tag)
    }
}

pub(super) fn uploads_of_all_fates<G: Ground>(cluster: &mut Cluster<G>) {
    let (server, client) = (
        settings::any(&mut cluster.rng),
        settings::any(&mut cluster.rng),
    );
    let client = cluster.pair(server, client);
    let plans: Vec<UploadPlan> = (0..20).map(|tag| a_plan(&mut cluster.rng, tag)).collect();
    let joins = plans.iter().map(|plan| {
        let (client, clock) = (client.clone(), cluster.clock.clone());
        cluster.spawn(actors::upload(client, *plan, plan.tag % 2 == 0, clock))
    });
    let joins: Vec<_> = joins.collect();
    let outcomes = cluster.block_on(tasks::all(joins));
    for (plan, outcome) in plans.iter().zip(outcomes) {
        outcome.unwrap_or_else(|error| panic!("{plan:?}: {error}"));
    }
    cluster.assert_at_rest();
    let board = &cluster.shards[0].board;
    let refused = plans.iter().filter(|plan| plan.fails_at == Some(0)).count() as u64;
    // Those that found a table full were begun again, all others once.
    assert!(read(&board.uploads_begun) + refused >= plans.len() as u64);
    assert!(
        client.is_active(),
        "whatever becomes of them, the connection stays"
    );
}

#[test]
fn an_upload_is_taken_or_refused_at_any_stage_and_the_connection_stays() {
    seeds::each(150, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        uploads_of_all_fates(&mut cluster);
        cluster.finish();
    });
}

#[test]
fn uploads_work_on_the_kernel_s_ring() {
    for seed in 0..6 {
        let mut cluster = Cluster::real(seed);
        uploads_of_all_fates(&mut cluster);
        cluster.finish();
    }
}

#[test]
fn an_upload_that_is_retracted_ends_its_sink_once() {
    seeds::each(100, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        let client = cluster.pair(settings::plain(), settings::plain());
        for tag in 0..8 {
            let plan = UploadPlan {
                len: 100_000 + cluster.rng.cut(200_000),
                ..UploadPlan::new(tag)
            };
            let upload = client.upload_stream(plan.meta(), plan.data().into());
            let wait = cluster.rng.below(4 * MS);
            cluster.run_for(wait);
            drop(upload);
        }
        cluster.assert_at_rest();
        let board = &cluster.shards[0].board;
        let ended = read(&board.uploads_whole) + read(&board.uploads_failed);
        assert_eq!(read(&board.uploads_begun), ended);
        assert!(client.is_active());
        cluster.finish();
    });
}

#[test]
fn a_sink_that_closes_its_connection_is_told_that_it_is_over() {
    seeds::each(40, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        let client = cluster.pair(settings::plain(), settings::plain());
        let plan = UploadPlan {
            len: 1 + cluster.rng.cut(100_000),
            ends: match cluster.rng.chance(0.5) {
                true => UploadEnds::HangUp,
                false => UploadEnds::HangUpAtOnce,
            },
            ..UploadPlan::new(1)
        };
        let clock = cluster.clock.clone();
        let upload = cluster.block_on(actors::upload(client, plan, false, clock));
        let error = upload.expect_err("the server hung up");
        assert!(matches!(error, RequestError::Closed { .. }), "{error:?}");
        let board = &cluster.shards[0].board;
        assert_eq!(
            (read(&board.uploads_begun), read(&board.uploads_failed)),
            (1, 1)
        );
        cluster.finish();
    });
}

/// A sink that keeps what it gets uses its shard's memory up. The upload waits, and goes on when the
/// memory comes back; requests pass meanwhile.
#[test]
fn a_sink_that_keeps_everything_delays_its_upload_and_nothing_else() {
    seeds::each(30, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        let small = TransportConf {
            pool_budget: 2 << 20,
            pool_reserve: 512 << 10,
            recv_buffers: 4,
            recv_buffer_len: 4 << 10,
            ..settings::plain()
        };
        let client = cluster.pair(small, settings::plain());
        let board = std::sync::Arc::clone(&cluster.shards[0].board);
        board.keeps_uploads.store(1, Ordering::Relaxed);
        let (clock, free) = (cluster.clock.clone(), std::sync::Arc::clone(&board));
        drop(cluster.spawn(async move {
            loop {
                clock.sleep(20 * MS).await;
                free.drop_kept();
            }
        }));
        let plan = UploadPlan {
            len: 3 << 20,
            ..UploadPlan::new(1)
        };
        let clock = cluster.clock.clone();
        let upload = cluster.spawn(actors::upload(client.clone(), plan, false, clock.clone()));
        cluster.until(|_| read(&board.uploads_begun) == 1);
        let order = super::content::Order::new(super::content::Deed::Reply, 2, 100);
        let rpc = cluster.spawn(actors::order(client, order, 100, clock));
        cluster.block_on(rpc).expect("it passes");
        cluster.block_on(upload).expect("it comes whole");
        cluster.assert_at_rest();
        cluster.finish();
    });
}

/// An upload in three slices, as a client would send it.
fn an_upload_by_hand(plan: &UploadPlan) -> Vec<u8> {
    let (id, total_len, deadline_us) = (3, plan.len as u64, 0);
    let meta = plan.meta();
    let begin = Upload {
        id,
        total_len,
        deadline_us,
    };
    let mut bytes = wire::hello(wire::limits());
    bytes.extend(wire::frame(begin.header(meta.len() as u32), &meta));
    let data = plan.data();
    let (mut offset, mut seq) = (0, 0);
    for slice in data.chunks(plan.len.div_ceil(3)) {
        let head = UploadData { id, offset, seq }.header(slice.len() as u32);
        bytes.extend(wire::frame(head, slice));
        offset += slice.len() as u64;
        seq += 1;
    }
    let sent_len = total_len;
    bytes.extend(wire::frame(UploadEnd { id, sent_len }.header(), &[]));
    bytes
}

/// The peer ends its stream after any of the upload's bytes: the sink is told once, and not that all
/// has come unless it has.
#[test]
fn an_upload_that_ends_at_any_byte_is_failed_once() {
    let plan = UploadPlan {
        len: 200,
        ..UploadPlan::new(4)
    };
    let bytes = an_upload_by_hand(&plan);
    let meta_end = bytes.len() - (200usize.div_ceil(3).next_multiple_of(16) + HEADER_LEN) * 3;
    for cut in wire::hello(wire::limits()).len()..=bytes.len() {
        let mut cluster = Cluster::simulated(cut as u64, Faults::rough());
        cluster.add_shard(settings::plain());
        let addr = cluster.listen(0);
        cluster.add_raw();
        cluster.raws[0].connect(&addr);
        cluster.until(|cluster| cluster.raws[0].is_connected());
        cluster.raws[0].send(bytes[..cut].to_vec());
        cluster.until(|cluster| cluster.raws[0].has_sent());
        cluster.raws[0].end_sending();
        cluster.until(|cluster| cluster.raws[0].ended);
        let board = &cluster.shards[0].board;
        let (begun, whole) = (read(&board.uploads_begun), read(&board.uploads_whole));
        let failed = read(&board.uploads_failed);
        assert_eq!(
            begun,
            u64::from(cut >= meta_end - HEADER_LEN),
            "cut at {cut}"
        );
        assert_eq!(whole, u64::from(cut == bytes.len()), "cut at {cut}");
        assert_eq!(begun, whole + failed, "cut at {cut}");
        let replies = wire::frames(&cluster.raws[0].received);
        let replied = replies.iter().filter(|it| it.0.kind == Kind::RpcReply);
        assert!(replied.count() as u64 <= whole, "cut at {cut}");
        cluster.finish();
    }
}
