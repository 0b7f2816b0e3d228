//! Parameters of a measurement: kind of work, width, cores, way of waiting, duration.
//!
//! The harness sends a [`Workload`] as JSON to the two processes of a candidate, so that every
//! candidate gets the same parameters.

use crate::frame::EXACT_LEN;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// Largest payload of an RPC in bytes: past this it is a chunk's work.
pub const MAX_RPC_SIZE: u32 = 1 << 20;
/// Largest chunk in bytes.
pub const MAX_CHUNK_SIZE: u32 = 64 << 20;
/// Most connections of a workload.
pub const MAX_CONNS: u32 = 1024;
/// Most requests in flight on one connection.
pub const MAX_IN_FLIGHT: u32 = 4096;
/// Most payload bytes that one connection may have in flight in either direction: bounds the memory
/// of a run.
pub const MAX_IN_FLIGHT_BYTES: u64 = 1 << 30;

/// One measurement's work, the same for every candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Workload {
    /// The work of one request.
    pub work: Work,
    /// Connections between the two processes.
    pub conns: u32,
    /// Requests in flight on each connection.
    pub in_flight: u32,
    /// The cores that the two processes are pinned to.
    pub placement: Placement,
    /// How a side waits for the other.
    pub wait: Wait,
    /// How long the measured window lasts; a warm-up of a tenth of it goes before.
    pub length: Length,
}

/// The work of one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// A request with a payload of `size` bytes is answered with a payload of `reply` bytes. Either
    /// payload is the start of [`crate::pattern`].
    Rpc {
        /// The request's payload in bytes, header not counted.
        size: u32,
        /// The answer's payload in bytes, header not counted; the usual call answers as much as it
        /// was asked.
        reply: u32,
    },
    /// A request without payload is answered with a chunk of `size` bytes.
    Chunks {
        /// Chunk in bytes, header not counted.
        size: u32,
        /// The source of the server's chunks.
        source: Source,
    },
}

/// The source of a server's chunks. The content is [`crate::pattern`]'s; chunk ids wrap around.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Memory of the server, filled before it reports itself ready.
    Memory {
        /// Size of the region in bytes.
        bytes: u64,
    },
    /// A file that the harness has written and read once, so that it is in the page cache.
    File {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        bytes: u64,
    },
}

impl Source {
    /// Size in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Memory { bytes } | Self::File { bytes, .. } => *bytes,
        }
    }
}

/// The cores of the two processes. The harness pins them before they start, if at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Placement {
    /// Both on one core.
    SameCore,
    /// The server on one core, the client on another.
    TwoCores,
    /// Wherever the scheduler puts their threads, as for a program that is simply started.
    NotPinned,
}

/// How a side waits for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// Sleep in the kernel until something arrives.
    Parked,
    /// Look again and again without sleeping.
    Spinning,
}

/// How long a run's measured window lasts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Length {
    /// Until this many requests have been answered.
    Ops(u64),
    /// For this many seconds.
    Seconds(f64),
}

impl Length {
    /// The window that goes before the measured one and is not counted: a tenth of it.
    #[must_use]
    pub fn warm_up(self) -> Self {
        match self {
            Self::Ops(ops) => Self::Ops(ops / 10),
            Self::Seconds(seconds) => Self::Seconds(seconds / 10.0),
        }
    }
}

/// Why a workload cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkloadError {
    /// A number is outside its limits.
    #[error("{what} is {got}, but must be between {min} and {max}")]
    OutOfRange {
        /// The field.
        what: &'static str,
        /// Its value.
        got: u64,
        /// The smallest value allowed.
        min: u64,
        /// The largest value allowed.
        max: u64,
    },
    /// Spinning starves the peer that shares the core.
    #[error("two processes on the same core cannot both spin: park them, or give each a core")]
    SpinningOnOneCore,
    /// The window's seconds are not a positive, finite number.
    #[error("the length must be a positive number of seconds")]
    BadSeconds,
}

impl Workload {
    /// One connection, one request in flight: what a ping-pong is.
    #[must_use]
    pub fn ping_pong(size: u32, placement: Placement, wait: Wait, length: Length) -> Self {
        Self {
            work: Work::Rpc { size, reply: size },
            conns: 1,
            in_flight: 1,
            placement,
            wait,
            length,
        }
    }

