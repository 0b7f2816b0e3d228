//! Credit: peers that grant none, or a few bytes at a time, or far too many; and length hints that
//! are wrong.

use std::collections::BTreeMap;

use bytes::Bytes;
use ringrail_codec::native::{
    ChunkRequest, Credit, FailureCode, Flags, Header, Kind, Limits, RpcReply, RpcRequest,
    StreamRequest,
};

use crate::buf::ManagedBuffer;
use crate::client::ChunkOptions;
use crate::error::{Reached, RequestError};
use crate::sys::sim::{Faults, Rng};

use super::cluster::Cluster;
use super::content::{self, ChunkName, Deed, Order};
use super::ground::Ground;
use super::puppet::Frame;
use super::service::UploadPlan;
use super::{actors, seeds, settings, tasks, wire};

const MS: u64 = 1_000_000;

/// The received part of one body, and the credit for the rest.
struct Body {
    wanted: Bytes,
    got: Vec<u8>,
    granted: u64,
    over: bool,
}

/// The books of a receiver, kept by hand.
#[derive(Default)]
struct Books(BTreeMap<u64, Body>);

impl Books {
    fn open(&mut self, id: u64, wanted: Bytes, granted: u64) {
        let (got, over) = (Vec::new(), false);
        self.0.insert(
            id,
            Body {
                wanted,
                got,
                granted,
                over,
            },
        );
    }

    /// Accounts for a received frame.
    ///
    /// # Panics
    /// If it exceeds the grant, or its bytes differ from the expected ones.
    fn take(&mut self, (header, bytes): &Frame) {
        let Some(body) = self.0.get_mut(&header.id) else {
            return;
        };
        assert!(!body.over, "{:?} behind the end", header.kind);
        if matches!(header.kind, Kind::RpcReply | Kind::RpcRequest) {
            // The first slice is free.
            body.granted += bytes.len() as u64;
        }
        body.got.extend_from_slice(bytes);
        let got = body.got.len() as u64;
        assert!(
            got <= body.granted,
            "{got} bytes where {} were granted",
            body.granted
        );
        actors::expect("what came", &body.got, &body.wanted[..body.got.len()]);
        body.over = match header.kind {
            Kind::StreamEnd | Kind::UploadEnd => true,
            Kind::StreamData | Kind::UploadData => false,
            Kind::ChunkData | Kind::RpcReply | Kind::RpcRequest | Kind::RpcSlice => {
                !header.flags.contains(Flags::MORE) && got == body.wanted.len() as u64
            }
            kind => panic!("{kind:?} came"),
        };
        assert!(!body.over || body.got.len() == body.wanted.len());
    }

    fn grant(&mut self, id: u64, bytes: u64) {
        if let Some(body) = self.0.get_mut(&id) {
            body.granted = body.granted.saturating_add(bytes);
        }
    }

    /// Bodies that can go no further without credit.
    fn waiting(&self) -> Vec<u64> {
        let stuck = |body: &Body| !body.over && body.got.len() as u64 == body.granted;
        let waiting = self.0.iter().filter(|(_, body)| stuck(body));
        waiting.map(|(id, _)| *id).collect()
    }

    fn is_over(&self) -> bool {
        self.0.values().all(|body| body.over)
    }
}

const CHUNK: u64 = 1;
const STREAM: u64 = 2;
const RPC: u64 = 3;

fn frugal(rng: &mut Rng) -> Limits {
    Limits {
        initial_credit: 1 + rng.below(3000),
        ..wire::limits()
    }
}

