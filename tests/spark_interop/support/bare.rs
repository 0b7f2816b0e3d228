//! A connection of Spark's own TransportClient.

use std::sync::atomic::{AtomicU64, Ordering};

use ringrail_spark_peers::Call;

use super::{Conf, must, peer};

/// A client in the Java peer, named there; closed with this value.
pub(crate) struct Bare(String);

impl Bare {
    /// Connects to `port` of this machine, as application `app` if there is a secret to tell.
    pub(crate) fn connect(port: u16, app: &str, secret: Option<&str>, conf: &Conf) -> Self {
        let bare = Self::new();
        must(&bare.connecting(port, app, secret, conf));
        bare
    }

    /// A name for a connection to be.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(format!("bare-{}", NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    /// The command that connects.
    pub(crate) fn connecting(
        &self,
        port: u16,
        app: &str,
        secret: Option<&str>,
        conf: &Conf,
    ) -> Call {
        let call = self.call("connect").arg("port", port).arg("app", app);
        let call = call.args(conf);
        match secret {
            Some(secret) => call.arg("secret", secret),
            None => call,
        }
    }

    /// A command to this connection.
    pub(crate) fn call(&self, command: &str) -> Call {
        Call::new(command).arg("name", &self.0)
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        // There may be none: connecting may have been refused.
        let _ = peer().call(&self.call("close"));
    }
}
