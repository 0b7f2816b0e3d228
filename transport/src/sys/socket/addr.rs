//! Addresses of peers and listeners, as text and as the kernel takes them.

use std::ffi::OsStr;
use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::str::FromStr;

use rustix::net::addr::SocketAddrArg;
use rustix::net::{AddressFamily, SocketAddrAny, SocketAddrUnix};

/// The address of a peer or a listener: TCP over IPv4 or IPv6, or a Unix-domain socket.
///
/// As text: `127.0.0.1:7077`, `[::1]:7077`, `unix:/run/ringrail.sock`, and
/// `unix:@name` for a name in Linux's abstract namespace.
///
/// # Example
///
/// ```
/// use ringrail_transport::sys::socket::Addr;
///
/// let addr: Addr = "[::1]:7077".parse().unwrap();
/// assert_eq!(addr.to_string(), "[::1]:7077");
/// assert!("[::1]".parse::<Addr>().is_err(), "the port is missing");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Addr {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix-domain socket.
    Unix(UnixAddr),
}

/// The name of a Unix-domain socket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum UnixAddr {
    /// A socket file.
    Path(PathBuf),
    /// A name in the abstract namespace, without the leading zero byte.
    Abstract(Vec<u8>),
    /// No name: the client's end of most connections.
    Unnamed,
}

/// A text is not an address, or has none.
#[derive(Debug, thiserror::Error)]
pub enum AddrError {
    /// The port is missing.
    #[error("`{text}` lacks a port: write HOST:PORT, [IPV6]:PORT or unix:PATH")]
    MissingPort {
        /// The text.
        text: String,
    },
    /// The port is no number from 0 to 65535.
    #[error("`{port}` in `{text}` is not a port: a port is a number from 0 to 65535")]
    BadPort {
        /// The text.
        text: String,
        /// The text in the place of the port.
        port: String,
    },
    /// An IPv6 address without brackets, whose end is ambiguous.
    #[error("`{text}` is ambiguous: write an IPv6 address in brackets, as in [::1]:7077")]
    Unbracketed {
        /// The text.
        text: String,
    },
    /// A host name where only a numeric address is taken.
    #[error("`{host}` is not a numeric address; host names are resolved by Addr::resolve")]
    HostName {
        /// The name.
        host: String,
    },
    /// Resolving the host name failed.
    #[error("cannot resolve `{host}`: {source}")]
    Resolve {
        /// The name.
        host: String,
        /// Why.
        source: std::io::Error,
    },
    /// The host name has no address.
    #[error("`{host}` has no address")]
    NoAddress {
        /// The name.
        host: String,
    },
    /// The name of a Unix-domain socket is empty, too long or has a zero byte.
    #[error(
        "`{text}` cannot name a Unix-domain socket: such a name has 1 to {limit} bytes, none of them zero"
    )]
    UnixName {
        /// The address.
        text: String,
        /// The most bytes such a name may have.
        limit: usize,
    },
}

/// The bytes of `sun_path`, less the zero that ends a path or starts an abstract
/// name.
const UNIX_NAME_MAX: usize = 107;

impl Addr {
    /// Resolves a text that may hold a host name, and returns every address it
    /// stands for, in the resolver's order. May block on the network.
    ///
    /// # Errors
    ///
    /// The text is no address, or the name does not resolve.
    pub fn resolve(text: &str) -> Result<Vec<Self>, AddrError> {
        let host = match text.parse() {
            Ok(addr) => return Ok(vec![addr]),
            Err(AddrError::HostName { host }) => host,
            Err(error) => return Err(error),
        };
        match text.to_socket_addrs() {
            Ok(found) => {
                let found: Vec<_> = found.map(Self::Tcp).collect();
                if found.is_empty() {
                    return Err(AddrError::NoAddress { host });
                }
                Ok(found)
            }
            Err(source) => Err(AddrError::Resolve { host, source }),
        }
    }

