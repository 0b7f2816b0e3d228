//! A URI that names a block server and a path on it.

use std::fmt;
use std::str::FromStr;

use super::{BlockId, BlockIdError};

/// `rail://HOST:PORT[/PATH]` or `rail+unix:///SOCKET[?path=PATH]`.
///
/// Bytes that a URI cannot hold are written `%XX`. A socket in Linux's abstract namespace is
/// `rail+unix:@NAME`.
///
/// ```
/// use ringrail::block::RailUri;
///
/// let uri: RailUri = "rail://localhost:7337/logs/2026%2007".parse()?;
/// assert_eq!(uri.address(), "localhost:7337");
/// assert_eq!(uri.id().to_string(), "logs/2026 07");
/// # Ok::<(), ringrail::block::UriError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RailUri {
    address: String,
    id: BlockId,
}

/// A text that is no [`RailUri`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// The scheme is another, or missing.
    #[error(
        "`{text}` does not begin with rail:// or rail+unix: — write rail://HOST:PORT/PATH or \
         rail+unix:///SOCKET?path=PATH"
    )]
    Scheme {
        /// The text.
        text: String,
    },
    /// There is no host.
    #[error("`{text}` names no host: write rail://HOST:PORT/PATH")]
    NoHost {
        /// The text.
        text: String,
    },
    /// There is no port, or it is no number.
    #[error("`{text}` lacks a port from 1 to 65535: write rail://HOST:PORT/PATH")]
    Port {
        /// The text.
        text: String,
    },
    /// There is no socket.
    #[error("`{text}` names no socket: write rail+unix:///run/ringrail.sock?path=PATH")]
    NoSocket {
        /// The text.
        text: String,
    },
    /// A percent sign that no two hexadecimal digits follow.
    #[error(
        "`{text}` has a % without two hexadecimal digits behind it: write a percent sign as %25"
    )]
    Percent {
        /// The text.
        text: String,
    },
    /// Something behind the `?` that is not `path=`.
    #[error("`{text}` has `?{query}`, where only ?path=PATH is known")]
    Query {
        /// The text.
        text: String,
        /// The query found.
        query: String,
    },
    /// The path cannot name a block.
    #[error("`{text}`: {source}")]
    Path {
        /// The text.
        text: String,
        /// Why not.
        source: BlockIdError,
    },
}

impl RailUri {
    /// The URI of `id` at `address` (as [`Addr`](ringrail_transport::Addr) reads and writes it).
    pub fn new(address: impl Into<String>, id: BlockId) -> Self {
        Self {
            address: address.into(),
            id,
        }
    }

    /// The address to connect to: `host:port`, `[v6]:port`, `unix:/path` or `unix:@name`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The path on the server; the root for everything.
    pub fn id(&self) -> &BlockId {
        &self.id
    }
}

impl FromStr for RailUri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        if let Some(rest) = text.strip_prefix("rail://") {
            return tcp(text, rest);
        }
        match text.strip_prefix("rail+unix:") {
            Some(rest) => unix(text, rest),
            None => Err(UriError::Scheme {
                text: text.to_owned(),
            }),
        }
    }
}

fn tcp(text: &str, rest: &str) -> Result<RailUri, UriError> {
    let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
    let owned = || text.to_owned();
    let (host, port) = match address
        .strip_prefix('[')
        .and_then(|inner| inner.split_once(']'))
    {
        Some((host, port)) => (host, port.strip_prefix(':').unwrap_or("")),
        None => address.rsplit_once(':').unwrap_or((address, "")),
    };
    if host.is_empty() {
        return Err(UriError::NoHost { text: owned() });
    }
    if !port.parse().is_ok_and(|port: u16| port > 0) {
        return Err(UriError::Port { text: owned() });
    }
    Ok(RailUri {
        address: address.to_owned(),
        id: id_of(text, path)?,
    })
}

fn unix(text: &str, rest: &str) -> Result<RailUri, UriError> {
    let (socket, query) = rest.split_once('?').unwrap_or((rest, "path="));
    let Some(path) = query.strip_prefix("path=") else {
        return Err(UriError::Query {
            text: text.to_owned(),
            query: query.to_owned(),
        });
    };
    let socket = socket.strip_prefix("//").unwrap_or(socket);
    let socket = String::from_utf8(decode(text, socket)?);
    match socket {
        Ok(socket) if socket.len() > 1 && socket.starts_with(['/', '@']) => Ok(RailUri {
            address: format!("unix:{socket}"),
            id: id_of(text, path)?,
        }),
        _ => Err(UriError::NoSocket {
            text: text.to_owned(),
        }),
    }
}

