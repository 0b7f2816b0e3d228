//! What connects an env with others: the engine, or a carrier.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::rpc::RpcAddress;
use crate::rpc::carrier::{Carrier, CarrierFrame, CarrierLink, Door, Incoming};
use crate::rpc::error::{ENV_STOPPED, RpcError};
use crate::rpc::node::{HostHandle, Mail, PostError};
use crate::rpc::outbox::Pipe;
use crate::rpc::ring::{self, Ring};
use crate::rpc::settings::INBOX_KEY;

use super::next_serial;
use super::shared::EnvShared;

/// What connects an env with others.
pub(crate) enum Network {
    Carried(Arc<dyn Carrier>),
    Ring(Ring),
}

impl Network {
    pub(super) fn close(self) {
        match self {
            Network::Carried(carrier) => carrier.close(),
            Network::Ring(ring) => ring.close(),
        }
    }
}

impl EnvShared {
    /// Has a connection to `address` made, for the outbox on `host`.
    pub(crate) fn connect(self: &Arc<Self>, host: &Arc<HostHandle>, address: &RpcAddress) {
        let (env, of_job, to) = (Arc::clone(self), Arc::clone(host), address.clone());
        let job = move || {
            let failed = env.connect_now(&of_job, &to).err();
            if let Some(error) = failed {
                of_job.run(move |node| node.connected(&to, Err(error)));
            }
        };
        if !self.connector().run(Box::new(job)) {
            let to = address.clone();
            host.run(move |node| node.connected(&to, Err(ENV_STOPPED)));
        }
    }

    /// Connects; blocks. The outbox is told where that succeeds.
    fn connect_now(
        self: &Arc<Self>,
        host: &Arc<HostHandle>,
        to: &RpcAddress,
    ) -> Result<(), RpcError> {
        let carrier = match &*self.network() {
            None => return Err(ENV_STOPPED),
            Some(Network::Carried(carrier)) => Ok(Arc::clone(carrier)),
            Some(Network::Ring(ring)) => Err(ring.clients()),
        };
        let carrier = match carrier {
            Ok(carrier) => carrier,
            Err(clients) => return ring::connect(&clients, self.shard_of(host), host, to),
        };
        let door: Arc<dyn Door> = Arc::new(WayOut {
            env: Arc::clone(self),
            host: Arc::clone(host),
            to: to.clone(),
        });
        carrier.connect(to, &door)
    }
}

/// A connection on its way to its thread: closed where that ends before it takes it in, or its other
/// side would wait for replies for ever.
struct Entering(Option<Arc<dyn CarrierLink>>);

impl Entering {
    fn new(link: &Arc<dyn CarrierLink>) -> Self {
        Self(Some(Arc::clone(link)))
    }

    /// It has arrived.
    fn pipe(mut self) -> Option<Pipe> {
        self.0.take().map(Pipe::Carried)
    }
}

impl Drop for Entering {
    fn drop(&mut self) {
        if let Some(link) = self.0.take() {
            link.close();
        }
    }
}

/// Where a carrier's connections that others make come in.
pub(crate) struct WayIn {
    pub(crate) env: Arc<EnvShared>,
}

impl Door for WayIn {
    fn enter(&self, link: Arc<dyn CarrierLink>, socket: RpcAddress) -> Arc<dyn Incoming> {
        let serial = next_serial();
        let Ok(host) = self.env.next_shard() else {
            link.close();
            return Arc::new(Closed);
        };
        let entering = Entering::new(&link);
        let refuses: Arc<AtomicBool> = Arc::default();
        let of_link = Arc::clone(&refuses);
        host.run(move |node| {
            if let Some(pipe) = entering.pipe() {
                node.add_link(serial, pipe, socket, true)
                    .refuses_by(of_link);
            }
        });
        Arc::new(Intake {
            host,
            serial,
            refuses,
        })
    }

    fn open_file(&self, name: &str) -> io::Result<Option<File>> {
        self.env.files().open(name)
    }
}

/// Where a connection comes in that this env makes.
struct WayOut {
    env: Arc<EnvShared>,
    host: Arc<HostHandle>,
    to: RpcAddress,
}

impl Door for WayOut {
    fn enter(&self, link: Arc<dyn CarrierLink>, socket: RpcAddress) -> Arc<dyn Incoming> {
        let serial = next_serial();
        let (entering, to) = (Entering::new(&link), self.to.clone());
        let refuses: Arc<AtomicBool> = Arc::default();
        let of_link = Arc::clone(&refuses);
        self.host.run(move |node| {
            if let Some(pipe) = entering.pipe() {
                let link = node.add_link(serial, pipe, socket, true);
                link.refuses_by(of_link);
                node.connected(&to, Ok(link));
            }
        });
        if self.env.is_stopped() {
            link.close();
        }
        let host = Arc::clone(&self.host);
        Arc::new(Intake {
            host,
            serial,
            refuses,
        })
    }
}

/// Takes in what comes over one connection, for its thread.
struct Intake {
    host: Arc<HostHandle>,
    serial: u64,
    /// Its messages have no room where they are to go.
    refuses: Arc<AtomicBool>,
}

impl Incoming for Intake {
    fn frame(&self, frame: CarrierFrame) -> Result<(), RpcError> {
        let link = self.serial;
        let wants_place = matches!(
            frame,
            CarrierFrame::Request { .. } | CarrierFrame::OneWay { .. }
        );
        if !wants_place {
            // As many as requests, which had their places.
            let taken = self.host.run(move |node| node.receive_carried(link, frame));
            return if taken { Ok(()) } else { Err(ENV_STOPPED) };
        }
        if self.refuses.load(Ordering::Acquire) {
            return Err(RpcError::Busy {
                what: "an inbox of the peer",
                limit: 0,
                key: INBOX_KEY,
            });
        }
        match self.host.post(Mail::Carried { link, frame }) {
            Ok(()) => Ok(()),
            Err(PostError::Closed(_)) => Err(ENV_STOPPED),
            Err(PostError::Full(_)) => Err(self.host.full("the mail of the peer's thread")),
        }
    }

    fn early_frame(&self, frame: CarrierFrame) -> Result<(), RpcError> {
        let link = self.serial;
        match self.host.run(move |node| node.receive_carried(link, frame)) {
            true => Ok(()),
            false => Err(ENV_STOPPED),
        }
    }

    fn closed(&self, cause: Option<RpcError>) {
        let link = self.serial;
        self.host.run(move |node| node.remove_link(link, cause));
    }
}

/// Takes nothing in.
struct Closed;

impl Incoming for Closed {
    fn frame(&self, _: CarrierFrame) -> Result<(), RpcError> {
        Err(ENV_STOPPED)
    }

    fn closed(&self, _: Option<RpcError>) {}
}
