//! The in-process backend, `"local"`: envs of one process find each other by address, without sockets.
//!
//! Between two envs, messages are serialised and read as archives, exactly as over the wire, so that
//! what works here works there; within one env they are not, as everywhere.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use super::RpcAddress;
use super::carrier::{Carrier, CarrierFrame, CarrierLink, Door, Incoming, ListenError};
use super::env::{RpcEnv, RpcEnvConfig, RpcEnvFactory};
use super::error::RpcError;
use super::sync;

/// Makes in-process envs.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalFactory;

impl RpcEnvFactory for LocalFactory {
    fn create(&self, config: RpcEnvConfig) -> Result<RpcEnv, RpcError> {
        config.carried_by(Arc::new(LocalCarrier::default()))
    }
}

/// Ports that are given out where any will do.
const FIRST_FREE_PORT: u16 = 49152;

type Listeners = HashMap<RpcAddress, Arc<dyn Door>>;

/// Who listens in this process.
fn listeners() -> MutexGuard<'static, Listeners> {
    static LISTENERS: OnceLock<Mutex<Listeners>> = OnceLock::new();
    let listeners = LISTENERS.get_or_init(Mutex::default);
    listeners.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A port that nobody had a moment ago.
fn next_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let span = u16::MAX - FIRST_FREE_PORT;
    FIRST_FREE_PORT + NEXT.fetch_add(1, Ordering::Relaxed) % span
}

/// Connects envs of one process.
#[derive(Default)]
struct LocalCarrier {
    listening: Mutex<Option<RpcAddress>>,
    links: Mutex<Vec<Weak<Half>>>,
}

impl LocalCarrier {
    fn note(&self, link: &Arc<Half>) {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|link| link.strong_count() > 0);
        links.push(Arc::downgrade(link));
    }
}

impl Carrier for LocalCarrier {
    fn listen(
        &self,
        address: &RpcAddress,
        doors: Arc<dyn Door>,
    ) -> Result<RpcAddress, ListenError> {
        let mut listeners = listeners();
        let mut at = address.clone();
        while at.port() == 0 || (address.port() == 0 && listeners.contains_key(&at)) {
            at = RpcAddress::new(address.host(), next_port());
        }
        if listeners.contains_key(&at) {
            return Err(ListenError {
                in_use: true,
                text: format!("Address already in use: {at}"),
            });
        }
        listeners.insert(at.clone(), doors);
        drop(listeners);
        let mut listening = self
            .listening
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *listening = Some(at.clone());
        Ok(at)
    }

    fn connect(&self, to: &RpcAddress, door: &Arc<dyn Door>) -> Result<(), RpcError> {
        let there = listeners().get(to).cloned();
        let there = there.ok_or_else(|| RpcError::Connect {
            address: to.clone(),
            detail: "nobody in this process listens there".into(),
        })?;
        let own = RpcAddress::new("process.local", next_port());
        let (here, far) = Half::pair();
        self.note(&here);
        let far_side = there.enter(Arc::clone(&far) as Arc<dyn CarrierLink>, own);
        let near_side = door.enter(Arc::clone(&here) as Arc<dyn CarrierLink>, to.clone());
        here.open(far_side);
        far.open(near_side);
        Ok(())
    }

    fn open_file(&self, to: &RpcAddress, name: &str) -> Result<io::Result<File>, RpcError> {
        let there = listeners().get(to).cloned();
        let there = there.ok_or_else(|| RpcError::Connect {
            address: to.clone(),
            detail: "nobody in this process listens there".into(),
        })?;
        let missing = || {
            let text = format!("Stream '{name}' was not found.");
            io::Error::new(io::ErrorKind::NotFound, text)
        };
        Ok(there
            .open_file(name)
            .and_then(|file| file.ok_or_else(missing)))
    }

    fn close(&self) {
        let listening = self
            .listening
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(address) = listening {
            let doors = listeners().remove(&address);
            drop(doors);
        }
        let links = std::mem::take(&mut *self.links.lock().unwrap_or_else(PoisonError::into_inner));
        for link in links.iter().filter_map(Weak::upgrade) {
            link.close();
        }
    }
}

/// One side of a connection: what is sent here comes in there.
struct Half {
    /// Held while a frame is taken in, so that frames arrive in order. Never by [`shut`](Self::shut),
    /// which the far side may call from inside.
    order: sync::Mutex<()>,
    there: sync::Mutex<There>,
    other: OnceLock<Weak<Half>>,
    closed: AtomicBool,
}

/// The far side, or what was sent before it was known.
enum There {
    Soon(Vec<CarrierFrame>),
    Open(Arc<dyn Incoming>),
    Closed,
}

/// Frames that may be sent before both sides know of each other.
const MAX_EARLY_FRAMES: usize = 1024;

impl Half {
    fn pair() -> (Arc<Self>, Arc<Self>) {
        let half = || {
            Arc::new(Self {
                order: sync::Mutex::new(()),
                there: sync::Mutex::new(There::Soon(Vec::new())),
                other: OnceLock::new(),
                closed: AtomicBool::new(false),
            })
        };
        let (a, b) = (half(), half());
        // Both are fresh.
        let _ = a.other.set(Arc::downgrade(&b));
        let _ = b.other.set(Arc::downgrade(&a));
        (a, b)
    }

    fn lock(&self) -> sync::MutexGuard<'_, There> {
        self.there.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn in_order(&self) -> sync::MutexGuard<'_, ()> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The far side is known: what was sent before goes there.
    fn open(&self, incoming: Arc<dyn Incoming>) {
        let turn = self.in_order();
        let early = match &mut *self.lock() {
            There::Soon(early) => std::mem::take(early),
            There::Open(_) | There::Closed => Vec::new(),
        };
        let refused = early
            .into_iter()
            .find_map(|frame| incoming.early_frame(frame).err());
        let closed = {
            let mut there = self.lock();
            let closed = matches!(*there, There::Closed);
            if !closed {
                *there = There::Open(Arc::clone(&incoming));
            }
            closed
        };
        drop(turn);
        if closed {
            incoming.closed(None);
        } else if let Some(error) = refused {
            // Its sender believes it sent, and would wait for a reply.
            tracing::warn!(target: "ringrail::rpc", %error, "an early frame was refused: its connection ends");
            self.close();
        }
    }

    /// Nothing more goes out; the far side is told.
    fn shut(&self) {
        self.closed.store(true, Ordering::Release);
        let before = std::mem::replace(&mut *self.lock(), There::Closed);
        if let There::Open(incoming) = before {
            incoming.closed(None);
        }
    }
}

impl CarrierLink for Half {
    fn send(&self, frame: CarrierFrame) -> Result<(), RpcError> {
        let _turn = self.in_order();
        let incoming = match &mut *self.lock() {
            There::Open(incoming) => Arc::clone(incoming),
            There::Soon(early) if early.len() < MAX_EARLY_FRAMES => {
                early.push(frame);
                return Ok(());
            }
            There::Soon(_) => {
                return Err(RpcError::Busy {
                    what: "a connection that is being made",
                    limit: MAX_EARLY_FRAMES as u64,
                    key: "nothing: it is fixed",
                });
            }
            There::Closed => return Err(RpcError::OutboxStopped),
        };
        incoming.frame(frame)
    }

    fn close(&self) {
        self.shut();
        if let Some(other) = self.other.get().and_then(Weak::upgrade) {
            other.shut();
        }
    }
}

impl fmt::Debug for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Half(closed: {})", self.closed.load(Ordering::Acquire))
    }
}
