//! The fetching side: a file or a tree, from a block server to disk.
//!
//! ```text
//! manifest ─► plan (checked) ─► directories ─► queue of lots ─► workers, one per connection
//!                                                                   │ verify, write in the stage
//! modes and times of directories ◄── symbolic links ◄── files get their names
//! ```

mod conf;
mod dest;
mod error;
mod event;
mod job;
mod kept;
mod lot;
mod plan;
mod queue;
mod shared;
mod tally;
mod worker;

use std::collections::VecDeque;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use ringrail_transport::client::TransportClientFactory;

pub use conf::{FetchConf, MAX_CONNECTIONS, MAX_IN_FLIGHT, Resume};
pub use error::{FetchError, FileError, LocalError};
pub use event::{
    Canceller, FetchEvent, FetchReport, FileFailure, Listener, MAX_FAILURES_KEPT, Skipped,
};

use dest::{Destination, Need};
use job::FileJob;
use plan::{FilePlan, Plan};
use queue::Queue;
use shared::Shared;
use tally::Tally;
use worker::Worker;

use super::{BlockClient, BlockId};

/// Fetches files and trees from a block server.
///
/// Files appear under their names only when they are complete and verified; what is unfinished lies
/// in `.ringrail-fetch` below the destination, and the next fetch goes on with it. Memory is bounded
/// by `ringrail.block.maxBytesInFlight`.
///
/// ```no_run
/// use ringrail::block::BlockId;
/// use ringrail::block::fetch::{FetchConf, Fetcher};
/// use ringrail::{Engine, ParkMode, TransportConf, TransportContext};
///
/// let engine = Engine::builder(TransportConf::default()).shards(1).park(ParkMode::Bare).start()?;
/// let clients = TransportContext::client_only(engine).create_client_factory(Vec::new());
/// let fetcher = Fetcher::new(clients, "10.0.0.7:7337", FetchConf::default());
/// let report = fetcher.fetch(&BlockId::ROOT, "/data/copy".as_ref())?;
/// println!("{report}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Fetcher {
    clients: TransportClientFactory,
    address: String,
    conf: FetchConf,
    listener: Option<Box<Listener>>,
    canceller: Canceller,
}

impl Fetcher {
    /// Fetches from the server at `address`, over connections that `clients` makes; they are not
    /// pooled.
    pub fn new(
        clients: TransportClientFactory,
        address: impl Into<String>,
        conf: FetchConf,
    ) -> Self {
        let canceller = Canceller::default();
        Self {
            clients,
            address: address.into(),
            conf,
            listener: None,
            canceller,
        }
    }

    /// Reports events to `listener`.
    #[must_use]
    pub fn on_event(mut self, listener: impl Fn(&FetchEvent<'_>) + Send + Sync + 'static) -> Self {
        self.listener = Some(Box::new(listener));
        self
    }

    /// Ends the fetch from another thread.
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    /// Fetches `id`: a directory's contents into the directory `to`, or a file to the path `to` (or
    /// under its own name into `to`, where that is a directory or ends with a slash). Blocks this
    /// thread; from a runtime, run it on a blocking thread.
    ///
    /// # Errors
    /// Why it ended early. Files that failed for themselves do not end it: see
    /// [`FetchReport::is_complete`].
    ///
    /// # Panics
    /// Inside an asynchronous runtime, which it would block.
    pub fn fetch(&self, id: &BlockId, to: &Path) -> Result<FetchReport, FetchError> {
        self.conf.check()?;
        let started = Instant::now();
        let client = self
            .clients
            .create_unmanaged_client_blocking(&self.address)?;
        let client = BlockClient::new(client);
        let digests = self.conf.resume == Resume::Recheck;
        let entries = client.entries(id, digests).map_err(FetchError::Manifest)?;
        let plan = Plan::new(id, entries, &self.conf)?;
        let (to, name) = self.destination(id, &plan, to)?;
        let tally = Tally::new(self.listener.as_deref());
        let fetch = Fetch {
            fetcher: self,
            id,
            name,
            plan,
            to: &to,
        };
        let outcome = fetch.run(client, tally, started);
        if !outcome.as_ref().is_ok_and(FetchReport::is_complete) {
            to.leave();
        }
        outcome
    }

    /// The destination directory, and the file name there for a single file.
    fn destination(
        &self,
        id: &BlockId,
        plan: &Plan,
        to: &Path,
    ) -> Result<(Destination, BlockId), FetchError> {
        if !plan.single {
            return Ok((Destination::tree(to, self.conf.sync)?, BlockId::ROOT));
        }
        let remote = id.file_name().ok_or_else(|| FetchError::Refused {
            path: String::new(),
            reason: String::from("the root of what is served cannot be a file"),
        })?;
        Destination::file(to, remote, self.conf.sync)
    }
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fetcher({}, {:?})", self.address, self.conf)
    }
}

/// One run of a fetcher.
struct Fetch<'a> {
    fetcher: &'a Fetcher,
    id: &'a BlockId,
    /// The name of a single file.
    name: BlockId,
    plan: Plan,
    to: &'a Destination,
}

