//! The clock, the queue of events, and what every part of the simulation shares.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use crate::sys::driver::{Completion, OpKey, Payload, Sock};
use crate::sys::socket::Addr;

use super::conn::{Conn, Lane, Link, Socket};
use super::disk::Disk;
use super::driver::SimDriver;
use super::faults::{Faults, Kind, Script};
use super::host::{Host, HostId, SimHost, SimOp, SimSpec, Work};
use super::queue::{Event, Queue};
use super::rng::Rng;
use super::trace::Trace;

/// The clock's first reading: not 0, so that a time mistaken for a duration shows.
const START_NS: u64 = 1_000_000_000;
/// Events at one time before the world is said not to come to rest.
const MAX_EVENTS_AT_ONCE: u64 = 10_000_000;
/// Turns in a row that leave a shard ready.
const MAX_TURNS_AT_ONCE: u32 = 1_000_000;
/// Wake-ups in a row that find the clock standing still.
const MAX_STANDSTILLS: u32 = 10_000;

pub(super) struct World {
    pub(super) now_ns: u64,
    pub(super) queue: Queue,
    pub(super) rng: Rng,
    pub(super) faults: Faults,
    pub(super) hosts: Vec<Host>,
    pub(super) sockets: Vec<Socket>,
    pub(super) conns: Vec<Conn>,
    pub(super) scripts: Vec<Script>,
    pub(super) disk: Disk,
    pub(super) next_port: u16,
    /// Memory for bytes on their way from an operation into a pipe.
    pub(super) copied: Vec<u8>,
    /// How often each fault has struck.
    injected: BTreeMap<&'static str, u64>,
    link: Link,
    links: Vec<(Addr, Link)>,
    seed: u64,
    trace: Trace,
    standstills: u32,
    reported: Cell<bool>,
}

impl World {
    /// Ends the test: the engine, or the simulation, broke a rule.
    pub(super) fn fail(&self, what: fmt::Arguments<'_>) -> ! {
        self.reported.set(true);
        panic!("{what}\n{}", self.report());
    }

    fn report(&self) -> impl fmt::Display {
        fmt::from_fn(|f| {
            writeln!(
                f,
                "seed {:#x}, at {} ns; what led to it:",
                self.seed, self.now_ns
            )?;
            write!(f, "{}", self.trace)
        })
    }

    pub(super) fn note(
        &mut self,
        host: Option<HostId>,
        what: &'static str,
        subject: u64,
        value: i64,
    ) {
        self.trace.note(self.now_ns, host, what, subject, value);
    }

    pub(super) fn schedule(&mut self, at_ns: u64, event: Event) {
        self.queue.push(at_ns.max(self.now_ns), event);
    }

    pub(super) fn schedule_in(&mut self, delay_ns: u64, event: Event) {
        self.queue.push(self.now_ns + delay_ns, event);
    }

    /// Whether a fault strikes now, with probability `p`.
    pub(super) fn strikes(&mut self, what: &'static str, p: f64) -> bool {
        let strikes = self.rng.chance(p);
        if strikes {
            self.count_fault(what);
        }
        strikes
    }

    /// The error that a test has ordered for the next operation of this kind; counted by the kind's
    /// name.
    pub(super) fn forced(&mut self, host: HostId, kind: Kind) -> Option<i32> {
        let errno = self.hosts[host].take_forced(kind)?;
        self.count_fault(kind.name());
        Some(errno)
    }

    /// A fault has struck.
    pub(super) fn count_fault(&mut self, what: &'static str) {
        *self.injected.entry(what).or_default() += 1;
    }

    /// The link to a listener at `addr`.
    pub(super) fn link_to(&self, addr: &Addr) -> Link {
        let own = self.links.iter().find(|(at, _)| at == addr);
        own.map_or(&self.link, |(_, link)| link).clone()
    }

    /// Moves the clock to `until_ns`, past every event on the way.
    pub(super) fn run_until(&mut self, until_ns: u64) {
        let mut at_once = 0;
        while let Some((at_ns, event)) = self.queue.pop(until_ns) {
            at_once = if at_ns > self.now_ns { 0 } else { at_once + 1 };
            if at_once > MAX_EVENTS_AT_ONCE {
                self.fail(format_args!("the world does not come to rest"));
            }
            self.now_ns = self.now_ns.max(at_ns);
            self.dispatch(event);
        }
        self.now_ns = self.now_ns.max(until_ns);
    }

