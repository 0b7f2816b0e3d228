//! The verdict on limits and settings, measured by what the engine needs.

use super::facts::{KernelVersion, bytes};
use super::raw::{RawProbe, RawTcp};
use super::{Finding, Needs, State};

/// From this kernel on, a ring's own memory counts as locked memory of its user
/// (rings became *regions*, which are accounted; measured on 6.18). From 5.12 to
/// here only registered buffers did.
const RINGS_ARE_LOCKED: KernelVersion = KernelVersion {
    major: 6,
    minor: 14,
};
const PAGE: u64 = 4096;
/// The part of a ring's shared memory before its entries, rounded up.
const RING_HEADER: u64 = 512;
const SQE: u64 = 64;
const SQ_INDEX: u64 = 4;
const CQE: u64 = 16;
const BUF_RING_ENTRY: u64 = 16;
/// The ring of the runtime that a hosted shard runs: 256 and 512 entries.
const RUNTIME_RING: u64 = ring_bytes(256, 512);

/// Descriptors of the process besides those of its shards.
const FILES_BASE: u64 = 32;
/// Descriptors of a shard besides its connections: rings, event counters, epoll,
/// listener.
const FILES_PER_SHARD: u64 = 8;

/// How far the kernel should tune a socket's buffers to fill a fast link: 4 MiB
/// is 10 Gbit/s for 3 ms.
const SOCKET_BUFFER_WANTED: u64 = 4 << 20;

pub(super) fn judge(raw: &RawProbe, needs: &Needs) -> Vec<Finding> {
    vec![
        memlock(raw, needs),
        nofile(raw, needs),
        processors(raw, needs),
        backlog(&raw.tcp, needs),
        socket_buffers(&raw.tcp, needs),
        congestion(&raw.tcp),
    ]
}

/// The memory of one ring, in whole pages: submissions; header, completions and
/// the submission indices.
const fn ring_bytes(sq_entries: u64, cq_entries: u64) -> u64 {
    let submissions = (sq_entries * SQE).next_multiple_of(PAGE);
    let rings = RING_HEADER + cq_entries * CQE + sq_entries * SQ_INDEX;
    submissions + rings.next_multiple_of(PAGE)
}

/// Bytes of memory that the rings of one shard lock.
fn shard_bytes(needs: &Needs) -> u64 {
    let hot = ring_bytes(
        u64::from(needs.sq_entries.next_power_of_two()),
        u64::from(needs.cq_entries.next_power_of_two()),
    );
    let buffers = u64::from(needs.buf_ring_entries.next_power_of_two()) * BUF_RING_ENTRY;
    hot + buffers.next_multiple_of(PAGE) + RUNTIME_RING
}

/// The finding about locked memory, which rings alone need.
pub(super) const MEMLOCK: &str = "memlock";

fn memlock(raw: &RawProbe, needs: &Needs) -> Finding {
    let meaning = "rings (and registered buffers) count as locked memory of their user, all processes together";
    let limit = match raw.limits.memlock {
        Some(limit) if !raw.limits.ipc_lock => limit,
        Some(_) => return Finding::ok(MEMLOCK, "CAP_IPC_LOCK exempts from the limit", meaning),
        None => return Finding::ok(MEMLOCK, "unlimited", meaning),
    };
    let shard = shard_bytes(needs);
    let needed = shard * u64::from(needs.shards);
    let sum = format!(
        "limit {}; shards: {} x {} = {}",
        bytes(limit),
        needs.shards,
        bytes(shard),
        bytes(needed)
    );
    if limit >= needed {
        return Finding::ok(MEMLOCK, sum, meaning);
    }
    if raw
        .kernel()
        .is_some_and(|version| version < RINGS_ARE_LOCKED)
    {
        let detail = format!(
            "limit {}, which this kernel applies to registered buffers only",
            bytes(limit)
        );
        return Finding::ok(MEMLOCK, detail, meaning);
    }
    let fit = limit / shard;
    Finding::bad(
        MEMLOCK,
        State::Missing,
        sum,
        format!(
            "{fit} of {} shards can start: since Linux {RINGS_ARE_LOCKED}, {meaning}",
            needs.shards
        ),
        format!(
            "`ulimit -l {}` (LimitMEMLOCK={needed} of a unit, --ulimit memlock={needed} of a container), CAP_IPC_LOCK, or fewer shards or ring entries",
            needed.div_ceil(1 << 10)
        ),
    )
}