/// Asks for a chunk, a stream and a large reply, with no more credit than must be.
fn ask_for_everything<G: Ground>(cluster: &mut Cluster<G>, raw: usize, limits: Limits) -> Books {
    let mut books = Books::default();
    let rng = &mut cluster.rng;
    let name = ChunkName {
        from_file: rng.chance(0.5),
        len: 20_000 + rng.cut(60_000),
    };
    let (stream_file, stream_len) = (rng.chance(0.5), 20_000 + rng.cut(60_000));
    let order = Order::new(Deed::ReplyShared, 77, 20_000 + rng.cut(60_000));
    let chunk = ChunkRequest {
        id: CHUNK,
        stream_id: name.stream_id(),
        chunk_index: 4,
        offset: 0,
        max_len: u64::MAX,
        credit: 0,
        deadline_us: 0,
        unsummed: false,
    };
    cluster.tell(raw, chunk.header(), &chunk.body());
    books.open(CHUNK, name.bytes(4), 0);
    let stream_name = actors::stream_name(stream_file, 8, stream_len);
    let stream = StreamRequest {
        id: STREAM,
        offset: 0,
        deadline_us: 0,
        credit: 0,
        name: &stream_name,
    };
    let mut body = vec![0; 200];
    let len = stream.encode_body(&mut body).expect("room");
    cluster.tell(raw, stream.header(), &body[..len]);
    books.open(STREAM, content::bytes(8, stream_len), 0);
    ask(cluster, raw, RPC, order);
    books.open(RPC, order.reply(), limits.initial_credit);
    books
}

fn ask<G: Ground>(cluster: &mut Cluster<G>, raw: usize, id: u64, order: Order) {
    let body = order.request(0);
    let (total_len, deadline_us) = (body.len() as u64, 0);
    let request = RpcRequest {
        id,
        total_len,
        deadline_us,
    };
    cluster.tell(raw, request.header(total_len as u32), &body);
}

pub(super) fn grants_nothing<G: Ground>(cluster: &mut Cluster<G>) {
    cluster.add_shard(settings::plain());
    let addr = cluster.listen(0);
    let limits = frugal(&mut cluster.rng);
    let raw = cluster.puppet_client(&addr, limits);
    let mut books = ask_for_everything(cluster, raw, limits);
    cluster.run_for(50 * MS);
    for frame in cluster.hear(raw) {
        books.take(&frame);
    }
    assert_eq!(books.waiting(), [CHUNK, STREAM, RPC]);
    // Others on the same connection are served meanwhile.
    for id in 10..20 {
        let order = Order::new(Deed::Reply, id, 100);
        ask(cluster, raw, id, order);
        let (_, reply) = cluster.hear_one(raw, |header| header.id == id);
        actors::expect("reply", &reply, &order.reply());
    }
    cluster.raws[raw].close();
    cluster.until(|cluster| cluster.shards[0].pump.local.conn_count() == 0);
}

#[test]
fn a_peer_that_grants_nothing_gets_nothing_and_holds_up_nobody() {
    seeds::each(100, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        grants_nothing(&mut cluster);
        cluster.finish();
    });
}

pub(super) fn grants_in_steps<G: Ground>(cluster: &mut Cluster<G>, most: u64) {
    let conf = settings::any(&mut cluster.rng);
    cluster.add_shard(conf);
    let addr = cluster.listen(0);
    let limits = frugal(&mut cluster.rng);
    let raw = cluster.puppet_client(&addr, limits);
    let mut books = ask_for_everything(cluster, raw, limits);
    while !books.is_over() {
        for id in books.waiting() {
            let bytes = 1 + cluster.rng.below(most);
            grant(cluster, raw, &mut books, (id, bytes), false);
        }
        for frame in cluster.hear_some(raw) {
            books.take(&frame);
        }
    }
    cluster.assert_at_rest();
}

#[test]
fn credit_in_steps_of_any_size_brings_everything_and_never_more() {
    seeds::each(60, |seed| {
        for most in [900, 20_000, u64::MAX - 1] {
            let mut cluster = Cluster::simulated(seed, Faults::rough());
            grants_in_steps(&mut cluster, most);
            cluster.finish();
        }
    });
}

#[test]
fn credit_works_on_the_kernel_s_ring() {
    for seed in 0..4 {
        let mut cluster = Cluster::real(seed);
        grants_nothing(&mut cluster);
        cluster.finish();
        let mut cluster = Cluster::real(seed);
        grants_in_steps(&mut cluster, 5000);
        cluster.finish();
    }
}

