//! Setting endpoints up, and stopping them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

use ringrail_codec::native::FailureCode;

use crate::rpc::address::is_name;
use crate::rpc::dispatcher::{Dispatcher, dispatcher_of, start_thread};
use crate::rpc::endpoint::RpcEndpoint;
use crate::rpc::endpoint_ref::RpcEndpointRef;
use crate::rpc::error::{ENV_HAS_STOPPED, RpcError};
use crate::rpc::inbox::{Inbox, NewInbox, Supervisor};
use crate::rpc::metrics::InboxMetrics;
use crate::rpc::route::{MessageSet, RouteTable};
use crate::rpc::shared::{EnvShared, Registration, next_serial};
use crate::rpc::supervision::Supervision;
use crate::rpc::target::{Place, RefTarget};
use crate::rpc::thread::ThreadHandle;

use super::RpcEnv;

/// The place that an endpoint lives at.
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
    /// The place that it lives at.
    pub placement: Placement,
    /// Messages that may wait for it; `ringrail.rpc.inbox.capacity` where `None`.
    pub inbox_capacity: Option<usize>,
    /// The policy for a panic of it. For isolated endpoints that can be made again:
    /// [`setup_supervised`](RpcEnv::setup_supervised).
    pub supervision: Supervision,
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
    /// The name is taken or cannot be one, a message of the endpoint has the name of another type, or the env is
    /// stopped.
    pub fn setup_endpoint<E: RpcEndpoint + Send>(
        &self,
        name: &str,
        endpoint: E,
    ) -> Result<RpcEndpointRef<E>, RpcError> {
        // Those of functions, which their type does not tell.
        endpoint.routes().declare()?;
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
        check::<E>(env, name)?;
        if options.supervision != Supervision::GoOn {
            let text =
                "a supervised endpoint is set up by setup_supervised, which can make it again";
            return Err(RpcError::failure(FailureCode::InvalidArgument, text));
        }
        self.add_one(name, options, move || (make(), None))
    }

    /// As [`setup_endpoint_with`](Self::setup_endpoint_with), for an [isolated](Placement::Isolated) endpoint that
    /// [`options`](EndpointOptions::supervision) say is stopped or made anew when it panics.
    ///
    /// # Errors
    /// As there; also that the options place it on a shard: what a restart waits for would hold up others.
    pub fn setup_supervised<E: RpcEndpoint>(
        &self,
        name: &str,
        options: EndpointOptions,
        mut make: impl FnMut() -> E + Send + 'static,
    ) -> Result<RpcEndpointRef<E>, RpcError> {
        check::<E>(self.shared(), name)?;
        if options.placement != Placement::Isolated {
            let text = "a supervised endpoint has a thread of its own: EndpointOptions::isolated";
            return Err(RpcError::failure(FailureCode::InvalidArgument, text));
        }
        self.add_one(name, options, move || {
            let first = make();
            let supervisor = Supervisor::new(options.supervision, Box::new(make));
            let goes_on = options.supervision == Supervision::GoOn;
            (first, (!goes_on).then_some(supervisor))
        })
    }

    fn add_one<E: RpcEndpoint>(
        &self,
        name: &str,
        options: EndpointOptions,
        make: impl FnOnce() -> Made<E> + Send + 'static,
    ) -> Result<RpcEndpointRef<E>, RpcError> {
        let env = self.shared();
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
        let mut make = Some(make);
        let ready = add(env, name, vec![Arc::clone(&host)], options, || {
            let Some(make) = make.take() else {
                unreachable!("one thread makes one instance");
            };
            make
        });
        if isolated && ready.is_err() {
            // Nobody else knows of its thread, or the env has looked for its threads before this one was there.
            host.run(|dispatcher| dispatcher.shut_down(true));
        }
        ready
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
        check::<E>(env, name)?;
        let make = Arc::new(make);
        let options = EndpointOptions {
            placement: Placement::Any,
            ..options
        };
        add(env, name, env.shards().to_vec(), options, || {
            let make = Arc::clone(&make);
            move || (make(), None)
        })
    }

    /// Stops an endpoint of this env: what is queued is handled, then `on_stop` is called (Spark: `stop`). Does
    /// not wait for it. Does nothing where it was stopped before; a ref to an endpoint of another env stops
    /// nothing either, and a warning tells of it.
    pub fn stop<E>(&self, endpoint: &RpcEndpointRef<E>) {
        let (env, target) = (self.shared(), endpoint.target());
        if !Arc::ptr_eq(target.env(), env) || !matches!(target.place(), Place::Here(_)) {
            tracing::warn!(
                target: "ringrail::rpc",
                endpoint = %target,
                "an endpoint of another env cannot be stopped from here"
            );
            return;
        }
        let removed = env.registry.remove(target.id(), |registration| {
            let (serial, isolated) = (registration.serial, registration.isolated);
            for host in registration.hosts.iter() {
                host.put_control(move |dispatcher| {
                    dispatcher.stop_inbox(serial);
                    if isolated {
                        dispatcher.shut_down(true);
                    }
                });
            }
        });
        for host in removed.iter().flat_map(|removed| removed.hosts.iter()) {
            host.posted();
        }
        // Messages that this thread sends next must find the endpoint stopped, also those sent without posting.
        if let Some(dispatcher) = dispatcher_of(env.id()) {
            dispatcher.catch_up();
        }
    }
}

