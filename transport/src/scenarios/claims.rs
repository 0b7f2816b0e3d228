//! Peers that claim and do not send, or ask and do not read: what they hold is bounded and comes back, and an
//! honest peer beside them keeps working.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ringrail_codec::native::{ChunkData, ChunkRequest, Kind, OneWay, Ping, RpcRequest, Upload};
use ringrail_codec::spark;

use crate::client::{ChunkOptions, TransportClient};
use crate::conf::TransportConf;
use crate::shard::conn::Protocol;
use crate::spark::{ClientAuthentication, ClientMode, Secret, ServerAuthentication, ServerMode};
use crate::sys::sim::Faults;

use super::cluster::Cluster;
use super::content::{ChunkName, Deed, Order};
use super::ground::Simulated;
use super::service::UploadPlan;
use super::{actors, board, seeds, settings, wire};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;

/// Bodies without progress are dropped after five seconds, silent peers after twenty.
fn conf() -> TransportConf {
    TransportConf {
        progress_timeout: Duration::from_secs(5),
        connection_timeout: Duration::from_secs(20),
        request_timeout: Duration::from_secs(600),
        ..settings::plain()
    }
}

fn data_len(conf: &TransportConf) -> usize {
    conf.pool_budget - conf.pool_reserve
}

/// A server, and an honest client of it.
fn served(seed: u64, spark: bool) -> (Cluster<Simulated>, TransportClient) {
    let mut cluster = Cluster::simulated(seed, Faults::default());
    if spark {
        cluster.speaks = (Protocol::SparkServer(None), Protocol::SparkClient(None));
    }
    let client = cluster.pair(conf(), conf());
    (cluster, client)
}

/// The honest client's call, with a body that needs memory there.
fn call(cluster: &mut Cluster<Simulated>, client: &TransportClient, tag: u64) {
    let begun_ns = cluster.clock.now_ns();
    let order = Order::new(Deed::Reply, tag, 10);
    let asked = actors::order(client.clone(), order, 300_000, cluster.clock.clone());
    cluster.block_on(asked).expect("an honest peer is served");
    let took_ns = cluster.clock.now_ns() - begun_ns;
    assert!(took_ns < SECOND, "call {tag} took {took_ns} ns");
}

fn leased(cluster: &Cluster<Simulated>) -> usize {
    cluster.shards[0].pump.local.pool.stats().leased_bytes
}

/// Kinds of things that are under way on the server's connections.
fn sliced(cluster: &Cluster<Simulated>) -> usize {
    let conns = cluster.shards[0].pump.local.all_conns();
    conns.iter().flat_map(|conn| conn.loose_ends()).count()
}

#[test]
fn lengths_that_are_announced_and_never_sent_hold_little_and_not_for_long() {
    seeds::each(4, |seed| {
        let (mut cluster, client) = served(seed, false);
        let at_first = leased(&cluster);
        let raw = cluster.puppet_client(&client.peer().clone(), wire::limits());
        let total_len = 1 << 20;
        for id in (1..=100).map(|id| 2 * id) {
            let one_way = OneWay { id, total_len }.header(48);
            cluster.tell(raw, one_way, &[0; 48]);
            let (id, deadline_us) = (id + 1, 0);
            let request = RpcRequest {
                id,
                total_len,
                deadline_us,
            };
            cluster.tell(raw, request.header(48), &[0; 48]);
        }
        cluster.run_for(100 * MS);
        assert!(sliced(&cluster) > 0, "it has begun");
        let held = leased(&cluster) - at_first;
        assert!(held < data_len(&conf()) / 2, "{held} bytes for 10,000");
        // Pings keep the connection, and nothing but the connection.
        for tag in 0..12 {
            call(&mut cluster, &client, tag);
            cluster.tell(raw, Ping { opaque: tag }.header(), &[]);
            cluster.run_for(SECOND);
        }
        assert!(!cluster.raws[raw].ended, "the connection is alive");
        assert_eq!(sliced(&cluster), 0, "nothing is waited for any more");
        let held = leased(&cluster).saturating_sub(at_first);
        assert!(held < 1 << 20, "{held} bytes are still held");
        cluster.finish();
    });
}