/// An upload and a large request to a server by hand, which grants as `step` says; 0 never.
fn sends_within_credit<G: Ground>(cluster: &mut Cluster<G>, step: u64) {
    let mut conf = settings::any(&mut cluster.rng);
    conf.request_timeout = std::time::Duration::from_secs(3);
    cluster.add_shard(conf);
    let limits = frugal(&mut cluster.rng);
    let (raw, client) = cluster.puppet_server(0, limits);
    let plan = UploadPlan {
        len: 20_000 + cluster.rng.cut(60_000),
        ..UploadPlan::new(5)
    };
    let data = match cluster.rng.chance(0.5) {
        true => content::file(plan.tag, plan.len),
        false => ManagedBuffer::from(plan.data()),
    };
    let large = Order::new(Deed::Reply, 6, 10).request(20_000 + cluster.rng.cut(60_000));
    let upload = cluster.spawn(client.upload_stream(plan.meta(), data));
    let request = cluster.spawn(client.send_rpc(large.clone()));
    let mut books = both_begun(cluster, raw, limits.initial_credit, (plan.data(), large));
    if step == 0 {
        return never_granted(cluster, raw, &mut books, (upload, request));
    }
    while !books.is_over() {
        for id in books.waiting() {
            let bytes = 1 + cluster.rng.below(step);
            grant(cluster, raw, &mut books, (id, bytes), true);
        }
        for frame in cluster.hear_some(raw) {
            books.take(&frame);
        }
    }
    for id in books.0.into_keys() {
        let reply = RpcReply { id, total_len: 2 };
        cluster.tell(raw, reply.header(2), b"ok");
    }
    for outcome in [cluster.block_on(upload), cluster.block_on(request)] {
        assert_eq!(&outcome.expect("answered")[..], b"ok");
    }
    cluster.assert_at_rest();
}

/// Waits for an upload and a request to begin, and opens the books of both.
fn both_begun<G: Ground>(
    cluster: &mut Cluster<G>,
    raw: usize,
    credit: u64,
    (upload, request): (Bytes, Bytes),
) -> Books {
    let mut books = Books::default();
    while books.0.len() < 2 {
        for frame in cluster.hear_some(raw) {
            let id = frame.0.id;
            match frame.0.kind {
                Kind::Upload => {
                    books.open(id, upload.clone(), credit);
                    continue;
                }
                Kind::RpcRequest => books.open(id, request.clone(), credit),
                _ => {}
            }
            books.take(&frame);
        }
    }
    books
}

/// Grants, in the books first: the frame is on its way.
fn grant<G: Ground>(
    cluster: &mut Cluster<G>,
    raw: usize,
    books: &mut Books,
    (id, bytes): (u64, u64),
    by_responder: bool,
) {
    books.grant(id, bytes);
    let credit = Credit {
        id,
        bytes,
        by_responder,
    };
    cluster.tell(raw, credit.header(), &[]);
}

type PeerRequests = tasks::Join<Result<crate::shard::conn::Reply, RequestError>>;

fn never_granted<G: Ground>(
    cluster: &mut Cluster<G>,
    raw: usize,
    books: &mut Books,
    (upload, request): (PeerRequests, PeerRequests),
) {
    for outcome in [cluster.block_on(upload), cluster.block_on(request)] {
        match outcome.expect_err("nobody took it") {
            RequestError::TimedOut { reached, key, .. } => {
                assert_eq!(reached, Reached::Sent);
                assert_eq!(key, "ringrail.transport.requestTimeout");
            }
            error => panic!("{error:?}"),
        }
    }
    cluster.run_for(10 * MS);
    let mut cancels = 0;
    for frame in cluster.hear(raw) {
        match frame.0.kind {
            Kind::Cancel => cancels += 1,
            _ => books.take(&frame),
        }
    }
    assert_eq!(cancels, 2, "the peer is told of both");
    cluster.assert_at_rest();
}

#[test]
fn uploads_and_large_requests_stay_within_what_is_granted() {
    seeds::each(60, |seed| {
        for step in [900, 20_000] {
            let mut cluster = Cluster::simulated(seed, Faults::rough());
            sends_within_credit(&mut cluster, step);
            cluster.finish();
        }
    });
}

#[test]
fn what_is_never_granted_times_out_and_is_retracted() {
    seeds::each(60, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        sends_within_credit(&mut cluster, 0);
        cluster.finish();
    });
}