fn nofile(raw: &RawProbe, needs: &Needs) -> Finding {
    const NAME: &str = "nofile";
    let meaning = "every connection takes a descriptor; without one, new connections are refused";
    let start = FILES_BASE + FILES_PER_SHARD * u64::from(needs.shards);
    let needed = start + u64::from(needs.connections);
    let Some(limit) = raw.limits.nofile else {
        return Finding::ok(NAME, "unlimited", meaning);
    };
    let sum = format!(
        "limit {limit}; {} connections + {start} of our own = {needed}",
        needs.connections
    );
    if limit >= needed {
        return Finding::ok(NAME, sum, meaning);
    }
    let state = if limit < start {
        State::Missing
    } else {
        State::Degraded
    };
    let hard = match raw.limits.nofile_max {
        Some(hard) if hard < needed => {
            format!(
                "; the hard limit of {hard} must be raised first (LimitNOFILE= of a unit, limits.conf)"
            )
        }
        _ => String::new(),
    };
    Finding::bad(
        NAME,
        state,
        sum,
        format!("{} connections fit: {meaning}", limit.saturating_sub(start)),
        format!("`ulimit -n {needed}`{hard}"),
    )
}

fn processors(raw: &RawProbe, needs: &Needs) -> Finding {
    const NAME: &str = "processors";
    let cpus = &raw.cpus;
    let quota = match cpus.quota {
        Some(quota) => format!(", {quota} by the control group's quota"),
        None => String::new(),
    };
    let detail = format!(
        "shards: {}, processors: {}{quota}",
        needs.shards,
        cpus.allowed.len()
    );
    let meaning = "a shard wants a processor of its own";
    if !cpus.is_oversubscribed(needs.shards as usize) {
        return Finding::ok(NAME, detail, meaning);
    }
    let consequence = if needs.spinning {
        "shards share processors, so spinning is turned off: it would take time from those that work"
    } else {
        "shards share processors and wait for each other"
    };
    Finding::bad(
        NAME,
        State::Degraded,
        detail,
        consequence,
        format!(
            "run at most {} shards, or allow more processors (taskset, cpuset, CPUQuota=)",
            cpus.parallelism()
        ),
    )
}

fn unreadable(name: &'static str, setting: &str, meaning: &str) -> Finding {
    Finding::bad(
        name,
        State::Degraded,
        format!("{setting} cannot be read"),
        meaning,
        "mount /proc and /proc/sys, or check the setting on the host",
    )
}

fn backlog(tcp: &RawTcp, needs: &Needs) -> Finding {
    const NAME: &str = "backlog";
    let meaning = "connections that come faster than they are accepted wait here; beyond, they are dropped and try again after a second";
    let Some(granted) = tcp.somaxconn else {
        return unreadable(NAME, "net.core.somaxconn", meaning);
    };
    let detail = format!(
        "{} asked, {granted} granted (net.core.somaxconn)",
        needs.backlog
    );
    if granted >= u64::from(needs.backlog) {
        return Finding::ok(NAME, detail, meaning);
    }
    Finding::bad(
        NAME,
        State::Degraded,
        detail,
        meaning,
        format!("sysctl -w net.core.somaxconn={}", needs.backlog),
    )
}

fn socket_buffers(tcp: &RawTcp, needs: &Needs) -> Finding {
    const NAME: &str = "socket_buffers";
    let meaning = "a connection moves at most one buffer per round trip";
    // An explicit size ends the kernel's tuning, and another pair of limits holds.
    let (wanted, limits) = match needs.socket_buffer_len {
        Some(len) => (
            len,
            [
                ("net.core.rmem_max", "", tcp.rmem_max),
                ("net.core.wmem_max", "", tcp.wmem_max),
            ],
        ),
        None => (
            SOCKET_BUFFER_WANTED,
            [
                ("net.ipv4.tcp_rmem", "4096 131072 ", tcp.tcp_rmem_max),
                ("net.ipv4.tcp_wmem", "4096 16384 ", tcp.tcp_wmem_max),
            ],
        ),
    };
    let mut found = Vec::new();
    let mut remedies = Vec::new();
    for (name, lower, limit) in limits {
        let Some(limit) = limit else {
            return unreadable(NAME, name, meaning);
        };
        found.push(format!("{name} up to {}", bytes(limit)));
        if limit < wanted {
            remedies.push(format!("sysctl -w {name}=\"{lower}{wanted}\""));
        }
    }
    let detail = found.join(", ");
    if remedies.is_empty() {
        return Finding::ok(NAME, detail, meaning);
    }
    let meaning = format!("less than the {} that are wanted: {meaning}", bytes(wanted));
    Finding::bad(NAME, State::Degraded, detail, meaning, remedies.join("; "))
}

fn congestion(tcp: &RawTcp) -> Finding {
    const NAME: &str = "congestion";
    let meaning =
        "what connections use unless told otherwise; compare only figures taken with the same";
    let Some(name) = &tcp.congestion else {
        return unreadable(NAME, "net.ipv4.tcp_congestion_control", meaning);
    };
    let detail = match &tcp.congestion_available {
        Some(available) => format!("{name} (available: {available})"),
        None => name.clone(),
    };
    Finding::ok(NAME, detail, meaning)
}
