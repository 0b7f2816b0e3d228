//! A connection cut at any byte: every request ends, once, and nothing is left.
//!
//! One conversation has everything in it: the handshake, calls in both directions, a chunk, a stream,
//! an upload, bodies in slices, a retraction and a end_reason. It is held once undisturbed, which tells
//! how many bytes go each way, and then once for each of those bytes with the connection cut there.

use crate::client::{ChunkOptions, TransportClient};
use crate::conf::{Checksum, TransportConf};
use crate::error::RequestError;
use crate::sys::sim::{Direction, Faults, Injury, Link, Script, When};

use super::actors::{self, Ended};
use super::cluster::Cluster;
use super::content::{ChunkName, Deed, Order};
use super::ground::Simulated;
use super::service::UploadPlan;
use super::tasks::{self, Join};
use super::{seeds, settings};

const MS: u64 = 1_000_000;

/// The smallest slices that there are, and so little credit that bodies wait for more.
fn conf() -> TransportConf {
    let mut conf = TransportConf {
        slice_len: 4096,
        mixed_slice_len: 4096,
        exact_min: 128,
        inline_max: 64,
        sendfile_min: 100,
        checksum: Checksum::Never,
        recv_buffers: 4,
        recv_buffer_len: 4 << 10,
        connection_timeout: std::time::Duration::from_secs(4),
        ..settings::plain()
    };
    conf.limits.initial_credit = 70;
    conf
}

fn world(script: Option<Script>) -> Cluster<Simulated> {
    let mut cluster = Cluster::simulated(1, Faults::default());
    cluster.world().set_link(Link::default());
    if let Some(script) = script {
        cluster.world().script(script);
    }
    for _ in 0..2 {
        cluster.add_shard(conf());
    }
    cluster
}

impl Cluster<Simulated> {
    /// Has the handlers answer what they owe, some times.
    fn settle_for_a_while(&self) {
        for shard in &self.shards {
            let (board, clock) = (std::sync::Arc::clone(&shard.board), self.clock.clone());
            drop(self.spawn(async move {
                for _ in 0..5 {
                    clock.sleep(2 * MS).await;
                    board.settle();
                }
            }));
        }
    }
}

/// Asks for one thing of each kind; what is asked from either side ends by itself.
fn begin(cluster: &mut Cluster<Simulated>, client: &TransportClient) -> Vec<Join<Ended>> {
    let clock = cluster.clock.clone();
    let order = |deed, tag, reply_len| Order::new(deed, tag, reply_len);
    let rpc = |order, len| actors::order(client.clone(), order, len, clock.clone());
    let name = |from_file, len| ChunkName { from_file, len };
    let unknown = ChunkOptions {
        len_hint: Some(0),
        ..ChunkOptions::default()
    };
    let chunk =
        |name, index, options| actors::chunk(client.clone(), name, index, options, clock.clone());
    let plan = UploadPlan {
        len: 200,
        reply_len: 20,
        ..UploadPlan::new(40)
    };
    let mut joins = vec![
        cluster.spawn(rpc(order(Deed::Reply, 2, 30), 40)),
        cluster.spawn(rpc(order(Deed::Defer, 4, 130), 24)),
        cluster.spawn(rpc(order(Deed::AskBack, 6, 10), 50)),
        cluster.spawn(rpc(order(Deed::Fail, 8, 1), 24)),
        cluster.spawn(rpc(order(Deed::ReplyShared, 10, 4200), 4200)),
        cluster.spawn(chunk(name(false, 150), 1, unknown)),
        cluster.spawn(chunk(name(true, 200), 2, ChunkOptions::default())),
        cluster.spawn(actors::upload(client.clone(), plan, false, clock.clone())),
    ];
    let stream = (true, 50, 180);
    joins.push(cluster.spawn(actors::stream(client.clone(), stream, 10, 0, clock.clone())));
    let retracted = client.send_rpc(order(Deed::Defer, 12, 10).request(30));
    let waiting = clock.clone();
    joins.push(cluster.spawn(async move {
        waiting.sleep(MS / 2).await;
        drop(retracted);
        Ok(())
    }));
    joins
}

/// The whole conversation. How each request ended, and the bytes that each side sent.
fn converse(script: Option<Script>) -> (Vec<Ended>, [u64; 2]) {
    let mut cluster = world(script);
    let addr = cluster.listen(0);
    let connecting = cluster.connecting(1, &addr);
    let mut outcomes = Vec::new();
    if let Ok(client) = cluster.block_on(connecting) {
        cluster.settle_for_a_while();
        let joins = begin(&mut cluster, &client);
        outcomes = cluster.block_on(tasks::all(joins));
        client.close();
        cluster.until(|cluster| cluster.shards[1].pump.local.conn_count() == 0);
    }
    cluster.until(|cluster| cluster.shards[0].pump.local.conn_count() == 0);
    let sent = [0, 1].map(|shard| cluster.metrics(shard).bytes_out);
    cluster.finish();
    (outcomes, sent)
}

fn is_cut_off(error: &RequestError) -> bool {
    match error {
        RequestError::Closed { .. } | RequestError::NotConnected => true,
        RequestError::Remote { failure, .. } => failure.to_string().contains("asking back"),
        _ => false,
    }
}

fn cut_everywhere(injury: Injury, step: usize) {
    let (whole, [to_client, to_server]) = converse(None);
    assert!(whole.iter().all(Result::is_ok), "{whole:?}");
    let ways = [
        (Direction::ToClient, to_client),
        (Direction::ToServer, to_server),
    ];
    for (way, len) in ways {
        assert!(len > 4500, "only {len} bytes {way:?}");
        let mut complete = 0;
        for at in (0..len).step_by(step) {
            let script = Script {
                connection: 0,
                when: When::Byte(way, at),
                injury,
            };
            seeds::naming(&format!("{script:?}"), || {
                let (outcomes, _) = converse(Some(script));
                complete += usize::from(
                    outcomes.len() == whole.len() && outcomes.iter().all(Result::is_ok),
                );
                for error in outcomes.into_iter().filter_map(Result::err) {
                    assert!(is_cut_off(&error), "{error:?}");
                }
            });
        }
        // Those cut in the end_reason had everything.
        assert!(complete < 200 / step + 2, "{complete} cuts did no harm");
    }
}

#[test]
fn a_connection_that_is_reset_at_any_byte_leaves_nothing_behind() {
    cut_everywhere(Injury::Reset, 1);
}

#[test]
fn a_connection_that_goes_silent_at_any_byte_leaves_nothing_behind() {
    cut_everywhere(Injury::Vanish, 1);
}