fn chunks_with_hints<G: Ground>(cluster: &mut Cluster<G>) {
    let (server, client) = (
        settings::any(&mut cluster.rng),
        settings::any(&mut cluster.rng),
    );
    let client = cluster.pair(server, client);
    for index in 0..12 {
        let rng = &mut cluster.rng;
        let len = [0, 1, rng.cut(60_000), 40_000][rng.below(4) as usize];
        let near = len as u64;
        let hints = [
            0,
            1,
            near.saturating_sub(1),
            near,
            near + 1,
            10 * near,
            1 << 40,
            u64::MAX,
        ];
        let name = ChunkName {
            from_file: rng.chance(0.5),
            len,
        };
        let offset = rng.below(near + 1) * rng.below(2);
        let options = ChunkOptions {
            len_hint: Some(hints[rng.below(8) as usize]),
            offset,
            max_len: [u64::MAX, rng.below(50_000), 0][rng.below(3) as usize],
            timeout: None,
            checksum: rng.below(4) > 0,
        };
        let clock = cluster.clock.clone();
        let fetched = actors::chunk(client.clone(), name, index, options, clock);
        let outcome = cluster.block_on(fetched);
        outcome.unwrap_or_else(|error| panic!("{name:?}, {options:?}: {error}"));
    }
    cluster.assert_at_rest();
}

#[test]
fn a_wrong_length_hint_costs_time_at_most() {
    seeds::each(100, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        chunks_with_hints(&mut cluster);
        cluster.finish();
    });
}

/// Frames that the engine sends to a peer, as that peer checks them.
#[test]
fn a_chunk_without_credit_is_announced_with_its_length() {
    let mut cluster = Cluster::simulated(1, Faults::default());
    cluster.add_shard(settings::plain());
    let addr = cluster.listen(0);
    let raw = cluster.puppet_client(&addr, wire::limits());
    let name = ChunkName {
        from_file: false,
        len: 12_345,
    };
    let request = ChunkRequest {
        id: 9,
        stream_id: name.stream_id(),
        chunk_index: 0,
        offset: 345,
        max_len: 10_000,
        credit: 0,
        deadline_us: 0,
        unsummed: false,
    };
    cluster.tell(raw, request.header(), &request.body());
    let (header, body): (Header, _) = cluster.hear_one(raw, |header| header.id == 9);
    assert_eq!((header.kind, header.arg), (Kind::ChunkData, 10_000));
    assert!(body.is_empty() && header.flags.contains(Flags::MORE));
    cluster.finish();
}

/// A peer that exceeds its announced number of requests has exactly the excess refused.
#[test]
fn requests_beyond_the_table_are_refused_one_by_one() {
    seeds::each(40, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        let mut conf = settings::plain();
        conf.limits.max_outstanding = 4;
        cluster.add_shard(conf);
        let addr = cluster.listen(0);
        let raw = cluster.puppet_client(&addr, wire::limits());
        let mut codes = BTreeMap::new();
        for id in 1..=10 {
            ask(&mut cluster, raw, id, Order::new(Deed::Defer, id, 10));
        }
        while codes.len() < 6 {
            for (header, _) in cluster.hear_some(raw) {
                assert_eq!(header.kind, Kind::RpcFailure);
                assert!(header.flags.contains(Flags::RETRYABLE));
                codes.insert(header.id, header.code);
            }
        }
        assert_eq!(
            codes.keys().copied().collect::<Vec<_>>(),
            [5, 6, 7, 8, 9, 10]
        );
        assert!(
            codes
                .values()
                .all(|code| *code == FailureCode::Busy.to_wire())
        );
        cluster.shards[0].board.settle();
        let mut answered = 0;
        while answered < 4 {
            answered += cluster.hear_some(raw).len();
        }
        ask(&mut cluster, raw, 11, Order::new(Deed::Reply, 11, 10));
        let (header, _) = cluster.hear_one(raw, |header| header.id == 11);
        assert_eq!(header.kind, Kind::RpcReply);
        cluster.assert_at_rest();
        cluster.finish();
    });
}
