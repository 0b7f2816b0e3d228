//! The same load by the RPC environment: `ask` from a ref, an endpoint, its reply.

use std::rc::Rc;
use std::sync::mpsc;

use anyhow::{Context, anyhow, bail, ensure};
use ringrail::rpc::{
    Handle, LocalRef, Message, Received, ReplyContext, ReplyHandler, RpcCallContext, RpcEndpoint,
    RpcEndpointRef, RpcEnv, RpcError, View,
};
use ringrail_floors::pattern;
use ringrail_floors::report::{ClientReport, ServerReport};
use ringrail_floors::usage::{Who, cpu_seconds};
use ringrail_floors::workload::Workload;
use rkyv::{Archive, Deserialize, Serialize};

use super::book::{Book, Shared};
use super::client::Done;
use super::server::until_stdin_ends;
use super::{Side, say};

/// Sizes that are measured: an archive of a fixed size has exactly that many bytes.
pub(in crate::cli::bench) const SIZES: [u32; 2] = [64, 1024];

/// The endpoint that is asked.
const NAME: &str = "echo";

/// Bytes that come back.
#[derive(Archive, Serialize, Deserialize)]
struct Echo<const N: usize>([u8; N]);

impl<const N: usize> Message for Echo<N> {
    type Reply = Echo<N>;
    const NAME: &'static str = "bench.Echo";
}

struct Echoing<const N: usize> {
    asked: u64,
}

impl<const N: usize> RpcEndpoint for Echoing<N> {
    type Messages = (Echo<N>,);
}

impl<const N: usize> Handle<Echo<N>> for Echoing<N> {
    #[inline]
    fn handle(
        &mut self,
        message: Received<'_, Echo<N>>,
        call: RpcCallContext<'_, Echo<N>>,
    ) -> Result<(), RpcError> {
        self.asked += 1;
        call.reply(message.take()?);
        Ok(())
    }
}

/// Serves until stdin ends.
pub(super) fn serve(workload: &Workload, side: &Side) -> anyhow::Result<()> {
    match workload.size() {
        64 => serve_sized::<64>(workload, side),
        1024 => serve_sized::<1024>(workload, side),
        size => bail!("asks of {size} bytes are not measured"),
    }
}

fn serve_sized<const N: usize>(workload: &Workload, side: &Side) -> anyhow::Result<()> {
    let engine = side.engine(workload)?;
    let before = cpu_seconds(Who::Process);
    let env = RpcEnv::builder("bench").engine(engine.clone()).build()?;
    env.setup_endpoint(NAME, Echoing::<N> { asked: 0 })?;
    let address = env.address().context("the env listens nowhere")?;
    say(&format!("ready {}", address.host_port()))?;
    until_stdin_ends()?;
    let metrics = engine.metrics();
    let report = ServerReport {
        cpu_s: cpu_seconds(Who::Process) - before,
        ops: None,
        bytes: Some(metrics.bytes_out),
        extra: Default::default(),
    };
    say(&serde_json::to_string(&report)?)
}

/// Does the workload against the server at `addr`.
pub(super) fn ask(workload: &Workload, side: &Side, addr: &str) -> anyhow::Result<()> {
    ensure!(workload.conns == 1, "an env has one connection per peer");
    match workload.size() {
        64 => ask_sized::<64>(workload, side, addr),
        1024 => ask_sized::<1024>(workload, side, addr),
        size => bail!("asks of {size} bytes are not measured"),
    }
}

fn ask_sized<const N: usize>(workload: &Workload, side: &Side, addr: &str) -> anyhow::Result<()> {
    let engine = side.engine(workload)?;
    let env = RpcEnv::builder("bench")
        .engine(engine.clone())
        .client_mode()
        .build()?;
    let uri = format!("rail://{NAME}@{addr}");
    let echo: RpcEndpointRef = env.setup_endpoint_ref_by_uri_blocking(&uri)?;
    let (done, report) = mpsc::sync_channel::<anyhow::Result<ClientReport>>(1);
    let load = workload.clone();
    engine.run_on(0, move |_| match echo.as_local() {
        Some(echo) => Load::<N>::start(&load, echo, done),
        None => drop(done.send(Err(anyhow!("the connection is on another shard")))),
    })?;
    let report = report
        .recv()
        .context("the shard ended before the work was done")??;
    say(&serde_json::to_string(&report)?)
}

struct Load<const N: usize> {
    echo: LocalRef<ringrail::rpc::Any>,
    request: [u8; N],
    book: Book,
}

impl<const N: usize> Load<N> {
    fn start(workload: &Workload, echo: LocalRef<ringrail::rpc::Any>, done: Done) {
        let mut request = [0; N];
        pattern::fill(0, &mut request);
        let Some(shared) = Shared::begin(workload, done) else {
            return;
        };
        let load = Rc::new(Load {
            book: Book::new(workload, &shared, echo.now_ns()),
            echo,
            request,
        });
        let handler = Rc::clone(&load) as Rc<dyn ReplyHandler<Echo<N>>>;
        for _ in 0..workload.in_flight {
            load.send(&handler);
        }
    }

    #[inline]
    fn send(&self, handler: &Rc<dyn ReplyHandler<Echo<N>>>) {
        let token = self.book.next();
        let sent = self.echo.ask_with(Echo(self.request), handler, token);
        if let Err(error) = sent {
            self.finish(Err(anyhow!("ask {token} was not taken: {error}")));
        }
    }

    #[cold]
    fn finish(&self, outcome: anyhow::Result<()>) {
        self.book.finish(outcome);
    }
}

impl<const N: usize> ReplyHandler<Echo<N>> for Load<N> {
    #[inline]
    fn on_reply(
        &self,
        context: ReplyContext<'_, Echo<N>>,
        token: u64,
        outcome: Result<Received<'_, Echo<N>>, RpcError>,
    ) {
        if self.book.turn(self.echo.now_ns()) {
            return self.finish(Ok(()));
        }
        let checked = match outcome {
            Ok(reply) => match reply.view() {
                View::Archived(echo) => self.book.check(token, &echo.0),
                View::Local(echo) => self.book.check(token, &echo.0),
            },
            Err(error) => Err(anyhow!("ask {token} failed: {error}")),
        };
        match checked {
            Ok(()) => self.send(context.handler()),
            Err(error) => self.finish(Err(error)),
        }
    }
}