/// Whether an endpoint may be set up under this name.
fn check<E: RpcEndpoint>(env: &EnvShared, name: &str) -> Result<(), RpcError> {
    if !is_name(name) {
        return Err(RpcError::InvalidName { name: name.into() });
    }
    if env.is_stopped() {
        return Err(ENV_HAS_STOPPED);
    }
    let mut table = RouteTable::<E>::new();
    E::Messages::add_to(&mut table);
    table.declare()?;
    env.registry.check_free(name)
}

/// An endpoint, and its supervisor where it has one.
type Made<E> = (E, Option<Supervisor<E>>);

/// Registers an endpoint, and has each of these threads make its instance by what `maker` gives for it.
fn add<E: RpcEndpoint, F: FnOnce() -> Made<E> + Send + 'static>(
    env: &Arc<EnvShared>,
    name: &str,
    hosts: Vec<Arc<ThreadHandle>>,
    options: EndpointOptions,
    mut maker: impl FnMut() -> F,
) -> Result<RpcEndpointRef<E>, RpcError> {
    let (target, serial) = (env.own_ref(name.into()), next_serial());
    let metrics: Vec<Arc<InboxMetrics>> = hosts.iter().map(|_| Arc::default()).collect();
    let registration = Registration {
        name: target.name_arc(),
        serial,
        hosts: hosts.clone().into(),
        metrics: metrics.clone(),
        isolated: options.placement == Placement::Isolated,
    };
    env.registry.add(registration, || {
        for (host, metrics) in hosts.iter().zip(metrics) {
            let (target, make) = (Arc::clone(&target), maker());
            let with = (options, serial, metrics);
            host.put_control(move |dispatcher| set_up(dispatcher, target, with, make));
        }
    })?;
    for host in &hosts {
        host.posted();
    }
    if env.is_stopped() {
        // It was stopped meanwhile, and may have looked for its endpoints before this one was there.
        env.registry.forget(target.id(), serial);
        return Err(ENV_HAS_STOPPED);
    }
    Ok(RpcEndpointRef::new(target))
}

/// On the endpoint's thread: makes it, and its inbox.
fn set_up<E: RpcEndpoint>(
    dispatcher: &Rc<Dispatcher>,
    target: Arc<RefTarget>,
    (options, serial, metrics): (EndpointOptions, u64, Arc<InboxMetrics>),
    make: impl FnOnce() -> Made<E>,
) {
    let id = target.id();
    let Ok((endpoint, supervisor)) = catch_unwind(AssertUnwindSafe(make)) else {
        tracing::error!(target: "ringrail::rpc", endpoint = %target, "making the endpoint panicked");
        dispatcher.env().registry.forget(id, serial);
        return;
    };
    if let Err(error) = endpoint.routes().declare() {
        // Only those of functions get here.
        tracing::error!(target: "ringrail::rpc", endpoint = %target, %error, "the endpoint is not set up");
        dispatcher.env().registry.forget(id, serial);
        return;
    }
    let capacity = dispatcher.env().settings.inbox_capacity;
    let inbox = Inbox::new(
        dispatcher,
        NewInbox {
            me: RpcEndpointRef::new(target),
            serial,
            endpoint,
            supervisor,
            capacity: options.inbox_capacity.unwrap_or(capacity),
            metrics,
        },
    );
    dispatcher.add_inbox(id, inbox);
}
