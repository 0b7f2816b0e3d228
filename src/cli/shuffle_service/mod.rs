//! `ringrail shuffle-service`: Spark's external shuffle service, until a signal comes.
//!
//! ```text
//! Spark's properties ─► Conf ─┬─► ShuffleConf ─► ShuffleService ─► handler of each shard
//!                             └─► TransportConf ─► Engine ─► listener
//! signal ─► let go of the store ─► stop listening ─► drain ─► exit
//! ```

mod announce;
mod dirs;
mod exporter;
mod limits;
mod unused;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use ringrail::conf::keys::spark::authentication;
use ringrail::conf::keys::{shuffle, transport};
use ringrail::conf::{Conf, shuffle_conf, shuffle_transport_conf, spark_authentication};
use ringrail::transport::spark::{Protocols, ServerAuthentication};
use ringrail::{Addr, Engine, TransportServer, shuffle as service};

use super::engine;
use super::failure::{Failure, Outcome};
use super::settings::{Settings, flag};
use super::signals::watch_signals;
use announce::Announce;

/// Defaults of this subcommand in place of the keys' own: requests are small, and the executors of the host need
/// its memory and processors.
pub(crate) const DEFAULTS: [(&str, &str); 2] = [
    ("ringrail.transport.recvBufferLen", "16k"),
    ("ringrail.transport.inbox", "4096"),
];

/// Shards where nothing says otherwise, as Spark's rule for threads has it.
const SHARDS_MAX: usize = 8;

/// Spark's variable for the secret. It overrides the configuration, and fewer users can read it.
const SECRET_VARIABLE: &str = "_SPARK_AUTH_SECRET";

/// Serve the shuffle files of Spark's executors, in place of Spark's external shuffle service
///
/// Runs on every host of a Spark cluster in place of Spark's own service, for applications with
/// spark.shuffle.service.enabled=true. Reads Spark's own configuration: give it the spark-defaults.conf
/// that Spark's service has.
///
/// The first line on stdout is `listening on HOST:PORT`, once connections are taken.
///
/// Executors' directories must lie below the service's own, as with Spark's service: --local-dir, else
/// the variable SPARK_LOCAL_DIRS, else spark.local.dir, else /tmp. Executors that have registered are
/// remembered in the first of them.
///
/// SIGTERM and SIGINT drain: no further connections are taken, chunks under way are sent, then it
/// exits with 0. A second signal ends it at once. A service that is started on the same port meanwhile
/// waits until this one lets go of what it remembers, and goes on where it has ended.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ringrail shuffle-service --host 0.0.0.0 --properties-file $SPARK_HOME/conf/spark-defaults.conf
  ringrail shuffle-service --local-dir /data1/spark --local-dir /data2/spark --host 10.0.0.7
  ringrail shuffle-service --metrics-addr 127.0.0.1:9404     and: curl 127.0.0.1:9404/metrics
  ringrail shuffle-service --port 0 --json                   any free port, told as JSON

In Spark: spark.shuffle.service.enabled=true, and spark.shuffle.service.port if it is not 7337; in
spark-env.sh of the workers nothing that starts Spark's own service. docs/spark-shuffle-service.md
has it step by step.

Exit codes: 0 drained after a signal, 1 failed, 2 wrong arguments.")]
pub(crate) struct ShuffleService {
    /// The address to listen on; 0.0.0.0 or [::] for executors of other hosts. By default only this
    /// machine can connect
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1")]
    host: String,
    /// The port; 0 means any free one [key: ringrail.shuffle.port, default 7337]
    #[arg(long, short, value_name = "PORT")]
    port: Option<u16>,
    /// A directory that executors' directories lie below; may be given several times, and overrides
    /// SPARK_LOCAL_DIRS and spark.local.dir
    #[arg(long = "local-dir", value_name = "DIR")]
    local_dirs: Vec<PathBuf>,
    /// Serve metrics to Prometheus at http://ADDR/metrics
    #[arg(long, value_name = "ADDR")]
    metrics_addr: Option<String>,
    /// Tell what happens as JSON, one object per line
    #[arg(long)]
    json: bool,
    /// Shards (threads with a ring each); 0 means one per processor, up to 8
    /// [key: ringrail.transport.shards, default 0]
    #[arg(long, value_name = "N")]
    shards: Option<usize>,
    /// Seconds that a drain may take before what is left is cut off
    /// [key: ringrail.transport.drainTimeout, default 10]
    #[arg(long, value_name = "SECONDS")]
    drain_timeout: Option<u64>,
    #[command(flatten)]
    settings: Settings,
}

