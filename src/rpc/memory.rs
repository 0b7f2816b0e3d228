//! The in-process backend, `"local"`: envs of one process, joined by connections in memory.
//!
//! Between two envs, messages are serialised and read as archives, exactly as over the wire; within one
//! env they are not, as everywhere. A connection is two [`End`]s, each on one thread of its env; what one
//! sends is posted to the other's thread, whose queue keeps the order.
//!
//! ```text
//! connect ──► listening env's thread: adds its link ──► connecting env's thread: adds its link, greets
//! send ──► Job::Message ──► the other's Dispatcher::receive ──► Answer ──► Job::Answer ──► Replies of the asker
//! ```
//!
//! The connecting side's link is added by an order of the listening side, which greets after that: so
//! neither side ever gets a message over a connection that it does not know.

use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};

use super::connection::Channel;
use super::dispatcher::{Dispatcher, start_thread};
use super::env::{RpcEnv, RpcEnvConfig, RpcEnvFactory, start};
use super::error::RpcError;
use super::shared::{EnvShared, FileSource, ListenError, Network, start_on_port};
use super::sync::Unpoisoned;
use super::thread::ThreadHandle;
use super::{RpcAddress, inspector, verifier};

/// Makes in-process envs.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalFactory;

/// Threads of an in-process env, where nothing else is said.
const DEFAULT_THREADS: usize = 2;

/// Ports that are given out where any will do.
const FIRST_FREE_PORT: u16 = 49152;

impl RpcEnvFactory for LocalFactory {
    fn create(&self, config: RpcEnvConfig) -> Result<RpcEnv, RpcError> {
        if !config.server_bootstraps.is_empty() || !config.client_bootstraps.is_empty() {
            let text = "bootstraps prepare connections of the engine, and this backend has none";
            return Err(RpcError::Start(text.into()));
        }
        let env = start::shared(&config)?;
        let owned = RpcEnv::owning(Arc::clone(&env));
        let threads = start_threads(&config, &env)?;
        let memory = Arc::new(Memory::default());
        env.started(threads, Arc::clone(&memory) as Arc<dyn Network>);
        if !config.client_mode {
            let retries = env.settings.port_max_retries;
            let bound = start_on_port(&config.name, config.port, retries, |port| {
                memory.listen(&env, &RpcAddress::new(&config.bind_host, port))
            })?;
            env.listens(start::advertised(&config, bound.port()));
            verifier::set_up(&owned)?;
            inspector::set_up(&owned)?;
        }
        Ok(owned)
    }
}

fn start_threads(
    config: &RpcEnvConfig,
    env: &Arc<EnvShared>,
) -> Result<Vec<Arc<ThreadHandle>>, RpcError> {
    let count = match config.thread_count(env.settings.shards)? {
        0 => DEFAULT_THREADS,
        count => count,
    };
    let mut threads = Vec::with_capacity(count);
    for at in 0..count {
        match start_thread(env, format!("{}-{at}", config.name), false) {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                for thread in &threads {
                    thread.run(|dispatcher| dispatcher.shut_down(true));
                }
                return Err(error);
            }
        }
    }
    Ok(threads)
}

type Listeners = HashMap<RpcAddress, (Arc<EnvShared>, Arc<Memory>)>;

/// The envs that listen in this process.
fn listeners() -> MutexGuard<'static, Listeners> {
    static LISTENERS: OnceLock<Mutex<Listeners>> = OnceLock::new();
    let listeners = LISTENERS.get_or_init(Mutex::default);
    listeners.lock().unpoisoned()
}

fn listener(at: &RpcAddress) -> Result<(Arc<EnvShared>, Arc<Memory>), RpcError> {
    let there = listeners().get(at).cloned();
    there.ok_or_else(|| RpcError::Connect {
        address: at.clone(),
        detail: "nobody in this process listens there".into(),
    })
}

