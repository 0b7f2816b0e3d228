//! Features of this kernel and limits of this process, their meaning for the engine, and remedies
//! for missing ones.
//!
//! ```text
//! kernel, /proc, trials on tiny rings -> RawProbe -> judge (pure) -> ProbeReport
//! ```
//!
//! [`RawProbe::gather`] asks the kernel, where possible by trying the feature itself;
//! [`ProbeReport::judge`] is a pure function of the results, so that every verdict can be tested on
//! any kernel. The engine reads [`Features`] at start; `ringrail doctor` prints the findings.

mod facts;
mod limits;
mod raw;
mod ring;
mod trial;

use std::fmt;

use crate::sys::driver::IoDriver;

pub use facts::KernelVersion;
pub use raw::{RawLimits, RawProbe, RawTcp};
pub use trial::{RawRing, Trial};

/// The oldest kernel that the engine runs on: the first with
/// `IORING_SETUP_DEFER_TASKRUN`.
pub const KERNEL_MIN: KernelVersion = KernelVersion { major: 6, minor: 1 };

/// The engine's requirements; the limits are judged against them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// Shards, each with its own ring.
    pub shards: u32,
    /// Whether idle shards spin.
    pub spinning: bool,
    /// Connections of the process, of all shards together.
    pub connections: u32,
    /// Connections that may wait to be accepted.
    pub backlog: u32,
    /// Submission entries of a shard's ring.
    pub sq_entries: u32,
    /// Completion entries of a shard's ring.
    pub cq_entries: u32,
    /// Entries of a shard's provided-buffer rings.
    pub buf_ring_entries: u32,
    /// The explicit socket buffer size in bytes, if one is configured.
    pub socket_buffer_len: Option<u64>,
}

impl Default for Needs {
    fn default() -> Self {
        Self {
            shards: 1,
            spinning: false,
            connections: 1024,
            backlog: super::socket::DEFAULT_BACKLOG,
            sq_entries: 1024,
            cq_entries: 8192,
            buf_ring_entries: 64,
            socket_buffer_len: None,
        }
    }
}

/// How good one thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// As it should be.
    Ok,
    /// The engine works, but slower or with less.
    Degraded,
    /// The engine cannot work; where it is io_uring that is missing or forbidden, epoll stands in.
    Missing,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Missing => "missing",
        })
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its name, in `snake_case`.
    pub name: &'static str,
    /// How good it is.
    pub state: State,
    /// The observed value or state.
    pub detail: String,
    /// The benefit of the feature, or the cost of its absence.
    pub meaning: String,
    /// The remedy, if one is needed.
    pub remedy: Option<String>,
}

impl Finding {
    fn ok(name: &'static str, detail: impl Into<String>, meaning: impl Into<String>) -> Self {
        Self {
            name,
            state: State::Ok,
            detail: detail.into(),
            meaning: meaning.into(),
            remedy: None,
        }
    }

    fn bad(
        name: &'static str,
        state: State,
        detail: impl Into<String>,
        meaning: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            name,
            state,
            detail: detail.into(),
            meaning: meaning.into(),
            remedy: Some(remedy.into()),
        }
    }
}

/// `name: state (detail)`, then the meaning and the remedy on lines of their own.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<22} {:<8}  {}", self.name, self.state, self.detail)?;
        if self.state == State::Ok {
            return Ok(());
        }
        write!(f, "\n    {}", self.meaning)?;
        match &self.remedy {
            Some(remedy) => write!(f, "\n    mend: {remedy}"),
            None => Ok(()),
        }
    }
}

/// Optional features that the engine may use beyond the minimum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Features {
    /// `IORING_REGISTER_RING_FDS`.
    pub registered_ring_fd: bool,
    /// Provided-buffer rings whose buffers are consumed piece by piece
    /// (`IOU_PBUF_RING_INC`).
    pub incremental_buffers: bool,
    /// `IORING_OP_MSG_RING`: one ring wakes another.
    pub msg_ring: bool,
    /// `IORING_OP_SPLICE`.
    pub splice: bool,
    /// `IORING_OP_FADVISE`.
    pub fadvise: bool,
    /// `IORING_OP_SOCKET`.
    pub socket: bool,
    /// `IORING_OP_SEND_ZC`.
    pub send_zc: bool,
    /// `cachestat(2)`.
    pub cachestat: bool,
    /// `preadv2(2)` with `RWF_NOWAIT`.
    pub nowait_reads: bool,
}

/// The findings and the verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeReport {
    /// The driver that shards would use: io_uring, or epoll where io_uring is missing or forbidden.
    pub driver: IoDriver,
    /// The first findings, so many, are about the ring.
    of_the_ring: usize,
    /// The kernel's version, if its release string could be read.
    pub kernel: Option<KernelVersion>,
    /// The features that may be used.
    pub features: Features,
    /// All findings, the most fundamental first.
    pub findings: Vec<Finding>,
}

/// Probes this system for an engine that needs `needs`. It makes rings and may
/// wait for them to be released, up to a second where memory is short: call it at
/// start, not on a shard.
pub fn probe(needs: &Needs) -> ProbeReport {
    ProbeReport::judge(&RawProbe::gather(needs), needs)
}

impl ProbeReport {
    /// Judges what a probe has found.
    pub fn judge(raw: &RawProbe, needs: &Needs) -> Self {
        let kernel = raw.kernel();
        let mut findings = vec![ring::kernel(raw), ring::io_uring(raw)];
        if let Ok(found) = &raw.ring {
            findings.extend(ring::setup_flags(found));
            findings.extend(ring::operations(found, kernel));
            findings.extend(ring::buffers(found));
        }
        let of_the_ring = findings.len();
        let driver = ring::driver(raw, &findings);
        findings.extend(ring::page_cache(raw));
        findings.extend(limits::judge(raw, needs));
        if driver == IoDriver::Epoll {
            findings.retain(|finding| finding.name != limits::MEMLOCK);
        }
        Self {
            driver,
            of_the_ring,
            kernel,
            features: ring::features(raw),
            findings,
        }
    }

    /// Whether the engine can run here: nothing that it cannot do without is
    /// missing.
    pub fn minimum_met(&self) -> bool {
        self.worst() != State::Missing
    }

    /// The worst state of all findings. Where epoll stands in, a ring that is missing only degrades.
    pub fn worst(&self) -> State {
        let state = |(at, finding): (usize, &Finding)| match self.driver {
            IoDriver::Epoll if at < self.of_the_ring => finding.state.min(State::Degraded),
            _ => finding.state,
        };
        let states = self.findings.iter().enumerate().map(state);
        states.max().unwrap_or(State::Ok)
    }

    /// The finding of this name.
    pub fn finding(&self, name: &str) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.name == name)
    }
}

/// All findings, one below the other.
impl fmt::Display for ProbeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        f.write_str(match self.worst() {
            State::Ok => "everything is as it should be",
            State::Degraded if self.driver == IoDriver::Epoll => {
                "the engine runs here by epoll, with more system calls than by io_uring"
            }
            State::Degraded => "the engine runs here, with the reservations above",
            State::Missing => "the engine cannot run here until what is missing is mended",
        })
    }
}

#[cfg(test)]
mod tests;
