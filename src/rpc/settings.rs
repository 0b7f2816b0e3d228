//! The settings of an env, and where they come from.
//!
//! This layer reads no keys: a [`SettingsSource`], such as a configuration, fills [`RpcSettings`].

use std::any::Any;
use std::time::Duration;

use ringrail_transport::TransportConf;

use super::error::RpcError;
use super::{RpcTimeout, clock};

/// Bounds an endpoint's inbox.
pub(crate) const INBOX_KEY: &str = "ringrail.rpc.inbox.capacity";

/// Bounds an address's outbox.
pub(crate) const OUTBOX_KEY: &str = "ringrail.rpc.outbox.capacity";

/// Bounds a message.
pub(crate) const MESSAGE_KEY: &str = "ringrail.rpc.message.maxSize";

/// Bounds the mailbox of a thread.
pub(crate) const MAILBOX_KEY: &str = "ringrail.transport.inbox";

/// Bounds the replies that a thread remembers.
pub(crate) const REMEMBERED_KEY: &str = "ringrail.rpc.retry.remembered";

/// The settings of an env. Each field is one key's value.
#[derive(Clone, Debug)]
pub(crate) struct RpcSettings {
    pub(crate) ask_timeout: RpcTimeout,
    /// The same in ns, for the hot path.
    pub(crate) ask_timeout_ns: u64,
    pub(crate) lookup_timeout: RpcTimeout,
    pub(crate) num_retries: u32,
    pub(crate) retry_wait: Duration,
    /// Replies that a thread remembers for repetitions, and repeatable calls that it handles at a time.
    pub(crate) remembered: usize,
    /// Bytes of these replies.
    pub(crate) remembered_len: usize,
    pub(crate) inbox_capacity: usize,
    pub(crate) inbox_budget: usize,
    /// How long a peer's message waits for room in an inbox.
    pub(crate) max_stall: Duration,
    pub(crate) outbox_capacity: usize,
    pub(crate) mailbox_capacity: usize,
    pub(crate) connect_concurrency: usize,
    pub(crate) port_max_retries: u32,
    pub(crate) shards: usize,
    pub(crate) drain_timeout: Duration,
    /// Bytes of a message's archive.
    pub(crate) message_max: u64,
}

/// The time of asks and lookups where nothing is set (Spark: `spark.network.timeout`).
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(120);

impl Default for RpcSettings {
    fn default() -> Self {
        Self {
            ask_timeout_ns: clock::ns(DEFAULT_TIMEOUT),
            ask_timeout: RpcTimeout::new(DEFAULT_TIMEOUT, "ringrail.rpc.askTimeout"),
            lookup_timeout: RpcTimeout::new(DEFAULT_TIMEOUT, "ringrail.rpc.lookupTimeout"),
            num_retries: 3,
            retry_wait: Duration::from_secs(3),
            remembered: 4096,
            remembered_len: 16 << 20,
            inbox_capacity: 16_384,
            inbox_budget: 64,
            max_stall: Duration::from_secs(10),
            outbox_capacity: 16_384,
            mailbox_capacity: 65_536,
            connect_concurrency: 64,
            port_max_retries: 16,
            shards: 0,
            drain_timeout: Duration::from_secs(10),
            message_max: 128 << 20,
        }
    }
}

/// Fills the settings of an env.
pub(crate) trait SettingsSource: Any + Send + Sync {
    /// Those of this layer.
    ///
    /// # Errors
    /// A value that its key cannot have, or a setting that asks for protection that an env does not have.
    fn settings(&self) -> Result<RpcSettings, RpcError>;

    /// Those of an engine of the env's own.
    ///
    /// # Errors
    /// A value that its key cannot have, or that an env cannot do as it says.
    fn transport(&self) -> Result<TransportConf, RpcError>;

    /// How many threads a program of this role has, where that is set.
    ///
    /// # Errors
    /// It is set to something else than a number.
    fn threads_of(&self, role: &str) -> Result<Option<usize>, RpcError>;

    /// The keys that are set and that an engine with these settings does not do as they say.
    ///
    /// # Errors
    /// A value that its key cannot have, or that an env cannot do as it says.
    fn ignored_by(&self, engine: &TransportConf) -> Result<Vec<&'static str>, RpcError>;
}

/// The settings that hold if nothing is set.
pub(crate) struct Defaults;

impl SettingsSource for Defaults {
    fn settings(&self) -> Result<RpcSettings, RpcError> {
        Ok(RpcSettings::default())
    }

    fn transport(&self) -> Result<TransportConf, RpcError> {
        Ok(TransportConf::default())
    }

    fn threads_of(&self, _: &str) -> Result<Option<usize>, RpcError> {
        Ok(None)
    }

    fn ignored_by(&self, _: &TransportConf) -> Result<Vec<&'static str>, RpcError> {
        Ok(Vec::new())
    }
}