    /// Payload of an RPC's request or size of a chunk, in bytes.
    #[must_use]
    pub fn size(&self) -> u32 {
        match self.work {
            Work::Rpc { size, .. } | Work::Chunks { size, .. } => size,
        }
    }

    /// Payload of an answer in bytes.
    #[must_use]
    pub fn answer_size(&self) -> u32 {
        match self.work {
            Work::Rpc { reply, .. } => reply,
            Work::Chunks { size, .. } => size,
        }
    }

    /// Whether latency is what this workload is about: nothing is ever queued behind anything.
    #[must_use]
    pub fn is_ping_pong(&self) -> bool {
        matches!(self.work, Work::Rpc { .. }) && self.conns == 1 && self.in_flight == 1
    }

    /// The chunks' source, if chunks are asked for.
    #[must_use]
    pub fn source(&self) -> Option<&Source> {
        match &self.work {
            Work::Rpc { .. } => None,
            Work::Chunks { source, .. } => Some(source),
        }
    }

    /// How many chunks the source holds; an RPC's payload is always the first and only one.
    #[must_use]
    pub fn source_chunks(&self) -> u64 {
        self.source()
            .map_or(1, |source| source.bytes() / u64::from(self.size().max(1)))
    }

    /// Whether answers are large chunks, received exactly.
    pub(crate) fn receives_exactly(&self) -> bool {
        matches!(self.work, Work::Chunks { size, .. } if size as usize >= EXACT_LEN)
    }

    /// The id of the first request on connection number `conn`: connections start evenly spread
    /// over the source.
    #[must_use]
    pub fn first_id(&self, conn: u32) -> u64 {
        self.source_chunks() * u64::from(conn) / u64::from(self.conns.max(1))
    }

    /// Checks every limit.
    ///
    /// # Errors
    /// The first field that is outside its limits, see [`WorkloadError`].
    pub fn validate(&self) -> Result<(), WorkloadError> {
        let size = u64::from(self.size());
        match &self.work {
            Work::Rpc { reply, .. } => {
                within("rpc size", size, 0, MAX_RPC_SIZE.into())?;
                within("rpc reply", u64::from(*reply), 0, MAX_RPC_SIZE.into())?;
            }
            Work::Chunks { source, .. } => {
                within("chunk size", size, 1, MAX_CHUNK_SIZE.into())?;
                within("source bytes", source.bytes(), size, u64::MAX)?;
            }
        }
        within("conns", self.conns.into(), 1, MAX_CONNS.into())?;
        within("in_flight", self.in_flight.into(), 1, MAX_IN_FLIGHT.into())?;
        let bytes = size.max(self.answer_size().into()) * u64::from(self.in_flight);
        within("size x in_flight", bytes, 0, MAX_IN_FLIGHT_BYTES)?;
        if self.placement == Placement::SameCore && self.wait == Wait::Spinning {
            return Err(WorkloadError::SpinningOnOneCore);
        }
        match self.length {
            Length::Ops(ops) => within("ops", ops, 1, u64::MAX),
            Length::Seconds(s) if s.is_finite() && s > 0.0 => Ok(()),
            Length::Seconds(_) => Err(WorkloadError::BadSeconds),
        }
    }
}

fn within(what: &'static str, got: u64, min: u64, max: u64) -> Result<(), WorkloadError> {
    if (min..=max).contains(&got) {
        Ok(())
    } else {
        Err(WorkloadError::OutOfRange {
            what,
            got,
            min,
            max,
        })
    }
}

