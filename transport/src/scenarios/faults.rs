//! Every fault that the simulation can inject, alone and often: the engine bears it, and it struck.

use std::cell::Cell;

use crate::sys::sim::{Faults, Kind, Rng};

use super::cluster::Cluster;
use super::{mixed, seeds};

/// Whether a fault may cost requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Costs {
    Nothing,
    Requests,
}

use Costs::{Nothing, Requests};

const MS: u64 = 1_000_000;

/// One world per fault. A new fault needs a line here: without it this does not compile.
fn alone() -> Vec<(&'static str, Faults, Costs)> {
    let Faults {
        split: _,
        short_recv: _,
        short_send: _,
        multishot_end: _,
        no_buffers: _,
        interrupted: _,
        reset: _,
        vanish: _,
        connect_refused: _,
        connect_hang: _,
        accept_error: _,
        socket_error: _,
        late: _,
        late_ns: _,
        late_cancel: _,
        late_cancel_ns: _,
        spurious_wake: _,
        cq_entries: _,
        cold: _,
        disk_ns: _,
        short_read: _,
        read_error: _,
    } = Faults::default();
    let with = |name, costs, set: fn(&mut Faults)| {
        let mut faults = Faults::default();
        set(&mut faults);
        (name, faults, costs)
    };
    vec![
        with("split", Nothing, |it| it.split = 0.9),
        with("short_recv", Nothing, |it| it.short_recv = 0.8),
        with("short_send", Nothing, |it| it.short_send = 0.8),
        with("multishot_end", Nothing, |it| it.multishot_end = 0.7),
        with("no_buffers", Nothing, |it| it.no_buffers = 0.5),
        with("interrupted", Nothing, |it| it.interrupted = 0.3),
        with("reset", Requests, |it| it.reset = 0.01),
        with("vanish", Requests, |it| it.vanish = 0.005),
        with("connect_refused", Requests, |it| it.connect_refused = 0.5),
        with("connect_hang", Requests, |it| it.connect_hang = 0.5),
        with("accept_error", Nothing, |it| it.accept_error = 0.5),
        with("socket_error", Requests, |it| it.socket_error = 0.5),
        with("late", Nothing, |it| {
            (it.late, it.late_ns) = (0.7, 3 * MS);
        }),
        with("late_cancel", Nothing, |it| {
            (it.late_cancel, it.late_cancel_ns) = (0.9, 10 * MS);
        }),
        with("spurious_wake", Nothing, |it| it.spurious_wake = 0.8),
        with("cq_entries", Nothing, |it| it.cq_entries = Some(1)),
        with("cold", Nothing, |it| {
            (it.cold, it.disk_ns) = (1.0, 20 * MS);
        }),
        with("short_read", Nothing, |it| {
            (it.cold, it.disk_ns, it.short_read) = (1.0, MS, 0.8);
        }),
        with("read_error", Requests, |it| {
            (it.cold, it.disk_ns, it.read_error) = (1.0, MS, 0.3);
        }),
    ]
}

#[test]
fn every_fault_alone_is_borne_and_does_strike() {
    for (name, faults, costs) in alone() {
        let struck = Cell::new(0);
        seeds::each(20, |seed| {
            let mut cluster = Cluster::simulated(seed, faults.clone());
            mixed::everything(&mut cluster, 30, 0.3, costs == Nothing);
            let count = match name {
                "cq_entries" => cluster.metrics(0).cq_overflows + cluster.metrics(1).cq_overflows,
                name => cluster.world().injected(name),
            };
            struck.set(struck.get() + count);
            cluster.finish();
        });
        assert!(struck.get() > 0, "{name} never struck");
    }
}

#[test]
fn any_two_faults_together_are_borne() {
    let worlds = alone();
    seeds::each(200, |seed| {
        let mut rng = Rng::new(seed);
        let mut pick = || &worlds[rng.below(worlds.len() as u64) as usize];
        let ((_, one, costs), (_, other, more)) = (pick(), pick());
        let lossless = *costs == Nothing && *more == Nothing;
        let mut cluster = Cluster::simulated(seed, both(one, other));
        mixed::everything(&mut cluster, 20, 0.2, lossless);
        cluster.finish();
    });
}

fn both(one: &Faults, other: &Faults) -> Faults {
    Faults {
        split: one.split.max(other.split),
        short_recv: one.short_recv.max(other.short_recv),
        short_send: one.short_send.max(other.short_send),
        multishot_end: one.multishot_end.max(other.multishot_end),
        no_buffers: one.no_buffers.max(other.no_buffers),
        interrupted: one.interrupted.max(other.interrupted),
        reset: one.reset.max(other.reset),
        vanish: one.vanish.max(other.vanish),
        connect_refused: one.connect_refused.max(other.connect_refused),
        connect_hang: one.connect_hang.max(other.connect_hang),
        accept_error: one.accept_error.max(other.accept_error),
        socket_error: one.socket_error.max(other.socket_error),
        late: one.late.max(other.late),
        late_ns: one.late_ns.max(other.late_ns),
        late_cancel: one.late_cancel.max(other.late_cancel),
        late_cancel_ns: one.late_cancel_ns.max(other.late_cancel_ns),
        spurious_wake: one.spurious_wake.max(other.spurious_wake),
        cq_entries: one.cq_entries.or(other.cq_entries),
        cold: one.cold.max(other.cold),
        disk_ns: one.disk_ns.max(other.disk_ns),
        short_read: one.short_read.max(other.short_read),
        read_error: one.read_error.max(other.read_error),
    }
}

/// Errors that the kernel may give to one operation of each kind: what can be repeated is, anything
/// else ends that connection or that body and no other.
#[test]
fn an_error_of_any_operation_is_borne() {
    let kinds = [
        (Kind::Accept, "accept"),
        (Kind::Connect, "connect"),
        (Kind::RecvMulti, "recv_multi"),
        (Kind::Recv, "recv"),
        (Kind::Send, "send"),
        (Kind::SendFile, "send_file"),
        (Kind::Read, "read"),
    ];
    let errors = [
        libc::EINTR,
        libc::EAGAIN,
        libc::ENOMEM,
        libc::ENOBUFS,
        libc::ECONNRESET,
        libc::EPIPE,
        libc::ETIMEDOUT,
        libc::EMFILE,
        libc::EIO,
        libc::EFAULT,
    ];
    for (kind, name) in kinds {
        let struck = Cell::new(0);
        for errno in errors {
            seeds::each(3, |seed| {
                let seed = seed ^ (errno as u64) << 8 ^ (kind as u64) << 16;
                let mut cluster = Cluster::simulated(seed, Faults::rough());
                cluster.order_errors(kind, errno);
                mixed::everything(&mut cluster, 25, 0.1, false);
                struck.set(struck.get() + cluster.world().injected(name));
                cluster.finish();
            });
        }
        assert!(struck.get() > 0, "no {name} failed");
    }
}

impl Cluster<super::ground::Simulated> {
    /// Some operations of this kind are to fail, on either shard, in the course of what follows.
    fn order_errors(&mut self, kind: Kind, errno: i32) {
        let (world, clock) = (self.world().clone(), self.clock.clone());
        let mut rng = Rng::new(self.rng.next_u64());
        drop(self.spawn(async move {
            let first = matches!(kind, Kind::Accept | Kind::Connect);
            for _ in 0..4 {
                if !first {
                    clock.sleep(1 + rng.below(12 * MS)).await;
                }
                world.host(rng.below(2) as usize).fail_next(kind, errno);
            }
        }));
    }
}