    fn dispatch(&mut self, event: Event) {
        match event {
            Event::Syn { host, key } => self.syn(host, key),
            Event::SynAck {
                host,
                key,
                listener,
            } => self.syn_ack(host, key, listener),
            Event::Refused { host, key, errno } => self.refused(host, key, errno),
            Event::Established { conn, listener } => self.established(conn, listener),
            Event::Arrive { conn, from } => self.arrive(conn, from),
            Event::Reset { conn, at } => self.reset_arrived(conn, at),
            Event::Injure { conn, injury } => self.injure(conn, injury),
            Event::Cancel { host, key } => self.cancel_now(host, key),
            Event::Post { host, done } => self.deliver(host, done),
            Event::Disk { host, key } => self.disk_done(host, key),
            Event::Wake { host } => {
                let woken = &self.hosts[host].woken;
                woken.store(true, std::sync::atomic::Ordering::Release);
            }
        }
    }

    /// An operation that can still do something.
    pub(super) fn live(&mut self, host: HostId, key: OpKey) -> Option<&mut SimOp> {
        let (_, op) = self.hosts[host].ops.get(key)?;
        op.is_live().then_some(op)
    }

    /// The live operation in a lane of a socket.
    pub(super) fn live_in(&mut self, sock: Sock, lane: Lane) -> Option<(HostId, OpKey)> {
        let socket = self.socket(sock);
        let host = socket.host;
        let behind = socket.behind.filter(|_| lane == Lane::Recv);
        let mut keys = [socket.lanes[lane as usize], behind].into_iter().flatten();
        let key = keys.find(|key| self.live(host, *key).is_some())?;
        Some((host, key))
    }

    /// Ends an operation and takes out what it owns.
    pub(super) fn end(&mut self, host: HostId, key: OpKey, result: i32) {
        let Some(op) = self.live(host, key) else {
            return;
        };
        let payload = match std::mem::replace(&mut op.work, Work::Over) {
            Work::Recv { buf, .. } | Work::Read { buf, .. } => Payload::Buffer(buf),
            Work::Send { gather } | Work::SendFile { head: gather, .. } => Payload::Gather(gather),
            Work::Accept | Work::Connect { .. } | Work::RecvMulti | Work::Over => Payload::None,
        };
        self.post(host, key, result, false, payload);
    }

    /// Completes a step of an operation, now or late.
    pub(super) fn post(
        &mut self,
        host: HostId,
        key: OpKey,
        result: i32,
        more: bool,
        payload: Payload,
    ) {
        let (now_ns, p, most_ns) = (self.now_ns, self.faults.late, self.faults.late_ns);
        let late = self.strikes("late", p);
        let wanted = now_ns + if late { self.rng.below(most_ns) + 1 } else { 0 };
        let Some((token, op)) = self.hosts[host].ops.get(key) else {
            return;
        };
        if !more {
            op.work = Work::Over;
        }
        // At a floor of just now an earlier step may still wait in the queue of events.
        let at_ns = wanted.max(op.floor_ns);
        let held_back = wanted > now_ns || op.floor_ns >= now_ns;
        if held_back {
            op.floor_ns = at_ns;
        }
        let whole = op.done == op.len && result >= 0;
        let done = Completion {
            token,
            key,
            result,
            more,
            payload,
        };
        if held_back {
            self.schedule(at_ns, Event::Post { host, done });
        } else {
            self.deliver(host, done);
        }
        if !more {
            self.go_on_behind(host, key, whole);
        }
    }

    fn deliver(&mut self, host: HostId, done: Completion) {
        self.note(Some(host), "completed", done.key.0, i64::from(done.result));
        if self.hosts[host].gone {
            return;
        }
        let entries = self.cq_entries(host);
        self.hosts[host].complete(done, entries);
    }