fn id_of(text: &str, path: &str) -> Result<BlockId, UriError> {
    // Slashes at the ends are how people write directories.
    let path = decode(text, path.trim_matches('/'))?;
    BlockId::new(path).map_err(|source| UriError::Path {
        text: text.to_owned(),
        source,
    })
}

fn decode(text: &str, part: &str) -> Result<Vec<u8>, UriError> {
    let mut out = Vec::with_capacity(part.len());
    let mut bytes = part.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|byte| (byte as char).to_digit(16));
        match (digit(), digit()) {
            (Some(high), Some(low)) => out.push((high * 16 + low) as u8),
            _ => {
                return Err(UriError::Percent {
                    text: text.to_owned(),
                });
            }
        }
    }
    Ok(out)
}

/// Writes bytes as a URI holds them.
fn encode(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    for &byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => write!(f, "{}", byte as char)?,
            b'/' | b'.' | b'-' | b'_' | b'~' | b'@' | b'+' | b',' | b'=' | b':' => {
                write!(f, "{}", byte as char)?;
            }
            _ => write!(f, "%{byte:02X}")?,
        }
    }
    Ok(())
}

impl fmt::Display for RailUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address.strip_prefix("unix:") {
            Some(socket) => {
                let slashes = if socket.starts_with('/') { "//" } else { "" };
                write!(f, "rail+unix:{slashes}")?;
                encode(f, socket.as_bytes())?;
                if !self.id.is_root() {
                    f.write_str("?path=")?;
                    encode(f, self.id.as_bytes())?;
                }
                Ok(())
            }
            None => {
                write!(f, "rail://{}", self.address)?;
                if !self.id.is_root() {
                    f.write_str("/")?;
                    encode(f, self.id.as_bytes())?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (String, String) {
        let uri: RailUri = text.parse().unwrap();
        (uri.address().to_owned(), uri.id().to_string())
    }

    #[test]
    fn every_form_is_read() {
        let is = |text: &str, address: &str, id: &str| {
            assert_eq!(parsed(text), (address.to_owned(), id.to_owned()), "{text}");
        };
        is("rail://host:1", "host:1", "/");
        is("rail://host:1/", "host:1", "/");
        is("rail://[::1]:7337/a/b/", "[::1]:7337", "a/b");
        is("rail://10.0.0.1:9/x%20y%2fz", "10.0.0.1:9", "x y/z");
        is("rail+unix:///run/r.sock", "unix:/run/r.sock", "/");
        is(
            "rail+unix:///run/r.sock?path=a/b",
            "unix:/run/r.sock",
            "a/b",
        );
        is("rail+unix:@name?path=", "unix:@name", "/");
    }

    #[test]
    fn what_is_written_is_read_back() {
        for address in ["host:1", "[::1]:7337", "unix:/a b/?%", "unix:@name"] {
            for id in [&b""[..], b"a/b", b"odd \xff%?#name"] {
                let uri = RailUri::new(address, BlockId::new(id).unwrap());
                assert_eq!(
                    uri.to_string().parse::<RailUri>().as_ref(),
                    Ok(&uri),
                    "{uri}"
                );
            }
        }
    }

    #[test]
    fn errors_say_what_to_write() {
        let error = |text: &str| text.parse::<RailUri>().unwrap_err().to_string();
        assert!(error("http://host:1/").contains("write rail://HOST:PORT/PATH"));
        assert!(error("host:1").contains("does not begin with rail://"));
        assert!(error("rail://host/path").contains("lacks a port"));
        assert!(error("rail://host:99999").contains("lacks a port"));
        assert!(error("rail://host:0").contains("lacks a port"));
        assert!(error("rail://:77/path").contains("no host"));
        assert!(error("rail://h:1/a%zz").contains("%25"));
        assert!(error("rail://h:1/../etc").contains("`..`"));
        assert!(error("rail://h:1/%2e%2e/etc").contains("`..`"));
        assert!(error("rail+unix:").contains("no socket"));
        assert!(error("rail+unix:relative").contains("no socket"));
        assert!(error("rail+unix:///s?file=a").contains("only ?path=PATH"));
    }
}
