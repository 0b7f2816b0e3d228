//! Our client's process: asks a shuffle service for reducer after reducer, and prints what it saw.

use std::collections::VecDeque;
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use ringrail::codec::spark::shuffle::{FetchShuffleBlocks, IntLists, Message, StreamHandle};
use ringrail::transport::client::{ChunkOptions, RequestFuture};
use ringrail::{Engine, ParkMode, TransportClient, TransportConf, TransportContext};
use ringrail_floors::pattern;
use ringrail_floors::usage::{Who, cpu_seconds};

use super::{APP, EXEC, Order, Seen};

/// Does what the order says.
pub(crate) fn run(order: &str) -> anyhow::Result<()> {
    let order: Order = serde_json::from_str(order).context("reading the order")?;
    let engine = Engine::builder(TransportConf::default()).shards(1);
    let engine = engine.park(ParkMode::Bare).start()?;
    let clients = TransportContext::client_only(engine).create_spark_client_factory(None, vec![]);
    let client = clients.create_client_blocking(&order.addr)?;
    let mut reducers = Reducers {
        client,
        waiting: VecDeque::new(),
        next: 0,
        bytes: 0,
        order,
    };
    reducers.fetch_for(reducers.order.warm_up)?;
    let (from, cpu, before) = (Instant::now(), cpu_seconds(Who::Process), reducers.bytes);
    reducers.fetch_for(reducers.order.seconds)?;
    let bytes = reducers.bytes - before;
    let (elapsed_s, cpu_s) = (
        from.elapsed().as_secs_f64(),
        cpu_seconds(Who::Process) - cpu,
    );
    while reducers.receive()? {}
    let seen = Seen {
        bytes,
        bytes_in_all: reducers.bytes,
        elapsed_s,
        cpu_s,
    };
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&seen)?)?;
    Ok(())
}

struct Reducers {
    order: Order,
    client: TransportClient,
    /// Blocks of requests under way: the reducer, and its blocks map by map.
    waiting: VecDeque<(u32, Vec<RequestFuture>)>,
    next: u32,
    bytes: u64,
}

impl Reducers {
    fn fetch_for(&mut self, seconds: f64) -> anyhow::Result<()> {
        let end = Instant::now() + Duration::from_secs_f64(seconds);
        while Instant::now() < end {
            while self.waiting.len() < self.order.in_flight {
                self.ask()?;
            }
            self.receive()?;
        }
        Ok(())
    }

    /// Asks for the blocks of the next reducer.
    fn ask(&mut self) -> anyhow::Result<()> {
        let shuffle = self.order.shuffle;
        let reduce = self.next % shuffle.reduces;
        self.next += 1;
        let maps: Vec<i64> = (0..i64::from(shuffle.maps)).collect();
        let own = [reduce as i32];
        let reduces = vec![&own[..]; maps.len()];
        let message = Message::FetchShuffleBlocks(FetchShuffleBlocks {
            app_id: APP,
            exec_id: EXEC,
            shuffle_id: 0,
            map_ids: maps[..].into(),
            reduce_ids: IntLists::from(&reduces[..]),
            batch_fetch_enabled: false,
        });
        let mut body = vec![0; message.encoded_len()];
        message.encode(&mut body)?;
        let handle = StreamHandle::decode(&self.client.send_rpc(body).wait()?)?;
        let stream = handle.stream_id as u64;
        let options = ChunkOptions::default();
        let chunk = |index| self.client.fetch_chunk(stream, index, &options);
        let blocks = (0..shuffle.maps).map(chunk).collect();
        self.waiting.push_back((reduce, blocks));
        Ok(())
    }

    /// Waits for the blocks that were asked for first; false where there are none.
    fn receive(&mut self) -> anyhow::Result<bool> {
        let Some((reduce, blocks)) = self.waiting.pop_front() else {
            return Ok(false);
        };
        let shuffle = self.order.shuffle;
        for (map, block) in (0..).zip(blocks) {
            let block = block.wait()?;
            ensure!(
                block.len() == shuffle.size as usize,
                "a block of {} bytes",
                block.len()
            );
            let offset = shuffle.offset(map, reduce);
            ensure!(
                pattern::spot_check(offset, &block, offset),
                "a wrong block: map {map}, reducer {reduce}"
            );
            self.bytes += block.len() as u64;
        }
        Ok(true)
    }
}