/// A size in the largest binary unit that divides it.
fn write_size(f: &mut fmt::Formatter<'_>, bytes: u64) -> fmt::Result {
    match bytes {
        b if b >= 1 << 20 && b.is_multiple_of(1 << 20) => write!(f, "{} MiB", b >> 20),
        b if b >= 1 << 10 && b.is_multiple_of(1 << 10) => write!(f, "{} KiB", b >> 10),
        b => write!(f, "{b} B"),
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_size(f, self.size().into())?;
        match &self.work {
            Work::Rpc { size, reply } => {
                f.write_str(if self.is_ping_pong() {
                    " ping-pong"
                } else {
                    " rpc"
                })?;
                if size != reply {
                    f.write_str(", reply ")?;
                    write_size(f, (*reply).into())?;
                }
                if !self.is_ping_pong() {
                    write!(f, ", {} x {}", self.conns, self.in_flight)?;
                }
            }
            Work::Chunks { source, .. } => {
                let from = match source {
                    Source::Memory { .. } => "memory",
                    Source::File { .. } => "file",
                };
                write!(f, " chunks, {from}, {} x {}", self.conns, self.in_flight)?;
            }
        }
        f.write_str(match self.placement {
            Placement::SameCore => ", same core",
            Placement::TwoCores => ", two cores",
            Placement::NotPinned => ", not pinned",
        })?;
        f.write_str(match self.wait {
            Wait::Parked => ", parked",
            Wait::Spinning => ", spinning",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(size: u32, source: u64) -> Workload {
        Workload {
            work: Work::Chunks {
                size,
                source: Source::Memory { bytes: source },
            },
            conns: 1,
            in_flight: 8,
            placement: Placement::TwoCores,
            wait: Wait::Parked,
            length: Length::Seconds(1.0),
        }
    }

    #[test]
    fn every_limit_is_reached_by_name() {
        let good = chunks(1 << 16, 1 << 20);
        assert_eq!(good.validate(), Ok(()));
        let what = |change: &dyn Fn(&mut Workload)| {
            let mut bad = good.clone();
            change(&mut bad);
            match bad.validate() {
                Err(WorkloadError::OutOfRange { what, .. }) => what,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(what(&|w| w.conns = 0), "conns");
        assert_eq!(what(&|w| w.conns = MAX_CONNS + 1), "conns");
        assert_eq!(what(&|w| w.in_flight = MAX_IN_FLIGHT + 1), "in_flight");
        assert_eq!(what(&|w| w.length = Length::Ops(0)), "ops");
        let rpc = |size, reply| Work::Rpc { size, reply };
        assert_eq!(what(&|w| w.work = rpc(MAX_RPC_SIZE + 1, 0)), "rpc size");
        assert_eq!(what(&|w| w.work = rpc(0, MAX_RPC_SIZE + 1)), "rpc reply");
        assert_eq!(
            what(&|w| *w = chunks(MAX_CHUNK_SIZE + 1, 1 << 30)),
            "chunk size"
        );
        assert_eq!(what(&|w| *w = chunks(1 << 20, 1 << 19)), "source bytes");
        let wide = |w: &mut Workload| {
            *w = chunks(MAX_CHUNK_SIZE, 1 << 30);
            w.in_flight = 17;
        };
        assert_eq!(what(&wide), "size x in_flight");
    }

    #[test]
    fn one_core_cannot_spin_and_seconds_must_be_positive() {
        let spin = Workload::ping_pong(64, Placement::SameCore, Wait::Spinning, Length::Ops(1));
        assert_eq!(spin.validate(), Err(WorkloadError::SpinningOnOneCore));
        for seconds in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let mut bad = chunks(64, 64);
            bad.length = Length::Seconds(seconds);
            assert_eq!(bad.validate(), Err(WorkloadError::BadSeconds));
        }
    }

    #[test]
    fn a_workload_survives_json() {
        let mut file = chunks(4096, 8192);
        file.work = Work::Chunks {
            size: 4096,
            source: Source::File {
                path: "some/file".into(),
                bytes: 8192,
            },
        };
        for workload in [chunks(1, 1), file] {
            let json = serde_json::to_string(&workload).expect("plain data");
            assert_eq!(
                serde_json::from_str::<Workload>(&json).expect(&json),
                workload
            );
        }
    }

    #[test]
    fn the_name_says_all_that_differs() {
        assert_eq!(
            chunks(1 << 16, 1 << 20).to_string(),
            "64 KiB chunks, memory, 1 x 8, two cores, parked"
        );
        let ping = Workload::ping_pong(64, Placement::SameCore, Wait::Parked, Length::Ops(1));
        assert_eq!(ping.to_string(), "64 B ping-pong, same core, parked");
    }
}
