//! Streams by name: of any length, read slowly, many at once, cut off and let go midway.

use crate::client::StreamReader;
use crate::error::RequestError;
use crate::sys::sim::{Direction, Faults, Injury, Link, Script, When};

use super::cluster::Cluster;
use super::content::{self, Deed, Order};
use super::ground::Ground;
use super::tasks::{self, Clock, Join};
use super::{actors, board, seeds, settings};

const MS: u64 = 1_000_000;

/// Bytes that a sender may be ahead of the reader.
const WINDOW: u64 = 1 << 20;

/// Reads at most `most` slices: what they had in them, and how the stream ended if it did.
async fn read_some(
    reader: &mut StreamReader,
    most: usize,
    pause_ns: u64,
    clock: &Clock,
) -> (Vec<u8>, Option<Result<(), RequestError>>) {
    let mut got = Vec::new();
    for _ in 0..most {
        match reader.next().await {
            None => return (got, Some(Ok(()))),
            Some(Err(error)) => {
                assert!(reader.next().await.is_none(), "nothing follows an error");
                return (got, Some(Err(error)));
            }
            Some(Ok(slice)) => got.extend_from_slice(&slice),
        }
        clock.sleep(pause_ns).await;
    }
    (got, None)
}

pub(super) fn streams_of_edge_lengths<G: Ground>(cluster: &mut Cluster<G>) {
    let conf = settings::any(&mut cluster.rng);
    let client = cluster.pair(conf.clone(), settings::plain());
    let slice = conf.slice_len as usize;
    let lens = [
        0,
        1,
        15,
        16,
        17,
        slice - 1,
        slice,
        slice + 1,
        2 * slice,
        cluster.rng.cut(200_000),
    ];
    let mut joins = Vec::new();
    for (tag, len) in lens.into_iter().enumerate() {
        let rng = &mut cluster.rng;
        let offset = [0, len, rng.below(len as u64 + 1) as usize][rng.below(3) as usize];
        let what = (rng.chance(0.5), tag as u64, len);
        let (client, clock) = (client.clone(), cluster.clock.clone());
        joins.push(cluster.spawn(actors::stream(client, what, offset, 0, clock)));
    }
    for (at, outcome) in cluster.block_on(tasks::all(joins)).into_iter().enumerate() {
        outcome.unwrap_or_else(|error| panic!("stream of {} bytes: {error}", lens[at]));
    }
    cluster.assert_at_rest();
}

#[test]
fn a_stream_of_any_length_comes_whole_from_any_offset() {
    seeds::each(100, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        streams_of_edge_lengths(&mut cluster);
        cluster.finish();
    });
}

#[test]
fn streams_work_on_the_kernel_s_ring() {
    for seed in 0..6 {
        let mut cluster = Cluster::real(seed);
        streams_of_edge_lengths(&mut cluster);
        cluster.finish();
    }
    let mut cluster = Cluster::real(0);
    slow_and_fast_readers(&mut cluster);
    cluster.finish();
}

/// A reader that takes nothing for a while, and others that read on meanwhile.
pub(super) fn slow_and_fast_readers<G: Ground>(cluster: &mut Cluster<G>) {
    let client = cluster.pair(settings::plain(), settings::plain());
    let clock = cluster.clock.clone();
    let len = 3 << 20;
    let name = actors::stream_name(cluster.rng.chance(0.5), 7, len);
    let opening = client.clone();
    let mut slow = cluster
        .block_on(async move { opening.stream(name, 0).await })
        .expect("begun");
    let others = (0..4).map(|tag| {
        let what = (tag % 2 == 0, 100 + tag, 300_000);
        cluster.spawn(actors::stream(
            client.clone(),
            what,
            0,
            MS / 10,
            clock.clone(),
        ))
    });
    let others: Vec<_> = others.collect();
    for outcome in cluster.block_on(tasks::all(others)) {
        outcome.expect("the slow one holds up nobody");
    }
    cluster.run_for(20 * MS);
    let sent = cluster.metrics(0).bytes_out;
    let most = WINDOW + 4 * 300_000 + (64 << 10);
    assert!(sent <= most, "{sent} bytes where {most} were granted");
    let (got, end) = cluster.block_on(async move {
        let (mut all, mut end) = (Vec::new(), None);
        while end.is_none() {
            let (got, ended) = read_some(&mut slow, 10, 2 * MS, &clock).await;
            all.extend(got);
            end = ended;
        }
        (all, end)
    });
    assert!(matches!(end, Some(Ok(()))), "{end:?}");
    actors::expect("slow stream", &got, &content::bytes(7, len));
    cluster.assert_at_rest();
}

#[test]
fn a_slow_reader_is_waited_for_and_holds_up_nobody() {
    seeds::each(25, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        slow_and_fast_readers(&mut cluster);
        cluster.finish();
    });
}

/// More streams than are looked at for one send, and RPCs that are to pass them.
#[test]
fn many_streams_in_line_all_come_and_rpcs_pass_them() {
    seeds::each(20, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        cluster.world().set_link(Link {
            bytes_per_sec: Some(20_000_000),
            ..Link::default()
        });
        let client = cluster.pair(settings::plain(), settings::plain());
        let clock = cluster.clock.clone();
        let streams: Vec<Join<_>> = (0..100)
            .map(|tag| {
                let len = cluster.rng.cut(60_000);
                let what = (cluster.rng.chance(0.5), tag, len);
                cluster.spawn(actors::stream(client.clone(), what, 0, 0, clock.clone()))
            })
            .collect();
        let order = Order::new(Deed::Reply, 1000, 50);
        let rpc = cluster.spawn(actors::order(client, order, 100, clock));
        cluster.until(|_| rpc.is_over());
        let over = streams.iter().filter(|join| join.is_over()).count();
        assert!(over < 100, "the RPC came behind all streams");
        for (tag, outcome) in cluster
            .block_on(tasks::all(streams))
            .into_iter()
            .enumerate()
        {
            outcome.unwrap_or_else(|error| panic!("stream {tag}: {error}"));
        }
        cluster.assert_at_rest();
        cluster.finish();
    });
}

