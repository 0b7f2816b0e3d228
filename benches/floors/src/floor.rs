//! The floors by name.

use crate::blocking;
use crate::meter::Metered;
use crate::ring::{self, Reading};
use crate::role::{Served, Serving};
use crate::sendfile;
use crate::workload::{Source, Wait, Work, Workload};
use anyhow::Result;
use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::BorrowedFd;
use std::str::FromStr;

/// A floor: the same work as the product's, with nothing between it and the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Floor {
    /// Blocking sockets, a thread per connection.
    Blocking,
    /// One io_uring loop that checks every request and every answer.
    Ring,
    /// The same loop, whose server sends back what arrives without reading it.
    RingEcho,
    /// Blocking sockets, bodies by `sendfile`.
    Sendfile,
}

impl Floor {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Blocking, Self::Ring, Self::RingEcho, Self::Sendfile];

    /// The name on the command line and in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Blocking => "blocking",
            Self::Ring => "ring",
            Self::RingEcho => "ring-echo",
            Self::Sendfile => "sendfile",
        }
    }

    /// Whether the floor can do this work.
    #[must_use]
    pub fn supports(self, workload: &Workload) -> bool {
        let is_parked = workload.wait == Wait::Parked;
        let is_echo = matches!(workload.work, Work::Rpc { size, reply } if size == reply);
        match self {
            Self::Blocking => is_parked,
            Self::Ring => true,
            Self::RingEcho => is_echo,
            Self::Sendfile => is_parked && matches!(workload.source(), Some(Source::File { .. })),
        }
    }

    /// Whether others are measured against it. The unread echo is not a baseline: a program that
    /// answers requests has to read them.
    #[must_use]
    pub fn is_baseline(self) -> bool {
        self != Self::RingEcho
    }

    /// Runs the server's side.
    pub(crate) fn serve(
        self,
        serving: &Serving<'_>,
        listener: &TcpListener,
        stop: BorrowedFd<'_>,
    ) -> Result<Served> {
        match self {
            Self::Blocking => blocking::serve(serving, listener, stop),
            Self::Ring => ring::serve(serving, Reading::Checked, listener, stop),
            Self::RingEcho => ring::serve(serving, Reading::Unparsed, listener, stop),
            Self::Sendfile => sendfile::serve(serving, listener, stop),
        }
    }

    /// Runs the client's side.
    pub(crate) fn drive(self, workload: &Workload, addr: SocketAddr) -> Result<Metered> {
        match self {
            Self::Blocking | Self::Sendfile => blocking::run_client(workload, addr),
            Self::Ring | Self::RingEcho => ring::run_client(workload, addr),
        }
    }
}

impl fmt::Display for Floor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// No floor has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no floor is called {name:?}; there are {}", Floor::ALL.map(Floor::name).join(", "))]
pub struct UnknownFloor {
    /// The name that was asked for.
    pub name: String,
}

impl FromStr for Floor {
    type Err = UnknownFloor;

    fn from_str(name: &str) -> Result<Self, UnknownFloor> {
        Self::ALL
            .into_iter()
            .find(|floor| floor.name() == name)
            .ok_or_else(|| UnknownFloor {
                name: name.to_owned(),
            })
    }
}
