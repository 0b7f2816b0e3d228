//! RPCs by those who do not use callbacks: futures on the shard, a tokio program, a plain thread.
//!
//! Each keeps `conns × in_flight` requests outstanding. Futures and tokio's tasks ask one after the
//! other, each its own; the thread waits for its requests in the order in which it sent them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use ringrail_floors::meter::{Meter, SendLog};
use ringrail_floors::pattern;
use ringrail_floors::report::ClientReport;
use ringrail_floors::usage::Who;
use ringrail_floors::workload::Workload;
use ringrail_transport::client::RequestFuture;
use ringrail_transport::{Connection, Engine, TransportClient};
use serde::{Deserialize, Serialize};

/// The kind of program that sends the requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub(crate) enum Caller {
    /// Callbacks on the shard.
    #[default]
    Callback,
    /// Futures on the shard.
    Future,
    /// Tasks of a tokio runtime of one thread.
    Tokio,
    /// One plain thread.
    Thread,
}

/// Answers whose content is compared whole: one in this many.
const COMPARE_EVERY: u64 = 64;

/// Answers per reading of the clock, where many are under way.
const CLOCK_EVERY: u64 = 16;

/// State that all requests of a load share.
struct Tally {
    meter: Meter,
    answer: Vec<u8>,
    answers: u64,
    /// The last reading of the clock.
    now: Instant,
    clock_every: u64,
}

impl Tally {
    fn new(workload: &Workload) -> anyhow::Result<Self> {
        let mut answer = vec![0; workload.answer_size() as usize];
        pattern::fill(0, &mut answer);
        let now = Instant::now();
        let in_flight = u64::from(workload.conns) * u64::from(workload.in_flight);
        Ok(Self {
            meter: Meter::new(workload.length, Who::Process, now)?,
            answer,
            answers: 0,
            now,
            clock_every: if in_flight > CLOCK_EVERY {
                CLOCK_EVERY
            } else {
                1
            },
        })
    }

    /// Records an answer; false if the work is complete.
    fn answered(&mut self, body: &[u8], sent: &mut SendLog) -> anyhow::Result<bool> {
        ensure!(
            body.len() == self.answer.len(),
            "an answer has {} bytes, not {}",
            body.len(),
            self.answer.len()
        );
        self.answers += 1;
        if self.answers.is_multiple_of(COMPARE_EVERY) && body != self.answer {
            bail!("an answer has another content");
        }
        if self.answers.is_multiple_of(self.clock_every) {
            self.now = Instant::now();
        }
        self.meter.answered(1, self.now, sent);
        Ok(!self.meter.is_done())
    }

    fn report(self) -> ClientReport {
        let size = self.answer.len() as u32;
        ClientReport::checked(&self.meter.finish(), size)
    }
}

fn request(workload: &Workload) -> Bytes {
    let mut request = vec![0; workload.size() as usize];
    pattern::fill(0, &mut request);
    request.into()
}

/// Does the workload over these connections.
pub(super) fn run(
    caller: Caller,
    workload: &Workload,
    engine: &Engine,
    conns: &[TransportClient],
) -> anyhow::Result<ClientReport> {
    match caller {
        Caller::Callback => bail!("callbacks have a load of their own"),
        Caller::Future => by_futures(workload, engine, conns),
        Caller::Tokio => by_tokio(workload, conns),
        Caller::Thread => by_thread(workload, conns),
    }
}

/// Sends one request after the other until the work is complete.
async fn one_by_one<F, R>(tally: &RefCell<Tally>, ask: impl Fn() -> R) -> anyhow::Result<()>
where
    R: Future<Output = anyhow::Result<F>>,
    F: std::ops::Deref<Target = [u8]>,
{
    let mut sent = SendLog::new(1);
    loop {
        sent.push(1, tally.borrow().now);
        let body = ask().await?;
        if !tally.borrow_mut().answered(&body, &mut sent)? {
            return Ok(());
        }
    }
}

fn by_futures(
    workload: &Workload,
    engine: &Engine,
    conns: &[TransportClient],
) -> anyhow::Result<ClientReport> {
    let (conns, load, request) = (conns.to_vec(), workload.clone(), request(workload));
    let done = engine.spawn_on(0, move |shard| {
        let shard = shard.clone();
        async move {
            let tally = Rc::new(RefCell::new(Tally::new(&load)?));
            let here = conns.iter().map(TransportClient::here);
            let conns: Option<Vec<Connection>> = here.collect();
            let conns = conns.context("a connection was lost before the start")?;
            let mut tasks = Vec::new();
            for conn in &conns {
                for _ in 0..load.in_flight {
                    let (tally, conn, request) = (Rc::clone(&tally), conn.clone(), request.clone());
                    tasks.push(shard.spawn(async move {
                        one_by_one(&tally, || async {
                            Ok(conn.send_rpc(&request, None).await?)
                        })
                        .await
                    })?);
                }
            }
            for task in tasks {
                task.await??;
            }
            finish(tally)
        }
    });
    done.wait()?
}

fn by_tokio(workload: &Workload, conns: &[TransportClient]) -> anyhow::Result<ClientReport> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let request = request(workload);
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, async {
        let tally = Rc::new(RefCell::new(Tally::new(workload)?));
        let mut running = Vec::new();
        for client in conns {
            for _ in 0..workload.in_flight {
                let (tally, client, request) = (Rc::clone(&tally), client.clone(), request.clone());
                running.push(tokio::task::spawn_local(async move {
                    one_by_one(&tally, || async {
                        Ok(client.send_rpc(request.clone()).await?)
                    })
                    .await
                }));
            }
        }
        for task in running {
            task.await??;
        }
        finish(tally)
    })
}

fn by_thread(workload: &Workload, conns: &[TransportClient]) -> anyhow::Result<ClientReport> {
    let request = request(workload);
    let mut tally = Tally::new(workload)?;
    let mut sent = SendLog::new(workload.in_flight * workload.conns);
    let mut waiting: VecDeque<(usize, RequestFuture)> = VecDeque::new();
    for _ in 0..workload.in_flight {
        for (at, client) in conns.iter().enumerate() {
            sent.push(1, tally.now);
            waiting.push_back((at, client.send_rpc(request.clone())));
        }
    }
    let mut goes_on = true;
    while let Some((at, answer)) = waiting.pop_front() {
        let body = answer.wait()?;
        goes_on &= tally.answered(&body, &mut sent)?;
        if goes_on {
            sent.push(1, tally.now);
            waiting.push_back((at, conns[at].send_rpc(request.clone())));
        }
    }
    Ok(tally.report())
}

fn finish(tally: Rc<RefCell<Tally>>) -> anyhow::Result<ClientReport> {
    let tally = Rc::into_inner(tally).context("a request is still under way")?;
    Ok(tally.into_inner().report())
}
