//! `ringrail fetch`: a file or a tree from a server, to disk.

mod progress;
mod summary;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::{RangedU64ValueParser, TypedValueParser};
use clap::{Args, ValueEnum};
use ringrail::block::RailUri;
use ringrail::block::digest::Chunking;
use ringrail::block::fetch::{
    FetchConf, FetchError, FetchReport, Fetcher, MAX_CONNECTIONS, MAX_IN_FLIGHT, Resume,
};
use ringrail::conf::keys::{block, transport};
use ringrail::conf::{Conf, fetch_conf, transport_conf};
use ringrail::{TransportConf, TransportContext};

use super::engine;
use super::failure::{FAILED, Failure, INCOMPLETE, NO_DESTINATION, NO_SERVER, Outcome};
use super::output;
use super::settings::{Settings, flag};
use super::size::Size;
use progress::Progress;
use summary::Summary;

/// Defaults of a fetch that differ from those of other programs: shorter timeouts, and a single
/// shard.
pub(super) const DEFAULTS: [(&str, &str); 3] = [
    ("ringrail.network.timeout", "60s"),
    ("ringrail.transport.connectionCreationTimeout", "10s"),
    ("ringrail.transport.shards", "1"),
];

/// Fetch a file or a directory tree from `ringrail serve`
///
/// A directory's contents go into the directory DEST; a file becomes DEST, or goes into DEST where
/// that is a directory or ends with a slash. Modes, times, symbolic links and empty directories are
/// kept. Files appear under their names only when they are complete and verified (BLAKE3); what is
/// unfinished lies in DEST/.ringrail-fetch, and the next fetch to DEST goes on with it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ringrail fetch rail://host:7337 -o /data/copy            everything that is served
  ringrail fetch rail://host:7337/logs/today.gz -o .       one file, under its own name
  ringrail fetch rail+unix:///run/ringrail.sock -o copy    over a Unix-domain socket
  ringrail fetch 'rail+unix:///run/r.sock?path=logs' -o l  a part of it
  ringrail fetch rail://host:7337 -o copy --json           the result as JSON

Run again after an interruption: files of the same length and time are kept, unfinished ones are
compared with the server's digests and continued.

Exit codes: 0 everything is there; 1 failed; 2 wrong arguments; 3 some files failed, all others are
there; 4 the server could not be reached or went away; 5 the destination cannot be written.")]
pub(crate) struct Fetch {
    /// Source: rail://HOST:PORT[/PATH] or rail+unix:///SOCKET[?path=PATH]; write special bytes
    /// as %XX
    #[arg(value_name = "URI")]
    uri: RailUri,
    /// Destination
    #[arg(long, short, value_name = "DEST")]
    output: PathBuf,
    /// Connections to open [key: ringrail.block.fetchConnections, default 4]
    #[arg(long, value_name = "N", value_parser = up_to(MAX_CONNECTIONS))]
    connections: Option<usize>,
    /// Chunks in flight on each connection [key: ringrail.block.fetchInFlight, default 4]
    #[arg(long, value_name = "N", value_parser = up_to(MAX_IN_FLIGHT))]
    in_flight: Option<usize>,
    /// Length of a chunk: a power of two from 16KiB to 64MiB
    /// [key: ringrail.block.chunkLen, default 4m]
    #[arg(long, value_name = "SIZE", value_parser = chunk_len)]
    chunk: Option<u32>,
    /// Bytes that may be in flight or waiting to be written, of all connections together
    /// [key: ringrail.block.maxBytesInFlight, default 64m]
    #[arg(long, value_name = "SIZE")]
    memory: Option<Size>,
    /// Treatment of files that already exist at DEST
    /// [key: ringrail.block.resume, default continue]
    #[arg(long, value_name = "HOW", value_enum)]
    resume: Option<ResumeArg>,
    /// Do not compare with the server's digests [key: ringrail.block.verify, default true]
    #[arg(long)]
    no_verify: bool,
    /// Have files on the disk before they get their names [key: ringrail.block.sync, default false]
    #[arg(long)]
    sync: bool,
    /// How often to try again without success in between
    /// [key: ringrail.block.maxRetries, default 3]
    #[arg(long, value_name = "N")]
    retries: Option<u32>,
    /// Seconds before the first such attempt; doubled for each further one
    /// [key: ringrail.block.retryWait, default 1]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    retry_wait: Option<Duration>,
    /// Seconds to wait for a connection
    /// [key: ringrail.transport.connectionCreationTimeout, default 10]
    #[arg(long, value_name = "SECONDS")]
    connect_timeout: Option<u64>,
    /// Seconds to wait for a chunk, and for any sign of life of the server
    /// [key: ringrail.network.timeout, default 60]
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Shards (threads with a ring each) that the connections are spread over
    /// [key: ringrail.transport.shards, default 1]
    #[arg(long, value_name = "N")]
    shards: Option<usize>,
    /// Print the result as JSON, also where it fails
    #[arg(long)]
    json: bool,
    /// Print no progress and no summary
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    settings: Settings,
}

