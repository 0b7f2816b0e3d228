//! The floors by name.

use crate::meter::Metered;
use crate::role::{Served, Serving};
use crate::workload::{Wait, Workload};
use crate::{blocking, ring};
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
}

impl Floor {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Blocking, Self::Ring];

    /// The name on the command line and in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Blocking => "blocking",
            Self::Ring => "ring",
        }
    }

    /// Whether the floor can do this work.
    #[must_use]
    pub fn supports(self, workload: &Workload) -> bool {
        match self {
            Self::Blocking => workload.wait == Wait::Parked,
            Self::Ring => true,
        }
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
            Self::Ring => ring::serve(serving, listener, stop),
        }
    }

    /// Runs the client's side.
    pub(crate) fn drive(self, workload: &Workload, addr: SocketAddr) -> Result<Metered> {
        match self {
            Self::Blocking => blocking::run_client(workload, addr),
            Self::Ring => ring::run_client(workload, addr),
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
