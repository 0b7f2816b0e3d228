//! The verdict on the kernel, its rings and its page cache.

use crate::sys::driver::IoDriver;

use super::facts::{EMFILE, ENOMEM, ENOSYS, EPERM, KernelVersion, describe};
use super::raw::RawProbe;
use super::trial::{ESSENTIAL, RawRing, Trial};
use super::{Features, Finding, KERNEL_MIN, State};

const SECCOMP_FILTER: u64 = 2;
/// The remedy for a feature that an older kernel lacks.
fn newer_kernel(version: &str) -> String {
    format!("run Linux {version} or later")
}

pub(super) fn features(raw: &RawProbe) -> Features {
    let page_cache = Features {
        cachestat: raw.cachestat.is_ok(),
        nowait_reads: raw.nowait_reads.is_ok(),
        ..Features::default()
    };
    let Ok(ring) = &raw.ring else {
        return page_cache;
    };
    Features {
        registered_ring_fd: ring.registered_ring_fd.is_ok(),
        incremental_buffers: ring.incremental_buf_ring.is_ok(),
        msg_ring: ring.supports("msg_ring"),
        splice: ring.supports("splice"),
        fadvise: ring.supports("fadvise"),
        socket: ring.supports("socket"),
        send_zc: ring.supports("send_zc"),
        ..page_cache
    }
}

pub(super) fn kernel(raw: &RawProbe) -> Finding {
    let detail = format!("Linux {}", raw.release);
    match raw.kernel() {
        Some(version) if version >= KERNEL_MIN => {
            Finding::ok("kernel", detail, format!("{KERNEL_MIN} or later is needed"))
        }
        Some(_) => Finding::bad(
            "kernel",
            State::Missing,
            detail,
            format!("the engine needs {KERNEL_MIN}: older rings lack what its loop is built on"),
            newer_kernel("6.1"),
        ),
        None => Finding::bad(
            "kernel",
            State::Degraded,
            detail,
            "the version cannot be read, so features are known by trial only",
            "check `uname -r`",
        ),
    }
}

pub(super) fn io_uring(raw: &RawProbe) -> Finding {
    let error = match &raw.ring {
        Ok(ring) => match ring.planned {
            Ok(()) => {
                return Finding::ok(
                    "io_uring",
                    "a ring can be made",
                    "all network and file work goes through it",
                );
            }
            Err(error) => error,
        },
        Err(error) => *error,
    };
    let (cause, remedy) = explain_refusal(error, raw);
    let what = if raw.ring.is_ok() {
        "a small ring can be made, one of the planned size cannot"
    } else {
        "no ring can be made"
    };
    Finding::bad(
        "io_uring",
        State::Missing,
        format!("{what}: {}", describe(error)),
        cause,
        remedy,
    )
}

/// The driver that `auto` takes. A ring that lacks memory or descriptors is to be mended: nothing stands in for it.
pub(super) fn driver(raw: &RawProbe, findings: &[Finding]) -> IoDriver {
    let passing = |error| matches!(error, ENOMEM | EMFILE);
    let refused = match &raw.ring {
        Err(error) => Some(*error),
        Ok(ring) => ring.planned.err(),
    };
    let missing = findings.iter().any(|it| it.state == State::Missing);
    match refused {
        Some(error) if passing(error) => IoDriver::IoUring,
        _ if missing => IoDriver::Epoll,
        _ => IoDriver::IoUring,
    }
}

/// Why `io_uring_setup` fails with this error, and what to do.
fn explain_refusal(error: i32, raw: &RawProbe) -> (&'static str, &'static str) {
    let filtered = raw.seccomp_mode == Some(SECCOMP_FILTER);
    match error {
        EPERM => match raw.io_uring_disabled {
            Some(2..) => (
                "sysctl kernel.io_uring_disabled = 2 forbids io_uring to everybody",
                "sysctl -w kernel.io_uring_disabled=0 (on the host, if this is a container)",
            ),
            Some(1) => (
                "sysctl kernel.io_uring_disabled = 1 allows io_uring only to root and one group",
                "sysctl -w kernel.io_uring_disabled=0, or add the user to the group whose id sysctl kernel.io_uring_group holds",
            ),
            _ if filtered => (
                "a seccomp filter forbids io_uring, as the default profiles of Docker, containerd and Podman do",
                SECCOMP_REMEDY,
            ),
            _ => (
                "a security policy (SELinux, AppArmor or the like) forbids io_uring",
                "allow io_uring to this program in the policy; the audit log names the rule",
            ),
        },
        ENOSYS if filtered => (
            "a seccomp filter hides io_uring, or this kernel was built without it",
            SECCOMP_REMEDY,
        ),
        ENOSYS => (
            "this kernel has no io_uring: it is too old, or was built without CONFIG_IO_URING",
            "run a kernel with CONFIG_IO_URING=y, 6.1 or later",
        ),
        ENOMEM => (
            "no memory for the ring: the user's locked memory (RLIMIT_MEMLOCK) or the control group's memory is spent",
            "raise `ulimit -l` (LimitMEMLOCK= of a unit, --ulimit memlock= of a container) or the memory limit",
        ),
        EMFILE => (
            "no file descriptor is left for the ring",
            "raise `ulimit -n` (LimitNOFILE= of a unit)",
        ),
        _ => (
            "the kernel refuses the ring for a reason of its own",
            "run Linux 6.1 or later; if it is, this is worth a report",
        ),
    }
}

const SECCOMP_REMEDY: &str = "allow io_uring_setup, io_uring_enter and io_uring_register in the seccomp profile (docker run --security-opt seccomp=PROFILE.json; Kubernetes: seccompProfile of type Localhost)";