impl ShuffleService {
    pub(crate) fn run(self) -> Outcome {
        let signals = watch_signals()?;
        let conf = self.conf()?;
        unused::warn_of(&conf);
        let tell = Announce::new(self.json);
        let shards = shards(&conf)?;
        let service = self.service(&conf, shards)?;
        let engine = engine::start(shuffle_transport_conf(&conf)?.0, shards)?;
        let server = self.listen(&conf, &service, engine.clone())?;
        let exporter = self.exporter(&conf, &service, engine)?;
        tell.listening(&server, exporter, service.executors())?;
        let signal = signals
            .recv()
            .map_err(|_| anyhow!("no signals can be received"))?;
        tell.draining(signal)?;
        // First, so that who takes over has it before this one stops to listen.
        service.hand_over();
        server.drain()?;
        tell.drained(&service)?;
        Ok(ExitCode::SUCCESS)
    }

    fn conf(&self) -> Result<Conf, Failure> {
        let mut conf = self.settings.load(&DEFAULTS)?;
        prefer_shuffle_module(&mut conf);
        let drain = self.drain_timeout.map(Duration::from_secs);
        flag(&mut conf, &shuffle::PORT, self.port)?;
        flag(&mut conf, &transport::SHARDS, self.shards)?;
        flag(&mut conf, &transport::DRAIN_TIMEOUT, drain)?;
        let secret = std::env::var(SECRET_VARIABLE).ok();
        flag(
            &mut conf,
            &authentication::AUTHENTICATE_SECRET,
            secret.map(Some),
        )?;
        conf.validate_shuffle_service()?;
        Ok(conf)
    }

    fn service(&self, conf: &Conf, shards: usize) -> Result<service::ShuffleService, Failure> {
        let local_dirs = dirs::local_dirs(&self.local_dirs, conf)?;
        let mut settings = shuffle_conf(conf, local_dirs, shards)?;
        settings.max_open_files = limits::open_files(settings.max_open_files, shards);
        Ok(service::ShuffleService::start(settings)?)
    }

    fn exporter(
        &self,
        conf: &Conf,
        service: &service::ShuffleService,
        engine: Engine,
    ) -> Result<Option<std::net::SocketAddr>, Failure> {
        let Some(address) = &self.metrics_addr else {
            return Ok(None);
        };
        let wait = conf.get_entry(&shuffle::RECOVERY_WAIT)?;
        let service = service.clone();
        let page =
            move || service::metrics::text::prometheus(&service.metrics(), &engine.metrics());
        let started = exporter::start(address, wait, page);
        let at = started.with_context(|| format!("cannot serve metrics on {address}"))?;
        Ok(Some(at))
    }

    fn listen(
        &self,
        conf: &Conf,
        service: &service::ShuffleService,
        engine: Engine,
    ) -> Result<TransportServer, Failure> {
        let port = conf.get_entry(&shuffle::PORT)?;
        let host = self.host.trim_matches(['[', ']']);
        let text = match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        };
        let found = Addr::resolve(&text).with_context(|| format!("cannot listen on {text}"))?;
        let first = found.into_iter().next();
        let address = first.ok_or_else(|| anyhow!("cannot listen on {text}: it has no address"))?;
        let context = service.context(engine).with_protocols(Protocols::Spark);
        let context = match spark_authentication(conf)? {
            Some((mode, secret)) => {
                context.with_spark_authentication(ServerAuthentication::shared(mode, secret))
            }
            None => context,
        };
        Ok(context.create_server(address)?)
    }
}

fn shards(conf: &Conf) -> Result<usize, Failure> {
    let asked = conf.get_entry(&transport::SHARDS)?;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(match asked {
        0 => processors.min(SHARDS_MAX),
        shards => shards,
    })
}

/// Gives Spark's keys for shuffle connections precedence over those for endpoint connections: one key of the
/// engine stands for both, and reads the endpoint's key first.
fn prefer_shuffle_module(conf: &mut Conf) {
    for (own, sparks) in [
        (transport::CONNECTION_TIMEOUT.key(), "io.connectionTimeout"),
        (
            transport::CONNECTION_CREATION_TIMEOUT.key(),
            "io.connectionCreationTimeout",
        ),
        (transport::TCP_KEEP_ALIVE.key(), "io.enableTcpKeepAlive"),
        (transport::SEND_BUFFER.key(), "io.sendBuffer"),
        (transport::RECEIVE_BUFFER.key(), "io.receiveBuffer"),
    ] {
        let set = conf.iter().any(|(key, _)| key == own);
        let sparks = format!("spark.shuffle.{sparks}");
        let value = conf.iter().find(|(key, _)| *key == sparks);
        if let (false, Some(value)) = (set, value.map(|(_, value)| value.to_owned())) {
            conf.set(own, value);
        }
    }
}
