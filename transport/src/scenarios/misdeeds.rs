//! Peers that break a rule in the midst of a connection: it ends, alone, and its misdeed is counted
//! under its name.

use ringrail_codec::native::{
    ChunkData, ChunkRequest, FailureCode, Flags, Header, Kind, RpcFailure, RpcReply, RpcRequest,
    RpcSlice, SliceOf, StreamData, Upload, UploadData,
};

use crate::client::ChunkOptions;
use crate::error::{CloseReason, RequestError};
use crate::metrics::ErrorKind;
use crate::sys::sim::{Faults, Rng};

use super::cluster::Cluster;
use super::content::{Deed, Order};
use super::ground::{Ground, Simulated};
use super::service::UploadPlan;
use super::{actors, seeds, settings, wire};

/// A protocol violation of a scripted client, and the kind of error that it causes.
fn a_misdeed(rng: &mut Rng) -> (Vec<(Header, Vec<u8>)>, ErrorKind) {
    let limits = settings::plain().limits;
    let request = |total_len| RpcRequest {
        id: 1,
        total_len,
        deadline_us: 0,
    };
    match rng.below(7) {
        0 => {
            let mut header = request(0).header(0);
            header.body_len = limits.max_body_len + 1 + rng.below(1 << 20) as u32;
            (vec![(header, Vec::new())], ErrorKind::Oversized)
        }
        1 => {
            let mut header = request(limits.max_rpc_len + 1).header(16);
            header.flags = header.flags.with(Flags::MORE);
            (vec![(header, vec![0; 16])], ErrorKind::Oversized)
        }
        2 => (upload_beyond_credit(rng), ErrorKind::FlowControl),
        3 => {
            let stray = RpcSlice {
                id: 7,
                of: SliceOf::Request,
                offset: 16,
                seq: 1,
                more: false,
            };
            let mut header = stray.header(0);
            header.kind = Kind::Ping;
            (vec![(header, Vec::new())], ErrorKind::Malformed)
        }
        4 => {
            let id = 1;
            let (code, retryable) = (FailureCode::Internal, false);
            // No request is pending for it, and the peer may not send it.
            let failure = RpcFailure {
                id,
                code,
                retryable,
            };
            let garbage: Vec<u8> = (0..48).map(|_| rng.next_u64() as u8).collect();
            (vec![(failure.header(48), garbage)], ErrorKind::Archive)
        }
        5 => {
            let upload = begin_upload(3, 5000);
            // A second one under the same id.
            let again = begin_upload(3, 5000);
            (vec![upload, again], ErrorKind::Unexpected)
        }
        _ => {
            let skipping = UploadData {
                id: 4,
                offset: 500,
                seq: 9,
            };
            let slice = (skipping.header(100), vec![0; 100]);
            (vec![begin_upload(4, 5000), slice], ErrorKind::Unexpected)
        }
    }
}

fn begin_upload(id: u64, total_len: u64) -> (Header, Vec<u8>) {
    let plan = UploadPlan {
        len: total_len as usize,
        ..UploadPlan::new(id)
    };
    let (meta, deadline_us) = (plan.meta(), 0);
    let upload = Upload {
        id,
        total_len,
        deadline_us,
    };
    (upload.header(meta.len() as u32), meta)
}

/// Slices of the right content, and more of them than may come before any credit.
fn upload_beyond_credit(rng: &mut Rng) -> Vec<(Header, Vec<u8>)> {
    let credit = settings::plain().limits.initial_credit;
    let len = credit + 20_000;
    let mut frames = vec![begin_upload(2, len)];
    let plan = UploadPlan {
        len: len as usize,
        ..UploadPlan::new(2)
    };
    // One that goes beyond all that the sink can have given back by then.
    let first = rng.below(20_000) as usize;
    let (mut offset, mut seq) = (0, 0);
    for part in [&plan.data()[..first], &plan.data()[first..]] {
        let slice = UploadData { id: 2, offset, seq };
        frames.push((slice.header(part.len() as u32), part.to_vec()));
        offset += part.len() as u64;
        seq += 1;
    }
    frames
}

pub(super) fn a_client_misbehaves<G: Ground>(cluster: &mut Cluster<G>) {
    for _ in 0..2 {
        cluster.add_shard(settings::plain());
    }
    let addr = cluster.listen(0);
    let bystander = cluster.connect(1, &addr);
    let raw = cluster.puppet_client(&addr, wire::limits());
    let (frames, kind) = a_misdeed(&mut cluster.rng);
    for (header, body) in frames {
        let mut bytes = header.encode().to_vec();
        bytes.extend_from_slice(&body);
        bytes.resize(bytes.len().next_multiple_of(16), 0);
        cluster.raws[raw].send(bytes);
    }
    cluster.until(|cluster| cluster.raws[raw].ended);
    let metrics = cluster.shards[0].handle();
    assert_eq!(metrics.metrics().errors(kind).get(), 1, "{kind:?}");
    cluster.pardon(kind);
    let clock = cluster.clock.clone();
    let order = Order::new(Deed::Reply, 99, 100);
    let outcome = cluster.block_on(actors::order(bystander, order, 100, clock));
    outcome.expect("others do not suffer");
}

#[test]
fn a_client_that_breaks_a_rule_ends_its_own_connection_and_is_counted() {
    seeds::each(200, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        a_client_misbehaves(&mut cluster);
        cluster.finish();
    });
    for seed in 0..10 {
        let mut cluster = Cluster::real(seed);
        a_client_misbehaves(&mut cluster);
        cluster.finish();
    }
}