#[test]
fn one_peer_gets_no_more_than_its_share_though_it_sends_what_it_claims() {
    seeds::each(4, |seed| {
        let (mut cluster, client) = served(seed, false);
        let raw = cluster.puppet_client(&client.peer().clone(), wire::limits());
        let (total_len, first) = (1 << 20, vec![0; 512 << 10]);
        for id in 1..=60 {
            let deadline_us = 0;
            let request = RpcRequest {
                id,
                total_len,
                deadline_us,
            };
            cluster.tell(raw, request.header(first.len() as u32), &first);
        }
        cluster.until(|cluster| cluster.raws[raw].has_sent());
        cluster.run_for(100 * MS);
        let share = data_len(&conf()) / 3 * 2;
        let held = leased(&cluster);
        assert!(held > share / 2, "it has got something: {held}");
        assert!(held < share + (3 << 20), "{held} of a share of {share}");
        call(&mut cluster, &client, 1);
        let refused = cluster.hear(raw);
        assert!(refused.len() > 20, "{} were refused", refused.len());
        cluster.run_for(8 * SECOND);
        assert_eq!(sliced(&cluster), 0);
        cluster.finish();
    });
}

#[test]
fn a_request_beyond_the_share_fails_alone_and_names_the_key() {
    for spark in [false, true] {
        let mut cluster = Cluster::simulated(1, Faults::default());
        if spark {
            cluster.speaks = (Protocol::SparkServer(None), Protocol::SparkClient(None));
        }
        let frugal = TransportConf {
            connection_share: 64 << 10,
            ..conf()
        };
        let client = cluster.pair(frugal, conf());
        let order = Order::new(Deed::Reply, 1, 10);
        let asked = actors::order(client.clone(), order, 100_000, cluster.clock.clone());
        let error = cluster.block_on(asked).expect_err("it is too long");
        let text = error.to_string();
        assert!(
            text.contains("ringrail.transport.connectionShare"),
            "{text}"
        );
        assert!(!error.is_retryable(), "{error:?}");
        let asked = actors::order(client, order, 50_000, cluster.clock.clone());
        cluster.block_on(asked).expect("the connection stays");
        cluster.assert_at_rest();
        cluster.finish();
    }
}

/// A connection that sends bytes and is never looked at again.
fn stray(cluster: &mut Cluster<Simulated>, client: &TransportClient, bytes: Bytes) -> usize {
    let raw = cluster.add_raw();
    cluster.raws[raw].listens = false;
    cluster.raws[raw].connect(&client.peer().clone());
    cluster.until(|cluster| cluster.raws[raw].is_connected());
    cluster.raws[raw].send(bytes);
    raw
}

#[test]
fn bodies_of_spark_that_are_announced_and_never_sent_stop_nobody() {
    seeds::each(4, |seed| {
        let (mut cluster, client) = served(seed, true);
        let head = spark::RpcRequest { request_id: 7 }.head(1 << 20);
        let mut claim = head.expect("a head").to_vec();
        claim.resize(claim.len() + 100, 0);
        for _ in 0..40 {
            stray(&mut cluster, &client, claim.clone().into());
        }
        cluster.run_for(100 * MS);
        assert_eq!(cluster.shards[0].pump.local.conn_count(), 41);
        for tag in 0..8 {
            call(&mut cluster, &client, tag);
            cluster.run_for(SECOND);
        }
        let left = cluster.shards[0].pump.local.conn_count();
        assert_eq!(left, 1, "those that stand still were ended");
        cluster.finish();
    });
}

#[test]
fn peers_that_must_authenticate_and_do_not_cost_little_and_not_for_long() {
    seeds::each(4, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::default());
        let secret = || Secret::from("known to both");
        let server = ServerAuthentication::shared(ServerMode::Sasl, secret());
        let client = ClientAuthentication::new(ClientMode::Sasl, "app", secret());
        cluster.speaks = (
            Protocol::SparkServer(Some(Arc::new(server))),
            Protocol::SparkClient(Some(Arc::new(client))),
        );
        let client = cluster.pair(conf(), conf());
        let at_first = leased(&cluster);
        let head = spark::RpcRequest { request_id: 7 }.head(8000);
        let mut claim = head.expect("a head").to_vec();
        claim.resize(claim.len() + 100, 0);
        for _ in 0..40 {
            stray(&mut cluster, &client, claim.clone().into());
        }
        cluster.run_for(100 * MS);
        let held = leased(&cluster) - at_first;
        assert!(held <= 40 * (16 << 10), "{held} bytes");
        call(&mut cluster, &client, 1);
        cluster.run_for(conf().handshake_timeout.as_nanos() as u64);
        assert_eq!(cluster.shards[0].pump.local.conn_count(), 1);
        call(&mut cluster, &client, 2);
        cluster.pardon(crate::metrics::ErrorKind::HandshakeTimeout);
        cluster.finish();
    });
}