impl Fetch<'_> {
    fn run(
        mut self,
        client: BlockClient,
        tally: Tally<'_>,
        started: Instant,
    ) -> Result<FetchReport, FetchError> {
        let mut report = FetchReport::default();
        for dir in self.plan.dirs.iter().filter(|dir| !dir.path.is_root()) {
            self.to.make_dir(&dir.path)?;
        }
        let conf = &self.fetcher.conf;
        let files = std::mem::take(&mut self.plan.files);
        let missing = kept::missing(self.to, &self.name, files, conf, &mut report)?;
        tally.tell(&FetchEvent::Planned {
            files: missing.len() as u64,
            bytes: missing.iter().map(|file| file.cut.len()).sum(),
            kept: report.files_kept,
        });
        let planned = missing.len() as u64;
        let jobs = self.start_files(missing, &tally)?;
        let tally = self.fetch_all(client, jobs, tally, planned)?;
        for link in &self.plan.links {
            self.to.make_link(&link.path, &link.target, &link.stamp)?;
            report.symlinks += 1;
        }
        // From the bottom up: writing into a directory changes its time.
        for dir in self.plan.dirs.iter().rev() {
            self.to.finish_dir(&dir.path, &dir.stamp)?;
            report.directories += 1;
        }
        self.finish(report, tally, started)
    }

    fn finish(
        self,
        mut report: FetchReport,
        tally: Tally<'_>,
        started: Instant,
    ) -> Result<FetchReport, FetchError> {
        tally.finish(&mut report, self.plan.single);
        report.failed += self.plan.unreadable.len() as u64;
        report.skipped = self.plan.skipped;
        report.unreadable = self.plan.unreadable;
        if report.is_complete() {
            self.to.close()?;
            // The stage was in it, and its end has changed the time.
            if let Some(top) = self.plan.dirs.first() {
                self.to.finish_dir(&top.path, &top.stamp)?;
            }
        }
        report.elapsed = started.elapsed();
        Ok(report)
    }

    /// Makes the empty files, and jobs of the others.
    fn start_files(
        &self,
        files: Vec<FilePlan>,
        tally: &Tally<'_>,
    ) -> Result<VecDeque<Arc<FileJob>>, FetchError> {
        let resume = self.fetcher.conf.resume != Resume::Fresh;
        let mut jobs = VecDeque::with_capacity(files.len());
        for file in files {
            let path = kept::local_path(&self.name, &file.path);
            let id = self
                .id
                .join(file.path.as_bytes())
                .map_err(|error| FetchError::Refused {
                    path: file.path.to_string(),
                    reason: error.to_string(),
                })?;
            let job = FileJob::new(id, path, &file, resume);
            if file.cut.is_empty() {
                self.make_empty(&job, tally)?;
            } else {
                jobs.push_back(Arc::new(job));
            }
        }
        Ok(jobs)
    }

    fn make_empty(&self, job: &FileJob, tally: &Tally<'_>) -> Result<(), FetchError> {
        let need = Need {
            len: 0,
            resume: false,
            reserve: false,
        };
        let made = self
            .to
            .part(&job.path, need)
            .and_then(|part| self.to.publish(&part, &job.path, &job.stamp));
        match made {
            Ok(()) => tally.file_done(job, job.cut.root(&[])),
            Err(error) if error.is_fatal() => return Err(error.into()),
            Err(error) => tally.file_failed(job, error.into()),
        }
        Ok(())
    }

    /// Fetches the jobs over all connections.
    fn fetch_all<'t>(
        &self,
        client: BlockClient,
        jobs: VecDeque<Arc<FileJob>>,
        tally: Tally<'t>,
        planned: u64,
    ) -> Result<Tally<'t>, FetchError>
    where
        Self: 't,
    {
        let fetcher = self.fetcher;
        let chunks: u64 = jobs.iter().map(|job| u64::from(job.cut.count())).sum();
        let workers = usize::try_from(chunks).map_or(fetcher.conf.connections, |chunks| {
            fetcher.conf.connections.min(chunks)
        });
        let shared = Shared {
            conf: &fetcher.conf,
            clients: &fetcher.clients,
            address: &fetcher.address,
            canceller: &fetcher.canceller,
            to: self.to,
            queue: Queue::new(jobs, workers),
            tally,
            share: fetcher.conf.share(workers),
        };
        let mut client = Some(client);
        let started = std::thread::scope(|scope| {
            (0..workers).try_for_each(|number| {
                let worker = Worker::new(&shared, client.take());
                let thread = std::thread::Builder::new().name(format!("ringrail-fetch-{number}"));
                thread
                    .spawn_scoped(scope, || worker.run())
                    .map(drop)
                    .inspect_err(|_| {
                        shared.queue.stop();
                    })
            })
        });
        started.map_err(FetchError::Thread)?;
        let tally = shared.tally;
        match tally.take_fatal() {
            None => Ok(tally),
            Some(error) if error.is_connection() => {
                let files_left = planned.saturating_sub(tally.files_over());
                Err(FetchError::Lost {
                    files_left,
                    source: Box::new(error),
                })
            }
            Some(error) => Err(error),
        }
    }
}