#[test]
fn a_stream_whose_connection_dies_ends_with_one_error_behind_what_came() {
    seeds::each(100, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        let len = 500_000;
        let injury = match cluster.rng.chance(0.5) {
            true => Injury::Reset,
            false => Injury::Vanish,
        };
        let at = 200 + cluster.rng.below(400_000);
        cluster.world().script(Script {
            connection: 0,
            when: When::Byte(Direction::ToClient, at),
            injury,
        });
        let client = cluster.pair(settings::plain(), settings::plain());
        let name = actors::stream_name(cluster.rng.chance(0.5), 9, len);
        let (pause, clock) = (cluster.rng.below(2) * MS, cluster.clock.clone());
        let (got, end) = cluster.block_on(async move {
            let mut reader = client.stream(name, 0).await.expect("begun");
            read_some(&mut reader, usize::MAX, pause, &clock).await
        });
        let error = end.expect("it ends").expect_err("it was cut");
        assert!(matches!(error, RequestError::Closed { .. }), "{error:?}");
        assert!(got.len() < len);
        actors::expect("what came", &got, &content::bytes(9, len)[..got.len()]);
        cluster.until(|cluster| cluster.shards[0].pump.local.conn_count() == 0);
        cluster.finish();
    });
}

#[test]
fn a_reader_that_is_dropped_midway_ends_its_stream_alone() {
    seeds::each(60, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        let client = cluster.pair(settings::any(&mut settings_rng(seed)), settings::plain());
        let mut joins = Vec::new();
        for tag in 0..12 {
            let rng = &mut cluster.rng;
            let len = rng.cut(1 << 20);
            let (most, from_file) = (rng.below(6) as usize, rng.chance(0.5));
            let (client, clock) = (client.clone(), cluster.clock.clone());
            joins.push(cluster.spawn(async move {
                let name = actors::stream_name(from_file, tag, len);
                let ask = || client.stream(name.clone(), 0);
                let begun = actors::when_not_busy(&clock, ask).await;
                let mut reader = begun.expect("begun");
                let (got, end) = read_some(&mut reader, most, MS, &clock).await;
                actors::expect("what came", &got, &content::bytes(tag, len)[..got.len()]);
                assert!(!matches!(end, Some(Err(_))), "{end:?}");
            }));
        }
        let (whole, clock) = ((false, 99, 300_000), cluster.clock.clone());
        let whole = cluster.spawn(actors::stream(client, whole, 0, 0, clock));
        cluster.block_on(tasks::all(joins));
        cluster.block_on(whole).expect("the others stay");
        cluster.assert_at_rest();
        cluster.finish();
    });
}

fn settings_rng(seed: u64) -> crate::sys::sim::Rng {
    crate::sys::sim::Rng::new(seed ^ 0x5eed)
}

#[test]
fn a_stream_that_does_not_exist_or_begins_beyond_its_end_is_refused() {
    seeds::each(20, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        let client = cluster.pair(settings::plain(), settings::plain());
        for (name, offset, wanted) in [
            ("nowhere".to_owned(), 0, "Stream 'nowhere' was not found"),
            (
                actors::stream_name(false, 1, 100),
                101,
                "offset 101 of 100 bytes",
            ),
        ] {
            let (client, clock) = (client.clone(), cluster.clock.clone());
            let (got, end) = cluster.block_on(async move {
                let mut reader = client.stream(name, offset).await.expect("begun");
                read_some(&mut reader, 10, 0, &clock).await
            });
            let error = end.expect("it ends").expect_err("it was refused");
            assert!(
                got.is_empty() && error.to_string().contains(wanted),
                "{error}"
            );
        }
        cluster.assert_at_rest();
        cluster.finish();
    });
}

/// A truncated file cannot supply the promised bytes: its stream fails, and so does the connection
/// if a frame is cut in the middle.
#[test]
fn a_file_that_is_shortened_while_it_is_streamed_fails_that_stream() {
    seeds::each(40, |seed| {
        let mut cluster = Cluster::simulated(seed, Faults::rough());
        let client = cluster.pair(settings::plain(), settings::plain());
        let len = 2 << 20;
        let file = content::fresh_file(5, len);
        cluster.shards[0]
            .board
            .serve_file(file.try_clone().expect("a handle"));
        let (left, clock) = (cluster.rng.below(1 << 20), cluster.clock.clone());
        let (got, end) = cluster.block_on(async move {
            let mut reader = client.stream("shared", 0).await.expect("begun");
            let (mut got, _) = read_some(&mut reader, 3, MS, &clock).await;
            file.set_len(left).expect("shortened");
            let (rest, end) = read_some(&mut reader, usize::MAX, 0, &clock).await;
            got.extend(rest);
            (got, end)
        });
        let error = end.expect("it ends").expect_err("it was shortened");
        let told = match &error {
            RequestError::Remote { failure, .. } => failure.to_string().contains("shortened"),
            RequestError::Closed { .. } => true,
            _ => false,
        };
        assert!(told, "{error:?}");
        actors::expect("what came", &got, &content::bytes(5, len)[..got.len()]);
        cluster.until(|cluster| board::read(&cluster.shards[0].board.sending) == 0);
        cluster.finish();
    });
}
