//! Errors of a socket before it carries data, each with its remedy.

use std::fmt;
use std::io;
use std::path::PathBuf;

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use super::{Addr, AddrError, UnixAddr};

/// A socket could not be opened, set up, bound or put to listen.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another socket listens on the address.
    #[error("{addr} is in use; to see who holds it: {}", find_holder(.addr))]
    InUse {
        /// The address.
        addr: Addr,
    },
    /// The address belongs to no interface of this host.
    #[error(
        "{addr} is not an address of this host; `ip addr` lists them, 0.0.0.0 and [::] stand for all"
    )]
    NotAvailable {
        /// The address.
        addr: Addr,
    },
    /// The process may not bind there.
    #[error("no permission to listen on {addr}: {}", permission(.addr))]
    PermissionDenied {
        /// The address.
        addr: Addr,
    },
    /// The directory of the socket file does not exist.
    #[error("cannot create {addr}: its directory does not exist")]
    NoDirectory {
        /// The address.
        addr: Addr,
    },
    /// Something that is no socket lies at the path; it is left alone.
    #[error("cannot listen on {}: a file that is no socket lies there", .path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// No descriptor is left.
    #[error("no file descriptor is left: {0}")]
    TooManyFiles(FileLimit),
    /// The kernel was built or started without this address family.
    #[error("this kernel does not support the address family of {addr}")]
    FamilyUnsupported {
        /// The address.
        addr: Addr,
    },
    /// The congestion control is not loaded, or not allowed to this process.
    #[error(
        "congestion control `{name}` is not available; this kernel offers: {available} (net.ipv4.tcp_available_congestion_control)"
    )]
    Congestion {
        /// The name that was asked for.
        name: String,
        /// The values that the kernel offers.
        available: String,
    },
    /// A socket option was refused.
    #[error("cannot set {option} to {value}: {source}")]
    Option {
        /// The option's name.
        option: &'static str,
        /// The value.
        value: String,
        /// Why.
        source: io::Error,
    },
    /// The address cannot be encoded.
    #[error(transparent)]
    Addr(#[from] AddrError),
    /// Anything else.
    #[error("cannot {action} {addr}: {source}")]
    Os {
        /// The attempted action.
        action: &'static str,
        /// Its address.
        addr: Addr,
        /// The reason.
        source: io::Error,
    },
}

/// The limit on open files that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileLimit {
    /// That of this process.
    Process {
        /// The limit (`RLIMIT_NOFILE`).
        limit: u64,
    },
    /// That of the whole system.
    System,
}

impl fmt::Display for FileLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process { limit } => write!(
                f,
                "this process may open {limit} files; raise it with `ulimit -n` (or LimitNOFILE= of its unit)"
            ),
            Self::System => f.write_str("the system's limit is reached; raise sysctl fs.file-max"),
        }
    }
}

impl SocketError {
    /// The error for an error number of `action` on `addr`.
    pub(super) fn from_errno(action: &'static str, addr: &Addr, errno: Errno) -> Self {
        let addr = addr.clone();
        match errno {
            Errno::ADDRINUSE => Self::InUse { addr },
            Errno::ADDRNOTAVAIL => Self::NotAvailable { addr },
            Errno::ACCESS | Errno::PERM => Self::PermissionDenied { addr },
            Errno::NOENT => Self::NoDirectory { addr },
            Errno::AFNOSUPPORT => Self::FamilyUnsupported { addr },
            Errno::MFILE => Self::TooManyFiles(FileLimit::Process {
                limit: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
            }),
            Errno::NFILE => Self::TooManyFiles(FileLimit::System),
            _ => Self::Os {
                action,
                addr,
                source: errno.into(),
            },
        }
    }

    /// As [`from_errno`](Self::from_errno), for an error that came by way of a ring.
    pub(crate) fn from_io(action: &'static str, addr: &Addr, error: io::Error) -> Self {
        match rustix::io::Errno::from_io_error(&error) {
            Some(errno) => Self::from_errno(action, addr, errno),
            None => Self::Os {
                action,
                addr: addr.clone(),
                source: error,
            },
        }
    }
}

/// The command that names the process which holds an address.
fn find_holder(addr: &Addr) -> String {
    match addr {
        Addr::Tcp(addr) => format!("ss -ltnp 'sport = :{}'", addr.port()),
        Addr::Unix(UnixAddr::Abstract(name)) => {
            format!("ss -lxp 'src = @{}'", name.escape_ascii())
        }
        Addr::Unix(UnixAddr::Path(path)) => format!("ss -lxp 'src = {}'", path.display()),
        Addr::Unix(UnixAddr::Unnamed) => "ss -lxp".into(),
    }
}

/// The privilege that a process needs to bind to an address.
fn permission(addr: &Addr) -> String {
    match addr {
        Addr::Tcp(addr) => format!(
            "port {} needs CAP_NET_BIND_SERVICE, unless sysctl net.ipv4.ip_unprivileged_port_start is lowered",
            addr.port()
        ),
        Addr::Unix(UnixAddr::Path(path)) => {
            let directory = match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent.display().to_string(),
                _ => ".".into(),
            };
            format!("the directory {directory} must be writable and searchable")
        }
        Addr::Unix(_) => "a security policy forbids it".into(),
    }
}
