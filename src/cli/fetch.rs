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
use ringrail::{Engine, ParkMode, TransportConf, TransportContext};

use super::failure::{FAILED, Failure, INCOMPLETE, NO_DESTINATION, NO_SERVER, Outcome};
use super::output;
use super::size::Size;
use progress::Progress;
use summary::Summary;

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
    /// What to fetch: rail://HOST:PORT[/PATH] or rail+unix:///SOCKET[?path=PATH]; write odd bytes
    /// as %XX
    #[arg(value_name = "URI")]
    uri: RailUri,
    /// Where to put it
    #[arg(long, short, value_name = "DEST")]
    output: PathBuf,
    /// Connections to open
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = up_to(MAX_CONNECTIONS))]
    connections: usize,
    /// Chunks in flight on each connection
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = up_to(MAX_IN_FLIGHT))]
    in_flight: usize,
    /// Length of a chunk: a power of two from 16KiB to 64MiB
    #[arg(long, value_name = "SIZE", default_value = "4MiB", value_parser = chunk_len)]
    chunk: u32,
    /// Bytes that may be in flight or waiting to be written, of all connections together
    #[arg(long, value_name = "SIZE", default_value = "64MiB")]
    memory: Size,
    /// What to make of files that are at DEST already
    #[arg(long, value_name = "HOW", value_enum, default_value_t = ResumeArg::Continue)]
    resume: ResumeArg,
    /// Do not compare with the server's digests
    #[arg(long)]
    no_verify: bool,
    /// Have files on the disk before they get their names
    #[arg(long)]
    sync: bool,
    /// How often to try again without success in between
    #[arg(long, value_name = "N", default_value_t = 3)]
    retries: u32,
    /// Seconds before the first such attempt; doubled for each further one
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    retry_wait: f64,
    /// Seconds to wait for a connection
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    connect_timeout: u64,
    /// Seconds to wait for a chunk, and for any sign of life of the server
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
    /// Shards (threads with a ring each) that the connections are spread over
    #[arg(long, value_name = "N", default_value_t = 1)]
    shards: usize,
    /// Print the result as JSON, also where it fails
    #[arg(long)]
    json: bool,
    /// Print no progress and no summary
    #[arg(long, short)]
    quiet: bool,
}

/// What to make of files that are there already.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ResumeArg {
    /// Keep files of the same length and time, continue unfinished ones
    Continue,
    /// Keep files only where their digest is the same too: both sides read everything
    Recheck,
    /// Fetch everything anew
    Fresh,
}

impl Fetch {
    pub(crate) fn run(self) -> Outcome {
        let result = self.fetch();
        if self.json {
            output::json(&Summary::new(
                &self.uri,
                &self.output,
                !self.no_verify,
                &result,
            ))?;
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

    fn fetch(&self) -> Result<FetchReport, Failure> {
        let conf = self.conf()?;
        let engine = Engine::builder(self.transport())
            .shards(self.shards.max(1))
            .unpinned()
            .park(ParkMode::Bare)
            .start()?;
        let clients = TransportContext::client_only(engine).create_client_factory(Vec::new());
        let progress = Progress::new(!self.quiet && !self.json);
        let shown = progress.clone();
        let fetcher = Fetcher::new(clients, self.uri.address(), conf)
            .on_event(move |event| shown.show(event));
        let result = fetcher.fetch(self.uri.id(), &self.output);
        progress.finish();
        result.map_err(|error| Failure::with(code_of(&error), error))
    }

    fn conf(&self) -> Result<FetchConf, Failure> {
        let retry_wait = Duration::try_from_secs_f64(self.retry_wait)
            .map_err(|_| FetchError::Config("--retry-wait must be a number of seconds"))?;
        Ok(FetchConf {
            connections: self.connections,
            in_flight: self.in_flight,
            max_bytes_in_flight: self.memory.0,
            chunk_len: self.chunk,
            verify: !self.no_verify,
            resume: match self.resume {
                ResumeArg::Continue => Resume::Continue,
                ResumeArg::Recheck => Resume::Recheck,
                ResumeArg::Fresh => Resume::Fresh,
            },
            max_retries: self.retries,
            retry_wait,
            sync: self.sync,
        })
    }

    /// Buffers for everything that may be in flight, and the transport's own reserve.
    fn transport(&self) -> TransportConf {
        let mut conf = TransportConf::default();
        let least = u64::from(self.chunk) * self.connections as u64;
        let in_flight = usize::try_from(self.memory.0.max(least)).unwrap_or(usize::MAX / 4);
        let wanted = conf
            .pool_reserve
            .saturating_add(in_flight.saturating_add(in_flight / 4));
        conf.pool_budget = conf.pool_budget.max(wanted);
        conf.connect_timeout = Duration::from_secs(self.connect_timeout);
        conf.handshake_timeout = Duration::from_secs(self.connect_timeout);
        conf.request_timeout = Duration::from_secs(self.timeout);
        conf.connection_timeout = Duration::from_secs(self.timeout);
        conf
    }
}

/// Reads a number from 1 to `most`.
fn up_to(most: usize) -> impl TypedValueParser<Value = usize> {
    RangedU64ValueParser::<usize>::new().range(1..=most as u64)
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
