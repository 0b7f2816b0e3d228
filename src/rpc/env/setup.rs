//! Setting endpoints up, and stopping them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

use crate::rpc::address::is_name;
use crate::rpc::endpoint::RpcEndpoint;
use crate::rpc::endpoint_ref::{RefTarget, RpcEndpointRef};
use crate::rpc::error::{ENV_HAS_STOPPED, RpcError};
use crate::rpc::inbox::{Inbox, InboxMetrics, NewInbox};
use crate::rpc::node::{HostHandle, Node, node_of, start_thread};

use super::RpcEnv;
use super::registry::Registration;
use super::shared::{EnvShared, next_serial};

/// Where an endpoint lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Placement {
    /// On one of the env's shards, each in turn.
    #[default]
    Any,
    /// On this shard (modulo their number).
    Shard(usize),
    /// On a thread of its own, which it may block (Spark: `IsolatedRpcEndpoint`).
    Isolated,
}

/// How an endpoint is set up.
#[derive(Clone, Copy, Debug, Default)]
pub struct EndpointOptions {
    /// Where it lives.
    pub placement: Placement,
    /// Messages that may wait for it; `ringrail.rpc.inbox.capacity` where `None`.
    pub inbox_capacity: Option<usize>,
}

impl EndpointOptions {
    /// An endpoint on a thread of its own.
    pub fn isolated() -> Self {
        Self {
            placement: Placement::Isolated,
            ..Self::default()
        }
    }

    /// An endpoint on this shard.
    pub fn on_shard(shard: usize) -> Self {
        Self {
            placement: Placement::Shard(shard),
            ..Self::default()
        }
    }
}

impl RpcEnv {
    /// Sets an endpoint up under a name (Spark: `setupEndpoint`). Messages may be sent at once; they
    /// wait until `on_start` has returned.
    ///
    /// # Errors
    /// The name is taken or cannot be one, or the env is stopped.
    pub fn setup_endpoint<E: RpcEndpoint + Send>(
        &self,
        name: &str,
        endpoint: E,
    ) -> Result<RpcEndpointRef<E>, RpcError> {
        self.setup_endpoint_with(name, EndpointOptions::default(), move || endpoint)
    }

    /// As [`setup_endpoint`](Self::setup_endpoint), with options. `make` is called on the thread that
    /// the endpoint will live on, so an endpoint need not be `Send`.
    ///
    /// # Errors
    /// As [`setup_endpoint`](Self::setup_endpoint); also that there is no thread for an isolated one.
    pub fn setup_endpoint_with<E: RpcEndpoint>(
        &self,
        name: &str,
        options: EndpointOptions,
        make: impl FnOnce() -> E + Send + 'static,
    ) -> Result<RpcEndpointRef<E>, RpcError> {
        let env = self.shared();
        check(env, name)?;
        let isolated = options.placement == Placement::Isolated;
        let host = match options.placement {
            Placement::Any => env.next_shard()?,
            Placement::Shard(at) => {
                let shards = env.shards();
                let shard = shards.get(at % shards.len().max(1));
                Arc::clone(shard.ok_or(ENV_HAS_STOPPED)?)
            }
            Placement::Isolated => {
                let host = start_thread(env, format!("{}-{name}", env.name()), true)?;
                env.add_host(&host);
                host
            }
        };
        let added = add(env, name, vec![Arc::clone(&host)], isolated);
        let (target, serial, metrics) = match added {
            Ok(added) => added,
            Err(error) => {
                if isolated {
                    host.run(|node| node.shut_down(true));
                }
                return Err(error);
            }
        };
        let of_host = Arc::clone(&target);
        let [metrics] = &metrics[..] else {
            return Err(ENV_HAS_STOPPED);
        };
        let metrics = Arc::clone(metrics);
        host.run(move |node| set_up(node, of_host, (options, serial, metrics), make));
        stopped_meanwhile(env, &target)?;
        Ok(RpcEndpointRef::new(target))
    }