/// A server by hand that answers with `answer`, made from the request: how the request ended.
fn answered_with(
    seed: u64,
    ask: impl FnOnce(&mut Cluster<Simulated>, &crate::client::TransportClient) -> PeerRequests,
    answer: impl FnOnce(&Header, &[u8]) -> Vec<(Header, Vec<u8>)>,
    kind: ErrorKind,
) -> RequestError {
    let mut cluster = Cluster::simulated(seed, Faults::rough());
    cluster.add_shard(settings::plain());
    let (raw, client) = cluster.puppet_server(0, wire::limits());
    let asked = ask(&mut cluster, &client);
    let (header, body) = cluster.hear_some(raw).remove(0);
    for (header, body) in answer(&header, &body) {
        cluster.tell(raw, header, &body);
    }
    let error = cluster.block_on(asked).expect_err("it came to no good");
    cluster.until(|cluster| cluster.raws[raw].ended);
    assert_eq!(cluster.shards[0].handle().metrics().errors(kind).get(), 1);
    cluster.pardon(kind);
    cluster.finish();
    error
}

type PeerRequests = super::tasks::Join<Result<Vec<u8>, RequestError>>;

fn reason(error: &RequestError) -> &CloseReason {
    match error {
        RequestError::Closed { reason, .. } => reason,
        error => panic!("{error:?}"),
    }
}

fn fetch(
    cluster: &mut Cluster<Simulated>,
    client: &crate::client::TransportClient,
) -> PeerRequests {
    let options = ChunkOptions {
        len_hint: Some(100),
        ..ChunkOptions::default()
    };
    let fetched = client.fetch_chunk(1, 0, &options);
    cluster.spawn(async move { fetched.await.map(|chunk| chunk.to_vec()) })
}

#[test]
fn a_server_that_sends_more_than_was_granted_is_cut_off() {
    seeds::each(60, |seed| {
        let chunk = |request: &Header, body: &[u8]| {
            let request = ChunkRequest::from_header(request, body).expect("a request");
            assert_eq!(request.credit, 100);
            let data = ChunkData {
                id: request.id,
                total_len: 5000,
                seq: 0,
                more: true,
            };
            vec![(data.header(101), vec![0; 101])]
        };
        let error = answered_with(seed, fetch, chunk, ErrorKind::FlowControl);
        let reason = reason(&error);
        assert!(
            matches!(reason, CloseReason::BeyondCredit { granted: 100, .. }),
            "{reason}"
        );
        let flood = |request: &Header, _: &[u8]| {
            let slices = (0..3).map(|seq| {
                let (id, total_len) = (request.id, u64::MAX);
                let slice = StreamData { id, total_len, seq };
                (slice.header(400 << 10), vec![0; 400 << 10])
            });
            slices.collect()
        };
        let open = |cluster: &mut Cluster<Simulated>, client: &crate::client::TransportClient| {
            let (client, clock) = (client.clone(), cluster.clock.clone());
            cluster.spawn(async move {
                // It takes nothing, so nothing more is granted.
                let reader = client.stream("flood", 0).await.expect("begun");
                clock.sleep(1_000_000_000).await;
                actors::read_to_end(reader, 0, &clock).await
            })
        };
        let error = answered_with(seed, open, flood, ErrorKind::FlowControl);
        assert!(matches!(
            self::reason(&error),
            CloseReason::BeyondCredit { .. }
        ));
    });
}

#[test]
fn a_failure_that_is_no_archive_ends_the_connection() {
    seeds::each(40, |seed| {
        let ask = |cluster: &mut Cluster<Simulated>, client: &crate::client::TransportClient| {
            let asked = client.send_rpc("any");
            cluster.spawn(async move { asked.await.map(|reply| reply.to_vec()) })
        };
        let garbage = |request: &Header, _: &[u8]| {
            let failure = RpcFailure {
                id: request.id,
                code: FailureCode::Internal,
                retryable: false,
            };
            vec![(failure.header(48), vec![0xff; 48])]
        };
        let error = answered_with(seed, ask, garbage, ErrorKind::Archive);
        assert!(
            matches!(reason(&error), CloseReason::BadArchive(_)),
            "{error}"
        );
    });
}

#[test]
fn a_reply_that_is_too_long_ends_the_connection() {
    let ask = |cluster: &mut Cluster<Simulated>, client: &crate::client::TransportClient| {
        let asked = client.send_rpc("any");
        cluster.spawn(async move { asked.await.map(|reply| reply.to_vec()) })
    };
    let endless = |request: &Header, _: &[u8]| {
        let (id, total_len) = (request.id, 1 << 50);
        let mut header = RpcReply { id, total_len }.header(16);
        header.flags = header.flags.with(Flags::MORE);
        vec![(header, vec![0; 16])]
    };
    let error = answered_with(1, ask, endless, ErrorKind::Oversized);
    assert!(error.to_string().contains("maxRpcLen"), "{error}");
}

#[test]
fn refusals_for_want_of_rights_are_counted() {
    let mut cluster = Cluster::simulated(1, Faults::rough());
    let client = cluster.pair(settings::plain(), settings::plain());
    for tag in 0..6 {
        // The length selects the failure: the third is for lack of rights.
        let order = Order::new(Deed::Fail, tag, tag as usize);
        let clock = cluster.clock.clone();
        let outcome = cluster.block_on(actors::order(client.clone(), order, 100, clock));
        outcome.expect("it fails as ordered");
    }
    assert_eq!(cluster.metrics(0).errors_auth, 2);
    assert_eq!(cluster.metrics(1).errors_auth, 0);
    cluster.finish();
}
