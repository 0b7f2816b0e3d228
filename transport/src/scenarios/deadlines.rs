//! Deadlines are sent with requests, and a server drops expired work.

use std::collections::BTreeMap;
use std::time::Duration;

use ringrail_codec::native::{
    ChunkRequest, Flags, Header, Kind, RpcRequest, RpcSlice, SliceOf, Upload,
};

use crate::client::ChunkOptions;
use crate::conf::TransportConf;
use crate::error::RequestError;
use crate::sys::sim::Faults;

use super::board::read;
use super::cluster::Cluster;
use super::content::{ChunkName, Deed, Order};
use super::ground::{Ground, Simulated};
use super::service::UploadPlan;
use super::{actors, seeds, settings, wire};

const MS: u64 = 1_000_000;

fn serving(conf: TransportConf, seed: u64) -> (Cluster<Simulated>, usize) {
    let mut cluster = Cluster::simulated(seed, Faults::rough());
    cluster.add_shard(conf);
    let addr = cluster.listen(0);
    let raw = cluster.puppet_client(&addr, wire::limits());
    (cluster, raw)
}

fn ask<G: Ground>(cluster: &mut Cluster<G>, raw: usize, order: Order, deadline_us: u32) {
    let body = order.request(0);
    let request = RpcRequest {
        id: order.tag,
        total_len: body.len() as u64,
        deadline_us,
    };
    cluster.tell(raw, request.header(body.len() as u32), &body);
}

/// A peer that does not read its answers is held back; requests that expire meanwhile are not
/// executed when it reads at last.
#[test]
fn requests_that_were_held_beyond_their_deadline_are_never_handled() {
    let in_all = std::cell::Cell::new(0);
    seeds::each(60, |seed| {
        let conf = TransportConf {
            send_queue: 2048,
            ..settings::plain()
        };
        let (mut cluster, raw) = serving(conf, seed);
        cluster.raws[raw].listens = false;
        let mut hurried = BTreeMap::new();
        for tag in 1..=600 {
            let suppress_moderation = cluster.rng.chance(0.5);
            hurried.insert(tag, suppress_moderation);
            let order = Order::new(Deed::Reply, tag, 1000);
            ask(
                &mut cluster,
                raw,
                order,
                if suppress_moderation { 200_000 } else { 0 },
            );
        }
        cluster.run_for(400 * MS);
        let board = std::sync::Arc::clone(&cluster.shards[0].board);
        let early: Vec<u64> = (1..=600)
            .filter(|tag| board.times_handled(*tag) > 0)
            .collect();
        cluster.raws[raw].listens = true;
        cluster.raws[raw].go_on();
        cluster.assert_at_rest();
        // Bytes still in the sockets arrive as well.
        cluster.run_for(1000 * MS);
        let mut answered = BTreeMap::<u64, u32>::new();
        for (header, _) in cluster.hear(raw) {
            *answered.entry(header.id).or_default() += 1;
        }
        let mut dropped = 0;
        for (tag, suppress_moderation) in hurried {
            let handled = board.times_handled(tag);
            let must = early.contains(&tag) || !suppress_moderation;
            // One that was still in the socket has its time from when it was read.
            assert!(handled == 1 || (handled == 0 && !must), "request {tag}");
            assert_eq!(answered.get(&tag).copied().unwrap_or(0), handled);
            dropped += u64::from(handled == 0);
        }
        assert_eq!(cluster.metrics(0).requests_timed_out, dropped);
        in_all.set(in_all.get() + dropped);
        cluster.finish();
    });
    assert!(in_all.get() > 0, "nothing was held back");
}

#[test]
fn a_late_answer_is_not_sent() {
    seeds::each(40, |seed| {
        let (mut cluster, raw) = serving(settings::plain(), seed);
        ask(&mut cluster, raw, Order::new(Deed::Defer, 1, 10), 0);
        ask(&mut cluster, raw, Order::new(Deed::Defer, 2, 10), 50_000);
        cluster.until(|cluster| cluster.shards[0].board.debts() == 2);
        cluster.run_for(60 * MS);
        cluster.shards[0].board.settle();
        cluster.assert_at_rest();
        let answers: Vec<u64> = cluster.hear(raw).into_iter().map(|it| it.0.id).collect();
        assert_eq!(answers, [1]);
        assert_eq!(cluster.metrics(0).requests_timed_out, 1);
        cluster.finish();
    });
}

/// Transfers that the peer leaves incomplete, without a cancellation, are removed at their
/// deadline.
#[test]
fn what_stands_still_beyond_its_deadline_is_swept_up() {
    seeds::each(40, |seed| {
        let (mut cluster, raw) = serving(settings::plain(), seed);
        let deadline_us = 5_000_000;
        let name = ChunkName {
            from_file: cluster.rng.chance(0.5),
            len: 50_000,
        };
        let chunk = ChunkRequest {
            id: 1,
            stream_id: name.stream_id(),
            chunk_index: 0,
            offset: 0,
            max_len: u64::MAX,
            credit: 1000,
            deadline_us,
            unsummed: false,
        };
        cluster.tell(raw, chunk.header(), &chunk.body());
        half_a_request(&mut cluster, raw, deadline_us);
        let meta = UploadPlan {
            len: 1000,
            ..UploadPlan::new(3)
        }
        .meta();
        let upload = Upload {
            id: 3,
            total_len: 1000,
            deadline_us,
        };
        cluster.tell(raw, upload.header(meta.len() as u32), &meta);
        let held = |cluster: &Cluster<Simulated>| {
            let board = &cluster.shards[0].board;
            (read(&board.sending), read(&board.uploads_begun))
        };
        cluster.until(|cluster| held(cluster) == (1, 1));
        cluster.run_for(1000 * MS);
        assert!(
            cluster.metrics(0).pool_bytes_used >= 1 << 20,
            "half a request"
        );
        // Silence is looked at every ten seconds.
        cluster.run_for(20_000 * MS);
        cluster.assert_at_rest();
        assert!(cluster.metrics(0).pool_bytes_used < 1 << 20);
        let board = &cluster.shards[0].board;
        assert_eq!((read(&board.sending), read(&board.uploads_failed)), (0, 1));
        assert_eq!(cluster.metrics(0).requests_timed_out, 3);
        cluster.finish();
    });
}