/// The treatment of files that already exist.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ResumeArg {
    /// Keep files of the same length and time, continue unfinished ones
    Continue,
    /// Keep files only if their digest is the same too: both sides read everything
    Recheck,
    /// Fetch everything anew
    Fresh,
}

impl From<ResumeArg> for Resume {
    fn from(how: ResumeArg) -> Self {
        match how {
            ResumeArg::Continue => Resume::Continue,
            ResumeArg::Recheck => Resume::Recheck,
            ResumeArg::Fresh => Resume::Fresh,
        }
    }
}

impl Fetch {
    pub(crate) fn run(self) -> Outcome {
        let conf = self.conf()?;
        let fetching = fetch_conf(&conf)?;
        let verify = fetching.verify;
        let result = self.fetch(&conf, fetching);
        if self.json {
            output::json(&Summary::new(&self.uri, &self.output, verify, &result))?;
        } else if let Ok(report) = &result {
            summary::print_failures(report);
            if !self.quiet {
                output::line(report)?;
            }
        }
        match result {
            Ok(report) if report.is_complete() => Ok(ExitCode::SUCCESS),
            Ok(_) => Ok(ExitCode::from(INCOMPLETE)),
            Err(failure) => Err(failure),
        }
    }

    fn fetch(&self, conf: &Conf, fetching: FetchConf) -> Result<FetchReport, Failure> {
        let shards = conf.get_entry(&transport::SHARDS)?;
        let engine = engine::start(transport(conf, &fetching)?, shards)?;
        let clients = TransportContext::client_only(engine).create_client_factory(Vec::new());
        let progress = Progress::new(!self.quiet && !self.json);
        let shown = progress.clone();
        let fetcher = Fetcher::new(clients, self.uri.address(), fetching)
            .on_event(move |event| shown.show(event));
        let result = fetcher.fetch(self.uri.id(), &self.output);
        progress.finish();
        result.map_err(|error| Failure::with(code_of(&error), error))
    }

    fn conf(&self) -> Result<Conf, Failure> {
        let mut conf = self.settings.load(&DEFAULTS)?;
        let connect = self.connect_timeout.map(Duration::from_secs);
        let timeout = self.timeout.map(Duration::from_secs);
        flag(&mut conf, &block::FETCH_CONNECTIONS, self.connections)?;
        flag(&mut conf, &block::FETCH_IN_FLIGHT, self.in_flight)?;
        flag(&mut conf, &block::CHUNK_LEN, self.chunk)?;
        flag(
            &mut conf,
            &block::MAX_BYTES_IN_FLIGHT,
            self.memory.map(|size| size.0),
        )?;
        flag(&mut conf, &block::RESUME, self.resume.map(Resume::from))?;
        flag(&mut conf, &block::VERIFY, self.no_verify.then_some(false))?;
        flag(&mut conf, &block::SYNC, self.sync.then_some(true))?;
        flag(&mut conf, &block::MAX_RETRIES, self.retries)?;
        flag(&mut conf, &block::RETRY_WAIT, self.retry_wait)?;
        flag(&mut conf, &transport::CONNECTION_CREATION_TIMEOUT, connect)?;
        flag(&mut conf, &transport::HANDSHAKE_TIMEOUT, connect)?;
        flag(&mut conf, &transport::REQUEST_TIMEOUT, timeout)?;
        flag(&mut conf, &transport::CONNECTION_TIMEOUT, timeout)?;
        flag(&mut conf, &transport::SHARDS, self.shards)?;
        conf.validate()?;
        Ok(conf)
    }
}

/// Buffers for everything that may be in flight, and the transport's own reserve, unless the
/// configuration sets a size.
fn transport(conf: &Conf, fetching: &FetchConf) -> Result<TransportConf, Failure> {
    let mut settings = transport_conf(conf)?;
    if !conf.contains(transport::POOL_BUDGET.key()) {
        let least = u64::from(fetching.chunk_len) * fetching.connections as u64;
        let in_flight = fetching.max_bytes_in_flight.max(least);
        let in_flight = usize::try_from(in_flight).unwrap_or(usize::MAX / 4);
        let wanted = in_flight.saturating_add(in_flight / 4);
        let wanted = settings.pool_reserve.saturating_add(wanted);
        settings.pool_budget = settings.pool_budget.max(wanted);
    }
    Ok(settings)
}

/// Reads a number from 1 to `most`.
fn up_to(most: usize) -> impl TypedValueParser<Value = usize> {
    RangedU64ValueParser::<usize>::new().range(1..=most as u64)
}

/// Reads a number of seconds, with a fraction if need be.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: Option<f64> = text.parse().ok();
    let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.ok_or_else(|| format!("`{text}` is no number of seconds"))
}

fn chunk_len(text: &str) -> Result<u32, String> {
    let size: Size = text.parse()?;
    let len = u32::try_from(size.0)
        .ok()
        .filter(|len| Chunking::new(0, *len).is_some());
    len.ok_or_else(|| format!("{size} is not a power of two from 16KiB to 64MiB"))
}

fn code_of(error: &FetchError) -> u8 {
    match error {
        _ if error.is_connection() => NO_SERVER,
        FetchError::Local(_) | FetchError::InUse { .. } => NO_DESTINATION,
        _ => FAILED,
    }
}