    pub(super) fn cq_entries(&self, host: HostId) -> usize {
        let own = self.hosts[host].spec.cq_entries;
        self.faults.cq_entries.map_or(own, |n| n.min(own)).max(1)
    }

    fn cancel_now(&mut self, host: HostId, key: OpKey) {
        let Some(op) = self.live(host, key) else {
            return;
        };
        let result = match op.work {
            // The disk does not stop half-way.
            Work::Read { .. } => return,
            Work::Recv { .. } | Work::Send { .. } if op.done > 0 => op.done as i32,
            _ => -libc::ECANCELED,
        };
        self.end(host, key, result);
    }

    pub(super) fn assert_quiescent(&self, id: HostId) {
        let host = &self.hosts[id];
        let left = [
            ("operations in flight", host.ops.in_flight()),
            ("entries not submitted", host.posted.len()),
            (
                "completions not taken",
                host.collected.len() + host.completed.len() + host.overflow.len(),
            ),
            ("sockets open", host.open_sockets),
        ];
        for (what, count) in left {
            if count > 0 {
                self.fail(format_args!("host {id} is not quiescent: {count} {what}"));
            }
        }
    }

    fn wanted_ns(&self) -> Option<u64> {
        let hosts = || self.hosts.iter().filter(|host| !host.gone);
        let parked = hosts().filter_map(|host| host.parked_until).min();
        let busy = hosts().map(|host| host.busy_until_ns);
        let busy = busy.filter(|at| *at > self.now_ns).min();
        let next = self.queue.next_ns();
        [parked, busy, next].into_iter().flatten().min()
    }

    fn advance(&mut self) -> bool {
        let Some(at_ns) = self.wanted_ns() else {
            return false;
        };
        self.standstills = if at_ns > self.now_ns {
            0
        } else {
            self.standstills + 1
        };
        if self.standstills > MAX_STANDSTILLS {
            self.fail(format_args!(
                "a shard parks until a time that is past, over and over"
            ));
        }
        self.run_until(at_ns);
        true
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // A test that failed on its own account needs the seed just as much.
        if std::thread::panicking() && !self.reported.get() {
            eprintln!("{}", self.report());
        }
    }
}

/// A simulated network with its own clock, from one seed. Single-threaded; clones share it.
///
/// Time moves only when the test moves it. A test that panics prints the seed and the last events.
#[derive(Clone)]
pub struct SimWorld {
    world: Rc<RefCell<World>>,
}

impl fmt::Debug for SimWorld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let world = self.world.borrow();
        write!(
            f,
            "SimWorld(seed {:#x}, at {} ns)",
            world.seed, world.now_ns
        )
    }
}

impl SimWorld {
    /// A world without faults, its links as [`Link::default`] says.
    pub fn new(seed: u64) -> Self {
        let world = World {
            now_ns: START_NS,
            queue: Queue::default(),
            rng: Rng::new(seed),
            faults: Faults::default(),
            hosts: Vec::new(),
            sockets: Vec::new(),
            conns: Vec::new(),
            scripts: Vec::new(),
            disk: Disk::new(seed),
            next_port: super::net::FIRST_PORT,
            copied: Vec::new(),
            injected: BTreeMap::new(),
            link: Link::default(),
            links: Vec::new(),
            seed,
            trace: Trace::default(),
            standstills: 0,
            reported: Cell::new(false),
        };
        Self {
            world: Rc::new(RefCell::new(world)),
        }
    }

    /// Adds a host and gives its driver.
    pub fn driver(&self, spec: SimSpec) -> SimDriver {
        let mut world = self.world.borrow_mut();
        world.hosts.push(Host::new(spec));
        SimDriver::of(SimHost {
            world: Rc::clone(&self.world),
            id: world.hosts.len() - 1,
        })
    }

    /// A view of a host, by its number in the order of creation.
    ///
    /// # Panics
    /// If there is no such host.
    pub fn host(&self, index: usize) -> SimHost {
        assert!(index < self.world.borrow().hosts.len(), "host {index}");
        SimHost {
            world: Rc::clone(&self.world),
            id: index,
        }
    }

    /// The seed that everything comes from.
    pub fn seed(&self) -> u64 {
        self.world.borrow().seed
    }