/// A port that nobody had a moment ago.
fn next_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let span = u16::MAX - FIRST_FREE_PORT;
    FIRST_FREE_PORT + NEXT.fetch_add(1, Ordering::Relaxed) % span
}

/// An in-process env's side of the network.
#[derive(Default)]
struct Memory {
    state: Mutex<MemoryState>,
}

#[derive(Default)]
struct MemoryState {
    listening: Option<RpcAddress>,
    channels: Vec<Weak<Channel>>,
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, MemoryState> {
        self.state.lock().unpoisoned()
    }

    fn note(&self, channel: &Arc<Channel>) {
        let channels = &mut self.lock().channels;
        channels.retain(|known| known.strong_count() > 0);
        channels.push(Arc::downgrade(channel));
    }

    /// Has `env` listen; the address with its port.
    fn listen(
        self: &Arc<Self>,
        env: &Arc<EnvShared>,
        address: &RpcAddress,
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
        listeners.insert(at.clone(), (Arc::clone(env), Arc::clone(self)));
        drop(listeners);
        self.lock().listening = Some(at.clone());
        Ok(at)
    }
}

impl Network for Memory {
    fn connect(
        &self,
        env: &Arc<EnvShared>,
        host: &Arc<ThreadHandle>,
        to: &RpcAddress,
    ) -> Result<(), RpcError> {
        let (there, memory) = listener(to)?;
        let own = RpcAddress::new("process.local", next_port());
        let sides = [
            (env, Arc::clone(host), to.clone()),
            (&there, there.next_shard()?, own),
        ];
        let channel = Channel::new(sides);
        self.note(&channel);
        memory.note(&channel);
        let entering = Entering {
            channel: Arc::clone(&channel),
            to: to.clone(),
            taken: false,
        };
        channel.sides[1]
            .host()
            .run(move |dispatcher| entering.listening_side(dispatcher));
        if env.is_stopped() {
            channel.close();
        }
        Ok(())
    }

    fn file_source(&self, to: &RpcAddress, name: &str) -> Result<FileSource, RpcError> {
        let (there, _) = listener(to)?;
        let missing = || {
            let text = format!("Stream '{name}' was not found.");
            io::Error::new(io::ErrorKind::NotFound, text)
        };
        let opened = there.files.open(name);
        let file = opened.and_then(|file| file.ok_or_else(missing));
        Ok(FileSource::File(file))
    }

    fn close(&self) {
        let MemoryState {
            listening,
            channels,
        } = std::mem::take(&mut *self.lock());
        let env = listening.and_then(|at| listeners().remove(&at));
        drop(env);
        for channel in channels.iter().filter_map(Weak::upgrade) {
            channel.close();
        }
    }
}

/// A connection on its way to its two threads, closed where one of them ends before.
struct Entering {
    channel: Arc<Channel>,
    to: RpcAddress,
    taken: bool,
}

impl Entering {
    fn listening_side(self, dispatcher: &Rc<Dispatcher>) {
        let channel = Arc::clone(&self.channel);
        if channel.is_closed() {
            return;
        }
        let link = dispatcher.add_link(channel.end(1), Arc::clone(&channel.sides[1].peer), false);
        channel.sides[0]
            .host()
            .run(move |dispatcher| self.connecting_side(dispatcher));
        link.greet();
    }

    fn connecting_side(mut self, dispatcher: &Rc<Dispatcher>) {
        // One that is closed from here on has its end posted behind this.
        if self.channel.is_closed() {
            return;
        }
        self.taken = true;
        let peer = Arc::clone(&self.channel.sides[0].peer);
        let link = dispatcher.add_link(self.channel.end(0), peer, true);
        dispatcher.connected(&self.to, Ok(link));
    }
}

impl Drop for Entering {
    fn drop(&mut self) {
        if !self.taken {
            self.channel.close();
            let to = self.to.clone();
            let error = RpcError::disconnected(&to);
            self.channel.sides[0]
                .host()
                .run(move |dispatcher| dispatcher.connected(&to, Err(error)));
        }
    }
}