/// The first slice of a request of 1 MiB, and a part of the second.
fn half_a_request<G: Ground>(cluster: &mut Cluster<G>, raw: usize, deadline_us: u32) {
    let request = RpcRequest {
        id: 2,
        total_len: 1 << 20,
        deadline_us,
    };
    let mut header: Header = request.header(1000);
    header.flags = header.flags.with(Flags::MORE);
    cluster.tell(raw, header, &[0; 1000]);
    let slice = RpcSlice {
        id: 2,
        of: SliceOf::Request,
        offset: 1000,
        seq: 1,
        more: true,
    };
    cluster.tell(raw, slice.header(500), &[0; 500]);
}

/// On the caller's side each request times out on its own, independent of others, and its peer gets
/// a cancellation.
#[test]
fn every_request_times_out_at_its_own_time_and_is_retracted() {
    seeds::each(60, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        let client = cluster.pair(settings::plain(), settings::plain());
        let clock = cluster.clock.clone();
        let mut joins = Vec::new();
        for tag in 0..20 {
            let ms = 5 + cluster.rng.below(300);
            let timeout = Some(Duration::from_millis(ms));
            let request = Order::new(Deed::Defer, tag, 10).request(100);
            let (asked, clock) = (client.send_rpc_timeout(request, timeout), clock.clone());
            let begun_ns = clock.now_ns();
            joins.push(cluster.spawn(async move {
                let outcome = asked.await;
                (outcome, clock.now_ns() - begun_ns, ms * MS)
            }));
        }
        for join in joins {
            let (outcome, took_ns, timeout_ns) = cluster.block_on(join);
            let error = outcome.expect_err("nobody answers");
            assert!(matches!(error, RequestError::TimedOut { .. }), "{error:?}");
            let range = timeout_ns..timeout_ns + 4 * MS;
            assert!(range.contains(&took_ns), "{took_ns} ns, not in {range:?}");
        }
        cluster.run_for(100 * MS);
        let board = std::sync::Arc::clone(&cluster.shards[0].board);
        while let Some(debt) = board.take_debt(0) {
            assert!(debt.reply.is_retracted(), "the handler can know");
            debt.reply.reply(debt.body);
        }
        cluster.assert_at_rest();
        assert_eq!(cluster.metrics(1).requests_timed_out, 20);
        cluster.finish();
    });
}

#[test]
fn a_chunk_that_comes_too_slowly_says_how_far_it_was() {
    seeds::each(30, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        cluster.world().set_link(crate::sys::sim::Link {
            bytes_per_sec: Some(1_000_000),
            ..crate::sys::sim::Link::default()
        });
        let client = cluster.pair(settings::plain(), settings::plain());
        let name = ChunkName {
            from_file: cluster.rng.chance(0.5),
            len: 1 << 20,
        };
        let options = ChunkOptions {
            timeout: Some(Duration::from_millis(200)),
            len_hint: Some(name.len as u64),
            ..ChunkOptions::default()
        };
        let fetched = client.fetch_chunk(name.stream_id(), 0, &options);
        let error = cluster.block_on(fetched).expect_err("a second is needed");
        assert!(error.to_string().contains("had begun to arrive"), "{error}");
        let small = Order::new(Deed::Reply, 1, 10);
        let clock = cluster.clock.clone();
        let asked = cluster.block_on(actors::order(client, small, 100, clock));
        asked.expect("the connection stays");
        cluster.assert_at_rest();
        let sent = cluster.metrics(0).bytes_out;
        assert!(sent < 900_000, "the rest was not sent, but {sent} bytes");
        cluster.finish();
    });
}

#[test]
fn a_kind_of_frame_for_every_deadline() {
    // The deadlines of all kinds of requests are those that the caller set.
    let conf = TransportConf {
        request_timeout: Duration::from_millis(1500),
        ..settings::plain()
    };
    let mut cluster = Cluster::simulated(1, Faults::default());
    cluster.add_shard(conf);
    let (raw, client) = cluster.puppet_server(0, wire::limits());
    let futures = (
        client.send_rpc("rpc"),
        client.fetch_chunk(1, 2, &ChunkOptions::default()),
        client.upload_stream("meta", bytes::Bytes::new().into()),
    );
    let mut told = BTreeMap::new();
    while told.len() < 3 {
        for (header, body) in cluster.hear_some(raw) {
            match header.kind {
                Kind::RpcRequest | Kind::Upload => told.insert(header.kind as u8, header.aux),
                Kind::ChunkRequest => {
                    let request = ChunkRequest::from_header(&header, &body).expect("a request");
                    told.insert(header.kind as u8, request.deadline_us)
                }
                _ => None,
            };
        }
    }
    assert!(told.values().all(|us| *us == 1_500_000), "{told:?}");
    drop(futures);
    cluster.finish();
}