    /// Whether bytes to this address never leave the host: a loopback address or a Unix socket.
    pub fn is_this_host(&self) -> bool {
        match self {
            Self::Tcp(addr) => addr.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }

    /// The port of a TCP address.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp(addr) => Some(addr.port()),
            Self::Unix(_) => None,
        }
    }

    /// The address as the kernel takes it, in memory that stays where it is.
    ///
    /// # Errors
    ///
    /// [`AddrError::UnixName`]: the name does not fit.
    pub fn to_sockaddr(&self) -> Result<SockAddr, AddrError> {
        Ok(SockAddr(Box::new(match self {
            Self::Tcp(addr) => SocketAddrAny::from(*addr),
            Self::Unix(name) => self.unix_sockaddr(name)?.into(),
        })))
    }

    fn unix_sockaddr(&self, name: &UnixAddr) -> Result<SocketAddrUnix, AddrError> {
        let fits = |name: &[u8]| (1..=UNIX_NAME_MAX).contains(&name.len());
        let encoded = match name {
            UnixAddr::Path(path) if fits(path.as_os_str().as_bytes()) => {
                SocketAddrUnix::new(path.as_path()).ok()
            }
            UnixAddr::Abstract(name) if fits(name) => SocketAddrUnix::new_abstract_name(name).ok(),
            _ => None,
        };
        encoded.ok_or_else(|| AddrError::UnixName {
            text: self.to_string(),
            limit: UNIX_NAME_MAX,
        })
    }

    pub(super) fn family(&self) -> AddressFamily {
        match self {
            Self::Tcp(SocketAddr::V4(_)) => AddressFamily::INET,
            Self::Tcp(SocketAddr::V6(_)) => AddressFamily::INET6,
            Self::Unix(_) => AddressFamily::UNIX,
        }
    }

    /// Converts a kernel address; `None` for an unsupported family.
    pub(super) fn from_kernel(any: SocketAddrAny) -> Option<Self> {
        if let Ok(addr) = SocketAddr::try_from(any.clone()) {
            return Some(Self::Tcp(addr));
        }
        let unix = SocketAddrUnix::try_from(any).ok()?;
        Some(Self::Unix(
            match (unix.path_bytes(), unix.abstract_name()) {
                (Some(path), _) => UnixAddr::Path(OsStr::from_bytes(path).into()),
                (None, Some(name)) if !name.is_empty() => UnixAddr::Abstract(name.to_vec()),
                // rustix reads a missing name as an empty abstract one.
                _ => UnixAddr::Unnamed,
            },
        ))
    }
}

impl From<SocketAddr> for Addr {
    fn from(addr: SocketAddr) -> Self {
        Self::Tcp(addr)
    }
}

impl FromStr for Addr {
    type Err = AddrError;

    /// Reads a numeric address; [`Addr::resolve`] also takes host names.
    fn from_str(text: &str) -> Result<Self, AddrError> {
        if let Some(name) = text.strip_prefix("unix:") {
            let addr = Self::Unix(match name.strip_prefix('@') {
                Some(name) => UnixAddr::Abstract(name.into()),
                None => UnixAddr::Path(name.into()),
            });
            return addr.to_sockaddr().map(|_| addr);
        }
        text.parse().map(Self::Tcp).map_err(|_| explain(text))
    }
}

/// Why a text is not `IP:PORT`.
fn explain(text: &str) -> AddrError {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => return AddrError::MissingPort { text: text.into() },
    };
    if host.contains(':') && !host.starts_with('[') {
        return AddrError::Unbracketed { text: text.into() };
    }
    if port.is_empty() || host.is_empty() {
        return AddrError::MissingPort { text: text.into() };
    }
    if port.parse::<u16>().is_err() {
        return AddrError::BadPort {
            text: text.into(),
            port: port.into(),
        };
    }
    AddrError::HostName { host: host.into() }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addr) => addr.fmt(f),
            Self::Unix(name) => name.fmt(f),
        }
    }
}

impl fmt::Display for UnixAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // A relative path that would read as an abstract name.
            Self::Path(path) if path.as_os_str().as_bytes().starts_with(b"@") => {
                write!(f, "unix:./{}", path.display())
            }
            Self::Path(path) => write!(f, "unix:{}", path.display()),
            Self::Abstract(name) => write!(f, "unix:@{}", name.escape_ascii()),
            Self::Unnamed => f.write_str("unix:(unnamed)"),
        }
    }
}

/// An address in the kernel's form.
///
/// It owns its memory, which does not move with the value: an operation that
/// carries the `SockAddr` may hand [`as_ptr`](Self::as_ptr) to the kernel.
#[derive(Debug, Clone)]
pub struct SockAddr(Box<SocketAddrAny>);

impl SockAddr {
    /// The encoded address; valid while this value lives.
    pub fn as_ptr(&self) -> *const libc::sockaddr {
        self.0.as_ptr().cast()
    }

    /// Its length in bytes.
    #[allow(clippy::len_without_is_empty, reason = "an address is never empty")]
    pub fn len(&self) -> libc::socklen_t {
        self.0.addr_len()
    }

    pub(super) fn as_arg(&self) -> &impl SocketAddrArg {
        &*self.0
    }
}
