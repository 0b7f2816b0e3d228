//! The asking process: keeps requests in flight on its shard and checks every answer.

use std::rc::Rc;
use std::sync::mpsc;

use anyhow::{Context, anyhow};
use ringrail_floors::report::ClientReport;
use ringrail_floors::workload::{Work, Workload};
use ringrail_transport::{Connection, Engine, TransportClient, TransportContext};

use super::callers::{self, Caller};
use super::chunks::ChunkLoad;
use super::rpc::RpcLoad;
use super::{Side, say};

/// How a load tells the main thread what came of it.
pub(super) type Done = mpsc::SyncSender<anyhow::Result<ClientReport>>;

/// Does the workload against the server at `addr`.
pub(crate) fn run(workload: &Workload, side: &Side, addr: &str) -> anyhow::Result<()> {
    workload.validate()?;
    let context = TransportContext::client_only(side.engine(workload)?);
    let clients = if side.setup.spark {
        context.create_spark_client_factory(None, Vec::new())
    } else {
        context.create_client_factory(Vec::new())
    };
    let connect = |_| clients.create_unmanaged_client_blocking(addr);
    let conns: Vec<TransportClient> = (0..workload.conns)
        .map(connect)
        .collect::<Result<_, _>>()
        .context("connecting")?;
    let report = match side.setup.caller {
        Caller::Callback => by_callbacks(workload, context.engine(), conns),
        caller => callers::run(caller, workload, context.engine(), &conns),
    };
    let mut report = report?;
    let metrics = context.engine().metrics();
    report.extra.extend(
        metrics
            .iter()
            .filter(|metric| metric.value > 0)
            .map(|metric| (metric.name.to_owned(), metric.value.into())),
    );
    say(&serde_json::to_string(&report)?)
}

fn by_callbacks(
    workload: &Workload,
    engine: &Engine,
    conns: Vec<TransportClient>,
) -> anyhow::Result<ClientReport> {
    let (done, report) = mpsc::sync_channel(1);
    let load = workload.clone();
    engine.run_on(0, move |_| {
        let conns: Option<Vec<Connection>> = conns.iter().map(TransportClient::here).collect();
        let Some(conns) = conns else {
            let _ = done.send(Err(anyhow!("a connection was lost before the start")));
            return;
        };
        match load.work {
            Work::Rpc { .. } => RpcLoad::start(&load, conns, done),
            Work::Chunks { .. } => ChunkLoad::start(&load, conns, done),
        }
    })?;
    report
        .recv()
        .context("the shard ended before the work was done")?
}

/// One connection of a load: its own handler, so that answers find their connection by themselves.
pub(super) fn per_connection<T>(
    conns: Vec<Connection>,
    make: impl Fn(u32, Connection) -> Rc<T>,
) -> Vec<Rc<T>> {
    (0..)
        .zip(conns)
        .map(|(index, conn)| make(index, conn))
        .collect()
}