    /// Sets an endpoint up with an instance on every shard: messages are handled on the shard that
    /// they come to, by several instances at a time, and keep no order (Spark: an `RpcEndpoint` that is
    /// not thread-safe).
    ///
    /// # Errors
    /// As [`setup_endpoint`](Self::setup_endpoint).
    pub fn setup_replicated<E: RpcEndpoint>(
        &self,
        name: &str,
        options: EndpointOptions,
        make: impl Fn() -> E + Send + Sync + 'static,
    ) -> Result<RpcEndpointRef<E>, RpcError> {
        let env = self.shared();
        check(env, name)?;
        let (target, serial, metrics) = add(env, name, env.shards().to_vec(), false)?;
        let make = Arc::new(make);
        for (host, metrics) in env.shards().iter().zip(metrics) {
            let (of_host, make) = (Arc::clone(&target), Arc::clone(&make));
            let with = (options, serial, metrics);
            host.run(move |node| set_up(node, of_host, with, move || make()));
        }
        stopped_meanwhile(env, &target)?;
        Ok(RpcEndpointRef::new(target))
    }

    /// Stops an endpoint: what is queued is handled, then `on_stop` is called (Spark: `stop`). Does not
    /// wait for it. Does nothing where it was stopped before.
    pub fn stop<E>(&self, endpoint: &RpcEndpointRef<E>) {
        let id = endpoint.target().id();
        let Some(registration) = self.shared().registry().remove(id) else {
            return;
        };
        for host in registration.hosts.iter() {
            let (serial, isolated) = (registration.serial, registration.isolated);
            let stop = move |node: &Rc<Node>| {
                node.stop_inbox(serial);
                if isolated {
                    node.shut_down(true);
                }
            };
            match node_of(self.shared().id()) {
                // What this thread sends next must find the endpoint stopped.
                Some(node) if Arc::ptr_eq(node.handle(), host) => {
                    node.catch_up();
                    stop(&node);
                }
                _ => {
                    host.run_after_mail(stop);
                }
            }
        }
    }
}

/// Whether an endpoint may be set up under this name.
fn check(env: &EnvShared, name: &str) -> Result<(), RpcError> {
    if !is_name(name) {
        return Err(RpcError::InvalidName { name: name.into() });
    }
    if env.is_stopped() {
        return Err(ENV_HAS_STOPPED);
    }
    env.registry().check_free(name)
}

type Added = (Arc<RefTarget>, u64, Vec<Arc<InboxMetrics>>);

fn add(
    env: &Arc<EnvShared>,
    name: &str,
    hosts: Vec<Arc<HostHandle>>,
    isolated: bool,
) -> Result<Added, RpcError> {
    let name: Arc<str> = name.into();
    let metrics: Vec<_> = hosts.iter().map(|_| Arc::default()).collect();
    let serial = next_serial();
    env.registry().add(Registration {
        name: Arc::clone(&name),
        serial,
        hosts: hosts.into(),
        metrics: metrics.clone(),
        isolated,
    })?;
    Ok((env.own_ref(name), serial, metrics))
}

/// An env that was stopped while an endpoint was being added has not seen it.
fn stopped_meanwhile(env: &EnvShared, target: &RefTarget) -> Result<(), RpcError> {
    if env.is_stopped() {
        env.registry().remove(target.id());
        return Err(ENV_HAS_STOPPED);
    }
    Ok(())
}

/// On the endpoint's thread: makes it, and its inbox.
fn set_up<E: RpcEndpoint>(
    node: &Rc<Node>,
    target: Arc<RefTarget>,
    (options, serial, metrics): (EndpointOptions, u64, Arc<InboxMetrics>),
    make: impl FnOnce() -> E,
) {
    let id = target.id();
    let Ok(endpoint) = catch_unwind(AssertUnwindSafe(make)) else {
        tracing::error!(target: "ringrail::rpc", endpoint = %target, "making the endpoint panicked");
        node.env().registry().remove(id);
        return;
    };
    let capacity = node.env().settings().inbox_capacity;
    let inbox = Inbox::new(
        node,
        NewInbox {
            me: RpcEndpointRef::new(target),
            serial,
            endpoint,
            capacity: options.inbox_capacity.unwrap_or(capacity),
            metrics,
        },
    );
    node.add_inbox(id, inbox);
}