fn from_trial(
    name: &'static str,
    trial: Trial,
    otherwise: State,
    meaning: &str,
    remedy: impl Into<String>,
) -> Finding {
    match trial {
        Ok(()) => Finding::ok(name, "works", meaning),
        // Says nothing about the kernel.
        Err(ENOMEM) => Finding::bad(
            name,
            State::Degraded,
            "could not be tried: no memory for another ring",
            meaning,
            "raise `ulimit -l`, then look again",
        ),
        Err(error) => Finding::bad(
            name,
            otherwise,
            format!("refused: {}", describe(error)),
            meaning,
            remedy,
        ),
    }
}

pub(super) fn setup_flags(ring: &RawRing) -> Vec<Finding> {
    vec![
        from_trial(
            "single_issuer",
            ring.single_issuer,
            State::Missing,
            "one thread owns the ring, so the kernel needs no locks on it",
            newer_kernel("6.0"),
        ),
        from_trial(
            "defer_taskrun",
            ring.defer_taskrun,
            State::Missing,
            "completions are made when the shard asks, in batches, not by interrupting it",
            newer_kernel("6.1"),
        ),
        from_trial(
            "taskrun_flag",
            ring.taskrun_flag,
            State::Missing,
            "a spinning shard sees in memory that work waits, without a system call",
            newer_kernel("5.19"),
        ),
        from_trial(
            "coop_taskrun",
            ring.coop_taskrun,
            State::Degraded,
            "the hosted runtime's ring does not interrupt the shard",
            newer_kernel("5.19"),
        ),
        from_trial(
            "registered_ring_fd",
            ring.registered_ring_fd,
            State::Degraded,
            "saves the look-up of the ring's descriptor in every system call",
            newer_kernel("5.18"),
        ),
    ]
}

pub(super) fn operations(ring: &RawRing, kernel: Option<KernelVersion>) -> Vec<Finding> {
    let optional = |name, meaning: &str, since: &str| {
        if ring.supports(name) {
            return Finding::ok(name, "the kernel has it", meaning);
        }
        Finding::bad(
            name,
            State::Degraded,
            "the kernel lacks it",
            meaning,
            newer_kernel(since),
        )
    };
    vec![
        essential_operations(ring),
        multishot(
            "multishot_recv",
            kernel,
            KernelVersion { major: 6, minor: 0 },
        ),
        multishot(
            "multishot_accept",
            kernel,
            KernelVersion {
                major: 5,
                minor: 19,
            },
        ),
        optional(
            "splice",
            "large ranges of files go to a socket without passing through memory of ours; else by sendfile",
            "5.7",
        ),
        optional(
            "fadvise",
            "cold files are read ahead by the ring; else by a worker thread",
            "5.6",
        ),
        optional(
            "msg_ring",
            "one shard wakes another through its ring; else through an eventfd",
            "5.18",
        ),
        optional(
            "socket",
            "sockets are made by the ring; else by a plain system call",
            "5.19",
        ),
        optional(
            "send_zc",
            "large sends to a network card need no copy; else the kernel copies, as it always does on loopback",
            "6.0",
        ),
    ]
}

fn essential_operations(ring: &RawRing) -> Finding {
    let lacking: Vec<_> = ESSENTIAL
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| !ring.supports(name))
        .collect();
    let meaning = "the engine's sends, receives, reads and cancellations";
    if lacking.is_empty() {
        let detail = format!("all {} the engine needs", ESSENTIAL.len());
        return Finding::ok("operations", detail, meaning);
    }
    Finding::bad(
        "operations",
        State::Missing,
        format!("the kernel lacks {}", lacking.join(", ")),
        meaning,
        newer_kernel("6.1"),
    )
}

/// Multishot is a flag of an operation, which no probe reports.
fn multishot(name: &'static str, kernel: Option<KernelVersion>, since: KernelVersion) -> Finding {
    let meaning = "one request to the kernel serves many connections or messages";
    match kernel {
        Some(version) if version < since => Finding::bad(
            name,
            State::Missing,
            format!("since {since}, this is {version}"),
            meaning,
            newer_kernel("6.1"),
        ),
        Some(_) => Finding::ok(name, format!("since {since}"), meaning),
        None => Finding::ok(name, "assumed, for the version is unknown", meaning),
    }
}

pub(super) fn buffers(ring: &RawRing) -> Vec<Finding> {
    vec![
        from_trial(
            "provided_buffers",
            ring.buf_ring,
            State::Missing,
            "the kernel picks a receive buffer when bytes come, so idle connections hold none",
            newer_kernel("5.19"),
        ),
        from_trial(
            "incremental_buffers",
            ring.incremental_buf_ring,
            State::Degraded,
            "several receives fill one buffer, so fewer frames straddle two and are copied",
            newer_kernel("6.12"),
        ),
    ]
}

pub(super) fn page_cache(raw: &RawProbe) -> Vec<Finding> {
    vec![
        from_trial(
            "cachestat",
            raw.cachestat,
            State::Degraded,
            "tells whether a file's range is in memory before it is sent; else a trial read does",
            "run Linux 6.5 or later, and allow cachestat in the seccomp profile if there is one",
        ),
        from_trial(
            "nowait_reads",
            raw.nowait_reads,
            State::Degraded,
            "reads what is in memory and nothing else, so a cold file never stalls a shard; else every read goes to a worker",
            "keep the files on a file system that supports RWF_NOWAIT (ext4, xfs, btrfs)",
        ),
    ]
}