    /// The clock, in nanoseconds.
    pub fn now_ns(&self) -> u64 {
        self.world.borrow().now_ns
    }

    /// When the network or a disk does something next.
    pub fn next_event_ns(&self) -> Option<u64> {
        self.world.borrow().queue.next_ns()
    }

    /// Moves the clock to the next event and lets all of that time happen; false where none is.
    pub fn step(&self) -> bool {
        let mut world = self.world.borrow_mut();
        let Some(at_ns) = world.queue.next_ns() else {
            return false;
        };
        world.run_until(at_ns);
        true
    }

    /// As [`step`](Self::step), but stops for the wake-ups that parked drivers want as well.
    ///
    /// # Panics
    /// If shards keep parking until a time in the past.
    pub fn advance(&self) -> bool {
        self.world.borrow_mut().advance()
    }

    /// Moves the clock to a time, past every event until then.
    pub fn advance_to(&self, ns: u64) {
        self.world.borrow_mut().run_until(ns);
    }

    /// Lets everything happen that the network and the disks have under way. Drivers are not
    /// entered meanwhile.
    pub fn run_until_idle(&self) {
        while self.step() {}
    }

    /// True where no host would find anything in a turn; see [`SimHost::is_idle`].
    pub fn is_idle(&self) -> bool {
        let world = self.world.borrow();
        let mut hosts = world.hosts.iter();
        hosts.all(|host| host.is_idle() || host.busy_until_ns > world.now_ns)
    }

    /// Runs a whole test: gives every shard its turn and moves the clock when nothing is ready,
    /// until the goal is reached, the time is up or no event is left.
    ///
    /// `turns` runs one turn of each shard and returns whether the goal is reached; so does this.
    ///
    /// # Panics
    /// If a shard stays ready whatever its turns do, or keeps parking until a time in the past.
    pub fn run(&self, until_ns: u64, mut turns: impl FnMut() -> bool) -> bool {
        let mut busy = 0;
        while !turns() {
            busy += 1;
            if busy > MAX_TURNS_AT_ONCE {
                let world = self.world.borrow();
                world.fail(format_args!(
                    "a shard stays ready: does every shard get its turn?"
                ));
            }
            if self.is_idle() {
                busy = 0;
                if self.now_ns() >= until_ns || !self.advance() {
                    return false;
                }
            }
        }
        true
    }

    /// Sets the faults injected from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.world.borrow_mut().faults = faults;
    }

    /// The faults injected now.
    pub fn faults(&self) -> Faults {
        self.world.borrow().faults.clone()
    }

    /// The link of connections yet to be made.
    pub fn set_link(&self, link: Link) {
        self.world.borrow_mut().link = link;
    }

    /// The link of connections yet to be made to the listener at `addr`.
    pub fn set_link_to(&self, addr: &Addr, link: Link) {
        let mut world = self.world.borrow_mut();
        world.links.retain(|(at, _)| at != addr);
        world.links.push((addr.clone(), link));
    }

    /// Orders an injury of a connection that is yet to be made.
    pub fn script(&self, script: Script) {
        self.world.borrow_mut().scripts.push(script);
    }

    /// Connections established so far: the next one's number in a [`Script`].
    pub fn connections(&self) -> usize {
        self.world.borrow().conns.len()
    }

    /// How often a fault has struck, by its name in [`Faults`], or an error that was ordered, by the
    /// operation's name (`recv_multi`): so that a test knows that it tested
    /// something.
    pub fn injected(&self, fault: &str) -> u64 {
        let world = self.world.borrow();
        world.injected.get(fault).copied().unwrap_or(0)
    }

    /// File sends that had to wait for the disk: what would have stalled a real shard.
    pub fn cold_sends(&self) -> u64 {
        self.world.borrow().disk.cold_sends
    }

    /// A generator for the test's own choices, drawn from this world's.
    pub fn fork_rng(&self) -> Rng {
        Rng::new(self.world.borrow_mut().rng.next_u64())
    }

    /// The last events, as text.
    pub fn trace(&self) -> String {
        self.world.borrow().report().to_string()
    }
}
