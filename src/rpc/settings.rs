//! The settings of an env, read once from its [`Conf`].

use std::time::Duration;

use crate::conf::keys::{network, rpc, transport};
use crate::conf::{Conf, ConfError, RpcTimeout};

use super::clock;

/// Bounds an endpoint's inbox.
pub(crate) const INBOX_KEY: &str = "ringrail.rpc.inbox.capacity";

/// Bounds an address's outbox.
pub(crate) const OUTBOX_KEY: &str = "ringrail.rpc.outbox.capacity";

/// Bounds a message.
pub(crate) const MESSAGE_KEY: &str = "ringrail.rpc.message.maxSize";

/// Bounds the mail of a thread.
pub(crate) const MAIL_KEY: &str = "ringrail.transport.inbox";

/// Bounds the replies that a thread remembers.
pub(crate) const REMEMBERED_KEY: &str = "ringrail.rpc.retry.remembered";

/// What an env is set to.
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
    pub(crate) mail_capacity: usize,
    pub(crate) connect_concurrency: usize,
    pub(crate) port_max_retries: u32,
    pub(crate) shards: usize,
    pub(crate) drain_timeout: Duration,
    /// Bytes of a message's archive.
    pub(crate) message_max: u64,
}

impl RpcSettings {
    /// # Errors
    /// A value that its key cannot have.
    pub(crate) fn read(conf: &Conf) -> Result<Self, ConfError> {
        let ask_timeout = RpcTimeout::ask(conf)?;
        Ok(Self {
            ask_timeout_ns: clock::ns(ask_timeout.duration()),
            ask_timeout,
            lookup_timeout: RpcTimeout::lookup(conf)?,
            num_retries: conf.get_entry(&rpc::NUM_RETRIES)?,
            retry_wait: conf.get_entry(&rpc::RETRY_WAIT)?,
            remembered: conf.get_entry(&rpc::RETRY_REMEMBERED)?,
            remembered_len: conf.get_entry(&rpc::RETRY_REMEMBERED_SIZE)?,
            inbox_capacity: conf.get_entry(&rpc::INBOX_CAPACITY)?,
            max_stall: conf.get_entry(&rpc::INBOX_MAX_STALL)?,
            inbox_budget: conf.get_entry(&rpc::INBOX_BUDGET)?,
            outbox_capacity: conf.get_entry(&rpc::OUTBOX_CAPACITY)?,
            mail_capacity: conf.get_entry(&transport::INBOX)?,
            connect_concurrency: conf.get_entry(&rpc::CONNECT_CONCURRENCY)?,
            port_max_retries: conf.get_entry(&network::PORT_MAX_RETRIES)?,
            shards: conf.get_entry(&rpc::SHARDS)?,
            drain_timeout: conf.get_entry(&transport::DRAIN_TIMEOUT)?,
            message_max: conf.get_entry(&rpc::MESSAGE_MAX_SIZE)?,
        })
    }
}
