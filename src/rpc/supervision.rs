//! [`Supervision`]: what becomes of an isolated endpoint that panics.

use std::time::Duration;

/// The longest pause before a restart.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The policy for an isolated endpoint of which a handler or hook panics. The caller gets the panic as an error, and
/// [`on_error`](super::RpcEndpoint::on_error) is called, whichever it is; see
/// [`setup_supervised`](super::RpcEnv::setup_supervised).
///
/// An endpoint that has panicked is dropped without [`on_stop`](super::RpcEndpoint::on_stop): nobody knows the state
/// that it is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Supervision {
    /// It goes on with the next message, as endpoints of shards do.
    #[default]
    GoOn,
    /// It is stopped: its name is free, what waits for it fails.
    Stop,
    /// A new one takes its place and what waits for it, under the same name, on the same thread.
    Restart {
        /// So often in its life; then it is stopped.
        at_most: u32,
        /// The pause before the first restart. It doubles with each further one, up to 30 s. Messages wait meanwhile,
        /// within the bound of the inbox.
        pause: Duration,
    },
}