/// Requests for chunks, in either protocol.
fn chunk_requests(spark: bool, count: u32) -> Vec<u8> {
    let name = ChunkName {
        from_file: false,
        len: 1 << 20,
    };
    let stream_id = name.stream_id();
    let mut bytes = match spark {
        true => Vec::new(),
        false => wire::hello(wire::limits()),
    };
    for index in 0..count {
        if spark {
            let request = spark::ChunkFetchRequest {
                stream_id: stream_id as i64,
                chunk_index: index as i32,
            };
            bytes.extend_from_slice(&request.encode());
            continue;
        }
        let request = ChunkRequest {
            id: u64::from(index) + 1,
            stream_id,
            chunk_index: index,
            offset: 0,
            max_len: u64::MAX,
            credit: u64::MAX,
            deadline_us: 0,
            unsummed: false,
        };
        bytes.extend(wire::frame(request.header(), &request.body()));
    }
    bytes
}

#[test]
fn a_peer_that_asks_and_never_reads_is_timed_out() {
    for spark in [false, true] {
        seeds::each(4, |seed| {
            let (mut cluster, client) = served(seed, spark);
            let requests = chunk_requests(spark, 200).into();
            let raw = stray(&mut cluster, &client, requests);
            cluster.run_for(SECOND);
            assert_eq!(cluster.shards[0].pump.local.conn_count(), 2);
            for tag in 0..35 {
                call(&mut cluster, &client, tag);
                if !spark {
                    // It lives, and says so.
                    cluster.tell(raw, Ping { opaque: tag }.header(), &[]);
                }
                cluster.run_for(SECOND);
            }
            let left = cluster.shards[0].pump.local.conn_count();
            assert_eq!(left, 1, "the one that does not read was ended");
            assert_eq!(board::read(&cluster.shards[0].board.sending), 0);
            cluster.finish();
        });
    }
}

/// Pings every second for ten, by a peer that does nothing else.
fn only_pings(cluster: &mut Cluster<Simulated>, raw: usize) {
    for opaque in 0..10 {
        cluster.tell(raw, Ping { opaque }.header(), &[]);
        cluster.run_for(SECOND);
    }
}

#[test]
fn an_upload_that_stands_still_is_given_up_and_its_connection_kept() {
    let (mut cluster, client) = served(1, false);
    let raw = cluster.puppet_client(&client.peer().clone(), wire::limits());
    let plan = UploadPlan {
        len: 50_000,
        ..UploadPlan::new(5)
    };
    let meta = plan.meta();
    let upload = Upload {
        id: 2,
        total_len: 50_000,
        deadline_us: 0,
    };
    cluster.tell(raw, upload.header(meta.len() as u32), &meta);
    cluster.run_for(SECOND);
    assert_eq!(board::read(&cluster.shards[0].board.uploads_begun), 1);
    only_pings(&mut cluster, raw);
    let (failure, _) = cluster.hear_one(raw, |header| header.id == 2);
    assert_eq!(failure.kind, Kind::RpcFailure);
    assert_eq!(board::read(&cluster.shards[0].board.uploads_failed), 1);
    assert!(!cluster.raws[raw].ended);
    cluster.finish();
}

#[test]
fn a_chunk_that_stands_still_fails_before_its_request_times_out() {
    let mut cluster = Cluster::simulated(1, Faults::default());
    cluster.add_shard(conf());
    let (raw, client) = cluster.puppet_server(0, wire::limits());
    let options = ChunkOptions {
        len_hint: Some(20_000),
        ..ChunkOptions::default()
    };
    let asked = client.fetch_chunk(1, 0, &options);
    let asked = cluster.spawn(asked);
    let (request, _) = cluster.hear_one(raw, |header| header.kind == Kind::ChunkRequest);
    let slice = ChunkData {
        id: request.id,
        total_len: 20_000,
        seq: 0,
        more: true,
    };
    cluster.tell(raw, slice.header(5_000), &[0; 5_000]);
    only_pings(&mut cluster, raw);
    let error = asked
        .take()
        .expect("it is over")
        .expect_err("it came to nothing");
    assert!(error.to_string().contains("progressTimeout"), "{error}");
    assert!(client.is_active());
    cluster.hear_one(raw, |header| header.kind == Kind::Cancel);
    cluster.finish();
}
