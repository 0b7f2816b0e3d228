//! Addresses of envs, and of endpoints at them: `rail://name@host:port`.
//!
//! Refs, outboxes and network events name peers by [`RpcAddress`]; users write and read
//! [`RpcEndpointAddress`]es.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use ringrail_transport::Addr;

use super::id::fnv1a;

/// The scheme of URIs that this crate writes.
pub(super) const SCHEME: &str = "rail://";

/// Spark's scheme, which is read as well.
pub(super) const SPARK_SCHEME: &str = "spark://";

/// Host and port of an env (Spark: `RpcAddress`). Cheap to clone.
///
/// ```
/// use ringrail::rpc::RpcAddress;
///
/// let address = RpcAddress::new("::1", 7077);
/// assert_eq!(address.to_string(), "[::1]:7077");
/// assert_eq!("[::1]:7077".parse::<RpcAddress>()?, address);
/// # Ok::<(), ringrail::rpc::RpcError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RpcAddress {
    host: Arc<str>,
    port: u16,
    /// Of host and port, so that tables need not read the host.
    hash: u64,
}

impl RpcAddress {
    /// An address. An IPv6 host is given with or without brackets.
    pub fn new(host: impl AsRef<str>, port: u16) -> Self {
        let host = host.as_ref();
        let host = host
            .strip_prefix('[')
            .and_then(|inner| inner.strip_suffix(']'))
            .unwrap_or(host);
        let hash = fnv1a(host.as_bytes()) ^ u64::from(port).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self {
            host: Arc::from(host),
            port,
            hash,
        }
    }

    /// The host: a name or a numeric address, IPv6 without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `host:port`, IPv6 in brackets (Spark: `hostPort`).
    pub fn host_port(&self) -> String {
        self.to_string()
    }

    /// `rail://host:port` (Spark: `toSparkURL`).
    pub fn url(&self) -> String {
        format!("{SCHEME}{self}")
    }

    /// A number that stands for host and port in tables.
    pub(crate) fn key(&self) -> u64 {
        self.hash
    }

    /// The address of a peer's socket.
    pub(crate) fn of_socket(addr: &Addr) -> Self {
        match addr {
            Addr::Tcp(tcp) => Self::new(tcp.ip().to_canonical().to_string(), tcp.port()),
            unix @ Addr::Unix(_) => Self::new(unix.to_string(), 0),
        }
    }
}

impl Hash for RpcAddress {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl fmt::Display for RpcAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') && !self.host.starts_with("unix:") {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

debug_text!(RpcAddress, |this| "RpcAddress({this})");

/// The longest name of an endpoint, in bytes.
pub const MAX_NAME_LEN: usize = 255;

/// Whether an endpoint may be called so: what a URI can hold in front of its `@`.
pub(crate) fn is_name(name: &str) -> bool {
    let fits = |c: char| !c.is_control() && !c.is_whitespace() && !"/?#@[]".contains(c);
    !name.is_empty() && name.len() <= MAX_NAME_LEN && name.chars().all(fits)
}

/// The name of an endpoint and, unless its env does not listen, where it is (Spark:
/// `RpcEndpointAddress`).
///
/// ```
/// use ringrail::rpc::RpcEndpointAddress;
///
/// let master: RpcEndpointAddress = "spark://Master@10.0.0.1:7077".parse()?;
/// assert_eq!(master.name(), "Master");
/// assert_eq!(master.to_string(), "rail://Master@10.0.0.1:7077");
/// assert!("rail://10.0.0.1:7077".parse::<RpcEndpointAddress>().is_err(), "no name");
/// # Ok::<(), ringrail::rpc::RpcError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RpcEndpointAddress {
    address: Option<RpcAddress>,
    name: Arc<str>,
}

impl RpcEndpointAddress {
    /// An endpoint's address; `None` where its env does not listen.
    pub fn new(address: Option<RpcAddress>, name: impl Into<Arc<str>>) -> Self {
        Self {
            address,
            name: name.into(),
        }
    }

    /// The address that its env listens at.
    pub fn address(&self) -> Option<&RpcAddress> {
        self.address.as_ref()
    }

    /// The endpoint's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn into_parts(self) -> (Option<RpcAddress>, Arc<str>) {
        (self.address, self.name)
    }
}

impl fmt::Display for RpcEndpointAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Some(address) => write!(f, "{SCHEME}{}@{address}", self.name),
            None => write!(f, "rail-client://{}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_read_as_spark_reads_them_and_written_in_our_scheme() {
        for (text, name, host, port) in [
            ("rail://a@h:1", "a", "h", 1),
            (
                "spark://Master@host.example:65535",
                "Master",
                "host.example",
                65535,
            ),
            ("rail://x@[fe80::1]:0", "x", "fe80::1", 0),
        ] {
            let uri: RpcEndpointAddress = text.parse().unwrap();
            let address = uri.address().unwrap();
            assert_eq!(
                (uri.name(), address.host(), address.port()),
                (name, host, port)
            );
            let again: RpcEndpointAddress = uri.to_string().parse().unwrap();
            assert_eq!(again, uri);
            assert!(uri.to_string().starts_with("rail://"));
        }
    }

    #[test]
    fn what_is_no_uri_is_refused_with_sparks_words() {
        for text in [
            "",
            "http://a@h:1",
            "rail://h:1",
            "rail://@h:1",
            "rail://a@:1",
            "rail://a@h",
            "rail://a@h:",
            "rail://a@h:-1",
            "rail://a@h:65536",
            "rail://a@h:+1",
            "rail://a@h:1/",
            "rail://a@h:1/path",
            "rail://a@h:1?q",
            "rail://a@h:1#f",
            "rail://a@fe80::1:1",
            "rail://a@[h]:1",
            "rail://a@b@h:1",
            "spark://a@[::1:1",
            "rail-client://a",
        ] {
            let error = text.parse::<RpcEndpointAddress>().unwrap_err();
            let scheme = if text.starts_with("spark") {
                "Spark"
            } else {
                "rail"
            };
            assert_eq!(error.to_string(), format!("Invalid {scheme} URL: {text}"));
        }
    }

    #[test]
    fn an_address_without_a_listener_is_for_printing_only() {
        let name = RpcEndpointAddress::new(None, "a");
        assert_eq!(name.to_string(), "rail-client://a");
    }

    #[test]
    fn names_are_what_a_uri_can_hold() {
        assert!(is_name("block-manager_1.x:y"));
        for bad in [
            "",
            "a b",
            "a/b",
            "a@b",
            "a?b",
            "a#b",
            "\u{7}",
            &"x".repeat(256),
        ] {
            assert!(!is_name(bad), "{bad:?}");
        }
    }
}
