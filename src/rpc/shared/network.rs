//! The network of an env, as its backend provides it.

use std::fs::File;
use std::io;
use std::sync::Arc;

use ringrail_transport::TransportClientFactory;

use crate::rpc::RpcAddress;
use crate::rpc::error::{ENV_STOPPED, RpcError};
use crate::rpc::thread::ThreadHandle;

use super::EnvShared;

/// The network of an env: one per backend.
pub(crate) trait Network: Send + Sync {
    /// Connects `host`; blocks. Its outbox for `to` is told what came of it, unless this fails.
    ///
    /// # Errors
    /// There is no connection.
    fn connect(
        &self,
        env: &Arc<EnvShared>,
        host: &Arc<ThreadHandle>,
        to: &RpcAddress,
    ) -> Result<(), RpcError>;

    /// The source of a file of the env at `to`.
    ///
    /// # Errors
    /// There is no such env.
    fn file_source(&self, to: &RpcAddress, name: &str) -> Result<FileSource, RpcError>;

    /// Stops listening, and closes what would keep peers waiting.
    fn close(&self);
}

/// The source of a file of another env.
pub(crate) enum FileSource {
    /// It is of this process.
    File(io::Result<File>),
    /// Over a connection for downloads.
    Stream(TransportClientFactory),
}

impl EnvShared {
    /// Has a connection to `address` made, for the outbox on `host`.
    pub(crate) fn connect(self: &Arc<Self>, host: &Arc<ThreadHandle>, address: &RpcAddress) {
        let (env, of_job, to) = (Arc::clone(self), Arc::clone(host), address.clone());
        let job = move || {
            let network = env.network();
            let connected = network.and_then(|network| network.connect(&env, &of_job, &to));
            if let Err(error) = connected {
                of_job.run(move |dispatcher| dispatcher.connected(&to, Err(error)));
            }
        };
        if !self.connector.run(Box::new(job)) {
            let to = address.clone();
            host.run(move |dispatcher| dispatcher.connected(&to, Err(ENV_STOPPED)));
        }
    }
}
