//! Reading of addresses and URIs: `rail://name@host:port` of endpoints, `rail://host:port/files/a%20name` of files.

use std::str::FromStr;

use super::address::{SCHEME, SPARK_SCHEME, is_name};
use super::{RpcAddress, RpcEndpointAddress, RpcError};

/// The path of a file as it stands in a URI: everything but letters, digits and `-._~/` is escaped.
pub(crate) fn escaped(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for &byte in path.as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// The address and the path, from the first `/` on, of a URI.
///
/// # Errors
/// [`RpcError::InvalidUri`].
pub(crate) fn split(uri: &str) -> Result<(RpcAddress, String), RpcError> {
    let invalid = || RpcError::invalid_uri(uri);
    let rest = without_scheme(uri).ok_or_else(invalid)?;
    let at = rest.find('/').ok_or_else(invalid)?;
    let (address, path) = rest.split_at(at);
    let unusual = path.contains(['?', '#']) || address.contains('@') || path == "/";
    if unusual {
        return Err(invalid());
    }
    let address = address.parse().map_err(|_| invalid())?;
    Ok((address, unescaped(path).ok_or_else(invalid)?))
}

fn unescaped(path: &str) -> Option<String> {
    let mut bytes = path.bytes();
    let mut out = Vec::with_capacity(path.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        out.push((high * 16 + low) as u8);
    }
    String::from_utf8(out)
        .ok()
        .filter(|path| !path.contains('\0'))
}

/// The text behind one of the schemes that are read.
fn without_scheme(uri: &str) -> Option<&str> {
    let rest = uri.strip_prefix(SCHEME);
    rest.or_else(|| uri.strip_prefix(SPARK_SCHEME))
}

impl FromStr for RpcAddress {
    type Err = RpcError;

    fn from_str(text: &str) -> Result<Self, RpcError> {
        let rest = without_scheme(text).unwrap_or(text);
        parse_host_port(rest).ok_or_else(|| RpcError::invalid_uri(text))
    }
}

/// `host:port` or `[v6]:port`, nothing before or behind.
fn parse_host_port(text: &str) -> Option<RpcAddress> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, port.strip_prefix(':')?)
        }
        None => text.rsplit_once(':')?,
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~%:".contains(c);
    if host.is_empty() || !host.chars().all(plain) || (host.contains(':') && !text.starts_with('['))
    {
        return None;
    }
    if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(RpcAddress::new(host, port.parse().ok()?))
}

impl FromStr for RpcEndpointAddress {
    type Err = RpcError;

    fn from_str(uri: &str) -> Result<Self, RpcError> {
        let (name, host_port) = without_scheme(uri)
            .and_then(|rest| rest.split_once('@'))
            .ok_or_else(|| RpcError::invalid_uri(uri))?;
        match parse_host_port(host_port) {
            Some(address) if is_name(name) => Ok(Self::new(Some(address), name)),
            _ => Err(RpcError::invalid_uri(uri)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_escaped_is_read_back() {
        for path in ["/files/a", "/files/a b", "/jars/ä%20?#&", "/x/deep/er.txt"] {
            let uri = format!("rail://h:7077{}", escaped(path));
            let (address, read) = split(&uri).expect("what was written");
            assert_eq!(
                (address.to_string().as_str(), read.as_str()),
                ("h:7077", path)
            );
        }
        assert_eq!(escaped("/files/a b"), "/files/a%20b");
    }

    #[test]
    fn spark_s_scheme_is_read_and_nonsense_is_not() {
        assert!(split("spark://[::1]:1/files/x").is_ok());
        for uri in [
            "http://h:1/files/x",
            "rail://h:1",
            "rail://h:1/",
            "rail://h/files/x",
            "rail://name@h:1/files/x",
            "rail://h:1/files/x?y",
            "rail://h:1/files/%zz",
            "rail://h:1/files/%0",
            "rail://h:1/files/%00",
            "rail://h:1/files/%ff",
        ] {
            assert!(split(uri).is_err(), "{uri}");
        }
    }
}
