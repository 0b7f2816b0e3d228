//! The service: what all shards share, and the way to its handlers.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use ringrail_transport::{Engine, TransportContext};

use super::conf::{ShuffleConf, ShuffleServiceError};
use super::executors::Executors;
use super::handler::ShuffleHandler;
use super::housekeeping::Housekeeping;
use super::merge::{Merges, PushJob};
use super::metrics::{Metrics, ShuffleMetrics};
use super::recovery::Recovery;
use super::roots::LocalRoots;
use super::store::Store;
use super::tasks::Job;
use crate::workers::Workers;

/// State that all shards share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) roots: LocalRoots,
    pub(super) recovery: Arc<Recovery>,
    pub(super) executors: Executors,
    /// The merges in progress; `None` if merging is off.
    pub(super) merges: Option<Arc<Merges>>,
    pub(super) metrics: Metrics,
    pub(super) conf: ShuffleConf,
}

/// Serves what executors have written (Spark: `ExternalShuffleService`, `ExternalBlockHandler`).
///
/// Makes the handler of each shard; cheap to clone.
///
/// ```no_run
/// use ringrail::shuffle::{ShuffleConf, ShuffleService};
/// use ringrail::{Engine, ParkMode, TransportConf};
///
/// let mut conf = ShuffleConf::new(vec!["/srv/spark".into()]);
/// conf.store = Some("/srv/spark/executors.redb".into());
/// let service = ShuffleService::start(conf)?;
/// let engine = Engine::builder(TransportConf::default()).park(ParkMode::Bare).start()?;
/// let server = service.context(engine).create_server("127.0.0.1:7337".parse()?)?;
/// println!("listening on {}", server.local_addr());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ShuffleService {
    pub(super) shared: Arc<Shared>,
    pub(super) workers: Arc<Workers<Job>>,
    pub(super) mergers: Option<Arc<Workers<PushJob>>>,
    _housekeeping: Arc<Housekeeping>,
}

impl ShuffleService {
    /// Opens the local directories, loads the stored executors, starts the helper threads.
    ///
    /// # Errors
    /// A directory or the store cannot be opened, or a thread cannot be started.
    pub fn start(conf: ShuffleConf) -> Result<Self, ShuffleServiceError> {
        let roots = LocalRoots::open(&conf.local_dirs).map_err(|reason| {
            ShuffleServiceError::new("the shuffle service's directories", reason)
        })?;
        let path = conf.store.as_deref();
        let store = path.map(|path| Store::open(path, conf.store_wait));
        let recovery = store
            .transpose()
            .map(|store| Arc::new(Recovery::new(store)));
        let stored = |reason| ShuffleServiceError::new("the shuffle service's executors", reason);
        let recovery = recovery.map_err(stored)?;
        let executors = Executors::load(&recovery, &roots, conf.max_executors).map_err(stored)?;
        let merges = conf.merge.clone();
        let merges = merges.map(|merge| Merges::load(merge, &recovery, &roots).map(Arc::new));
        let merges = merges.transpose().map_err(stored)?;
        let threads = |reason| ShuffleServiceError::new("the shuffle service's threads", reason);
        let workers = Workers::start("ringrail-shuffle", conf.threads, conf.queue, Job::run)
            .map_err(threads)?;
        let mergers = conf.merge.as_ref().map(|merge| {
            Workers::start("ringrail-merger", merge.threads, conf.queue, PushJob::run)
        });
        let mergers = mergers.transpose().map_err(threads)?;
        let shared = Arc::new(Shared {
            roots,
            recovery,
            executors,
            merges,
            metrics: Metrics::default(),
            conf,
        });
        let housekeeping = Housekeeping::start(&shared).map_err(threads)?;
        Ok(Self {
            shared,
            workers: Arc::new(workers),
            mergers: mergers.map(Arc::new),
            _housekeeping: Arc::new(housekeeping),
        })
    }

    /// A context whose connections are served by this.
    pub fn context(&self, engine: Engine) -> TransportContext {
        let service = self.clone();
        TransportContext::new(engine, move || Rc::new(service.handler()))
    }

    /// The handler of one shard, made there: to be wrapped by one of your own.
    pub fn handler(&self) -> ShuffleHandler {
        ShuffleHandler::new(self.clone())
    }

    /// Executors that have registered (Spark: the gauge `registeredExecutorsSize`).
    pub fn executors(&self) -> usize {
        self.shared.executors.len()
    }

    /// The counters so far, summed over all shards.
    pub fn metrics(&self) -> ShuffleMetrics {
        self.shared.metrics.snapshot(self.executors())
    }

    /// Forgets an application that has ended; how many executors it had (Spark: `applicationRemoved`). Its files
    /// stay. Waits for the disk: not for the inside of a shard.
    ///
    /// # Errors
    /// The store cannot be written; nothing has changed then.
    pub fn remove_application(&self, app: &str) -> Result<usize, ShuffleServiceError> {
        let removed = self.shared.executors.remove_app(app);
        let merged = match &self.shared.merges {
            Some(merges) => merges.remove_app(app),
            None => Ok(()),
        };
        let removed = removed.and_then(|removed| merged.map(|()| removed));
        removed.map_err(|reason| ShuffleServiceError::new("removing an application", reason))
    }

    /// Removes executors none of whose local directories exists any more; returns their number. The service does
    /// this periodically, because no event reports the end of an application. Blocks on the disk.
    ///
    /// # Errors
    /// The store cannot be written; nothing has changed then.
    pub fn forget_gone_executors(&self) -> Result<usize, ShuffleServiceError> {
        let gone = self.shared.executors.forget_gone(&self.shared.roots);
        gone.map_err(|reason| ShuffleServiceError::new("forgetting executors", reason))
    }

    /// Closes the store of executors, so that the process that takes over can open it; call it before this
    /// one drains. Executors that would register from now on get an error that makes them reconnect; blocks are
    /// still served.
    pub fn hand_over(&self) {
        self.shared.recovery.hand_over();
    }
}

impl fmt::Debug for ShuffleService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShuffleService({} executors)", self.executors())
    }
}
