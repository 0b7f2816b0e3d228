//! Selection of Spark's protocol for a connection: configured, or detected from its first bytes.

use std::rc::Rc;
use std::sync::Arc;

use ringrail_codec::native::{Sniff, sniff};

use crate::conn::lifecycle::Phase;
use crate::error::CloseReason;
use crate::shard::conn::{Conn, PeerTerms};
use crate::spark::{ClientAuthentication, ServerAuthentication};

use super::Auth;
use super::SparkState;

/// The protocol and role of a connection.
#[derive(Clone, Debug, Default)]
pub(crate) enum Protocol {
    /// The native protocol.
    #[default]
    Native,
    /// Decided by the peer's first bytes.
    Either,
    /// Spark's protocol, as the accepting side.
    SparkServer(Option<Arc<ServerAuthentication>>),
    /// Spark's protocol, as the connecting side.
    SparkClient(Option<Arc<ClientAuthentication>>),
}

impl Conn {
    /// True if the peer is known to speak Spark's protocol before any byte is read.
    pub(in crate::shard::conn) fn is_spark_from_the_start(&self) -> bool {
        matches!(
            self.speaks,
            Protocol::SparkServer(_) | Protocol::SparkClient(_)
        )
    }

    /// Whether the first bytes of an accepted connection are Spark's; `None` while that is
    /// undecided.
    pub(in crate::shard::conn) fn sniffs_spark(&self, bytes: &[u8]) -> Option<bool> {
        match self.speaks {
            Protocol::Either => match sniff(bytes) {
                Sniff::Spark => Some(true),
                Sniff::NeedMore => None,
                _ => Some(false),
            },
            _ => Some(false),
        }
    }

    /// Switches the connection to Spark's protocol. It is open at once, unless a side has to
    /// authenticate first.
    #[cfg_attr(
        not(feature = "spark"),
        allow(unreachable_code, reason = "nobody authenticates then")
    )]
    pub(in crate::shard::conn) fn speak_spark(self: &Rc<Self>) {
        let side = SparkState::new(self.local.conf.spark_limits);
        *side.auth.borrow_mut() = match &self.speaks {
            Protocol::SparkServer(Some(auth)) => Some(Auth::server(auth)),
            Protocol::SparkClient(Some(auth)) => Some(Auth::client(auth)),
            _ => None,
        };
        let awaits = side.awaits_auth();
        if self.spark.set(Box::new(side)).is_err() {
            return self.close(CloseReason::Misbehaved("a second protocol".into()));
        }
        match awaits {
            true => self.begin_auth(),
            false => self.open_spark(),
        }
    }

    pub(super) fn open_spark(self: &Rc<Self>) {
        if self.phase() != Phase::Opening {
            return;
        }
        let limits = &self.local.conf.limits;
        self.open(PeerTerms {
            max_rpc_len: u64::from(ringrail_codec::spark::Limits::MAX_BODY_LEN),
            initial_credit: u64::MAX,
            max_outstanding: limits.max_outstanding,
            max_body_len: u32::MAX,
            send_crc: false,
        });
    }
}
