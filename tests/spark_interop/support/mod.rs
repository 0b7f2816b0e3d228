//! Helpers shared by the tests: Spark's versions, one Java peer for each, services in directories
//! of their own, and files as executors would have written them.

mod bare;
pub(crate) mod echo;
mod executor;
mod kinds;
mod pattern;
pub(crate) mod rpc;

use std::collections::BTreeMap;
use std::env;
use std::path::Path;
use std::sync::OnceLock;

use ringrail_spark_peers::{Call, Install, Peer, ServiceKind, ServiceProcess, Version};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) use bare::Bare;
pub(crate) use executor::{Executor, MANAGER, SUB_DIRS};
pub(crate) use kinds::kinds;
pub(crate) use pattern::{digest, pattern};

/// Spark's configuration.
pub(crate) type Conf = BTreeMap<String, String>;

/// A configuration of these pairs.
pub(crate) fn conf(pairs: &[(&str, &str)]) -> Conf {
    let owned = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
    pairs.iter().map(owned).collect()
}

/// Spark, or a failure that says how to get it.
pub(crate) fn install(version: Version) -> Install {
    Install::find(version).unwrap_or_else(|error| panic!("{error}"))
}

/// A Java peer of Spark 3.5, the same for every test: starting one takes longer than most tests.
pub(crate) fn peer() -> &'static Peer {
    static PEER: OnceLock<Peer> = OnceLock::new();
    PEER.get_or_init(|| {
        Peer::start(&install(Version::V3_5), &["-Xmx1g"]).unwrap_or_else(|error| panic!("{error}"))
    })
}

/// Whether the service under test is Spark's own.
pub(crate) fn is_reference() -> bool {
    env::var_os("RINGRAIL_INTEROP_SERVICE").is_some_and(|kind| kind == "spark")
}

/// The service under test.
pub(crate) fn kind(version: Version, merge: bool) -> ServiceKind {
    if is_reference() {
        let install = install(version);
        ServiceKind::Spark { install, merge }
    } else {
        ServiceKind::Ringrail(env!("CARGO_BIN_EXE_ringrail").into())
    }
}

/// A service in a directory of its own, and block store clients that talk to it.
pub(crate) struct Scene {
    pub(crate) dir: TempDir,
    pub(crate) service: ServiceProcess,
}

impl Scene {
    /// Starts the service under test with `conf`.
    pub(crate) fn new(conf: &Conf) -> Self {
        Self::with(kind(Version::V3_5, false), conf)
    }

    /// Starts a service of this kind.
    pub(crate) fn with(kind: ServiceKind, conf: &Conf) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let service =
            ServiceProcess::start(kind, conf, dir.path()).unwrap_or_else(|error| panic!("{error}"));
        Self { dir, service }
    }

    /// The service's local directory.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A block store client of application `app`, by that name, with `conf`.
    pub(crate) fn client(&self, app: &str, conf: &Conf) -> BlockClient {
        BlockClient::new(app, self.service.port(), conf, None)
    }

    /// The same, which authenticates.
    pub(crate) fn client_with(&self, app: &str, secret: &str, conf: &Conf) -> BlockClient {
        BlockClient::new(app, self.service.port(), conf, Some(secret))
    }

    /// Chunks and bytes that the service has served.
    pub(crate) fn served(&self) -> (f64, f64) {
        self.service
            .served()
            .unwrap_or_else(|error| panic!("{error}"))
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the service's log ends with:\n{}", self.service.log());
        }
    }
}

/// Spark's ExternalBlockStoreClient in the Java peer; closed with this value.
pub(crate) struct BlockClient {
    name: String,
}

impl BlockClient {
    fn new(app: &str, port: u16, conf: &Conf, secret: Option<&str>) -> Self {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("{app}-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let call = Call::new("blocks").arg("name", &name).arg("app", app);
        // A client tries again where it hopes for better; tests need not wait long for that.
        let retries = [("spark.shuffle.io.retryWait", "50ms")];
        let mut call = call.arg("port", port).args(retries).args(conf);
        if let Some(secret) = secret {
            call = call.arg("secret", secret);
        }
        must(&call);
        Self { name }
    }

    /// A command to this client.
    pub(crate) fn call(&self, command: &str) -> Call {
        Call::new(command).arg("name", &self.name)
    }

    /// Registers an executor as it would itself.
    pub(crate) fn register(&self, executor: &Executor) -> Call {
        self.call("register")
            .arg("exec", &executor.id)
            .arg("dirs", executor.dirs_joined())
            .arg("sub_dirs", SUB_DIRS)
            .arg("manager", MANAGER)
    }

    /// Fetches blocks in one request; what arrived, and what failed.
    pub(crate) fn fetch(&self, exec: &str, ids: &[String]) -> Fetched {
        let call = self.call("fetch").arg("exec", exec);
        let answer = must(&call.arg("ids", ids.join(",")));
        assert_eq!(answer["all"], true, "an answer for each block: {answer}");
        Fetched(answer)
    }
}

impl Drop for BlockClient {
    fn drop(&mut self) {
        let _ = peer().call(&self.call("blocks_close"));
    }
}

/// The result of a fetch.
pub(crate) struct Fetched(pub(crate) Value);

impl Fetched {
    /// The digest of a block, if it arrived.
    pub(crate) fn sha256(&self, id: &str) -> Option<&str> {
        self.0["blocks"][id]["sha256"].as_str()
    }

    /// The failure of a block that did not arrive.
    pub(crate) fn error(&self, id: &str) -> &str {
        self.0["failed"][id].as_str().unwrap_or_default()
    }

    /// Asserts that `id` arrived with this content.
    pub(crate) fn assert_is(&self, id: &str, content: &[u8]) {
        assert_eq!(
            self.sha256(id),
            Some(digest(content).as_str()),
            "{id}: {}",
            self.error(id)
        );
    }
}

/// The answer of a command that must not fail.
#[track_caller]
pub(crate) fn must(call: &Call) -> Value {
    peer().call(call).unwrap_or_else(|error| panic!("{error}"))
}

/// Spark's error text for a command that must fail.
#[track_caller]
pub(crate) fn refusal(call: &Call) -> String {
    peer()
        .refusal(call)
        .unwrap_or_else(|error| panic!("{error}"))
}
