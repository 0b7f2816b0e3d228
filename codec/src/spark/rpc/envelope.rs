//! The envelope in front of a request's Java object: who asks, and which endpoint is asked.
//!
//! ```text
//! address sender | address receiver | utf endpoint | Java stream with one object
//! address = 00 | 01 utf host, i32 port          utf = u16 length, modified UTF-8
//! ```

use std::borrow::Cow;
use std::fmt;

use crate::java::Text;

/// The address that a process listens at, as its peers write it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SocketName<'a> {
    /// A name or a number.
    pub host: Cow<'a, str>,
    /// The port.
    pub port: u16,
}

impl<'a> From<(&'a str, u16)> for SocketName<'a> {
    fn from((host, port): (&'a str, u16)) -> Self {
        let host = host.into();
        Self { host, port }
    }
}

impl fmt::Display for SocketName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// The envelope (`RequestMessage` of `NettyRpcEnv` without its content).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHead<'a> {
    /// The address that the sender listens at; `None` if it does not listen (client mode).
    pub sender: Option<SocketName<'a>>,
    /// The address that the sender used. A process of Spark answers whatever stands here.
    pub receiver: Option<SocketName<'a>>,
    /// The name of the endpoint.
    pub endpoint: Cow<'a, str>,
}

/// Bytes that are not an envelope, or an envelope that cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// The bytes end within the envelope.
    #[error("the envelope of the request ends within its {field}")]
    Truncated {
        /// The field.
        field: &'static str,
    },
    /// A text that is not modified UTF-8, or with half a character.
    #[error("the {field} in the envelope of the request is not a text")]
    NotText {
        /// The field.
        field: &'static str,
    },
    /// A text that is longer than the limit.
    #[error(
        "the {field} in the envelope of the request has {len} bytes; the limit is {limit} ({name})"
    )]
    TooLong {
        /// The field.
        field: &'static str,
        /// Its length in bytes.
        len: usize,
        /// The longest accepted.
        limit: usize,
        /// The limit's name.
        name: &'static str,
    },
    /// A port that does not exist.
    #[error("the {field} in the envelope of the request has the port {port}")]
    Port {
        /// The field.
        field: &'static str,
        /// The port.
        port: i32,
    },
}

impl<'a> RequestHead<'a> {
    /// The longest host, in bytes: no name in the DNS is longer.
    pub const MAX_HOST_LEN: usize = 255;
    /// The longest name of an endpoint, in bytes.
    pub const MAX_ENDPOINT_LEN: usize = 1024;
    /// The name of the endpoint that every process has: it is asked whether another exists.
    pub const VERIFIER: &'static str = "endpoint-verifier";

    /// Reads the envelope at the front of a request's body, and gives the Java stream behind it.
    ///
    /// # Errors
    /// [`EnvelopeError`] if it is cut off, beyond a limit, or no envelope.
    pub fn decode(body: &'a [u8]) -> Result<(Self, &'a [u8]), EnvelopeError> {
        let mut bytes = body;
        let sender = take_address(&mut bytes, "sender")?;
        let receiver = take_address(&mut bytes, "receiver")?;
        let endpoint = take_text(&mut bytes, ENDPOINT)?;
        let head = Self {
            sender,
            receiver,
            endpoint,
        };
        Ok((head, bytes))
    }

    /// Appends the envelope; the Java stream is to follow.
    ///
    /// # Errors
    /// [`EnvelopeError::TooLong`]; nothing was appended.
    pub fn append_to(&self, out: &mut Vec<u8>) -> Result<(), EnvelopeError> {
        let start = out.len();
        let appended = self.append(out);
        if appended.is_err() {
            out.truncate(start);
        }
        appended
    }

    fn append(&self, out: &mut Vec<u8>) -> Result<(), EnvelopeError> {
        append_address(self.sender.as_ref(), "sender", out)?;
        append_address(self.receiver.as_ref(), "receiver", out)?;
        append_text(&self.endpoint, ENDPOINT, out)
    }
}

/// A text field and its limit.
#[derive(Clone, Copy)]
struct TextField {
    field: &'static str,
    limit: usize,
    name: &'static str,
}

const ENDPOINT: TextField = TextField {
    field: "endpoint",
    limit: RequestHead::MAX_ENDPOINT_LEN,
    name: "MAX_ENDPOINT_LEN",
};

const fn host(field: &'static str) -> TextField {
    TextField {
        field,
        limit: RequestHead::MAX_HOST_LEN,
        name: "MAX_HOST_LEN",
    }
}

impl TextField {
    fn allow(self, len: usize) -> Result<(), EnvelopeError> {
        let TextField { field, limit, name } = self;
        if len > limit {
            return Err(EnvelopeError::TooLong {
                field,
                len,
                limit,
                name,
            });
        }
        Ok(())
    }
}

fn take<'a, const N: usize>(
    bytes: &mut &'a [u8],
    field: &'static str,
) -> Result<&'a [u8; N], EnvelopeError> {
    let (taken, rest) = bytes
        .split_first_chunk()
        .ok_or(EnvelopeError::Truncated { field })?;
    *bytes = rest;
    Ok(taken)
}

fn take_address<'a>(
    bytes: &mut &'a [u8],
    field: &'static str,
) -> Result<Option<SocketName<'a>>, EnvelopeError> {
    // Every flag but 0 is true for Java.
    if *take(bytes, field)? == [0] {
        return Ok(None);
    }
    let host = take_text(bytes, host(field))?;
    let port = i32::from_be_bytes(*take(bytes, field)?);
    let port = u16::try_from(port).map_err(|_| EnvelopeError::Port { field, port })?;
    Ok(Some(SocketName { host, port }))
}

fn take_text<'a>(bytes: &mut &'a [u8], of: TextField) -> Result<Cow<'a, str>, EnvelopeError> {
    let field = of.field;
    let len = usize::from(u16::from_be_bytes(*take(bytes, field)?));
    of.allow(len)?;
    let (taken, rest) = bytes
        .split_at_checked(len)
        .ok_or(EnvelopeError::Truncated { field })?;
    *bytes = rest;
    if taken.iter().all(|&byte| (1..0x80).contains(&byte)) {
        return Ok(String::from_utf8_lossy(taken));
    }
    let text = Text::from_modified_utf8(taken).ok();
    let text = text.and_then(|text| text.to_str().map(Cow::into_owned));
    text.map(Cow::Owned).ok_or(EnvelopeError::NotText { field })
}

fn append_address(
    address: Option<&SocketName<'_>>,
    field: &'static str,
    out: &mut Vec<u8>,
) -> Result<(), EnvelopeError> {
    let Some(address) = address else {
        out.push(0);
        return Ok(());
    };
    out.push(1);
    append_text(&address.host, host(field), out)?;
    out.extend(i32::from(address.port).to_be_bytes());
    Ok(())
}

fn append_text(text: &str, of: TextField, out: &mut Vec<u8>) -> Result<(), EnvelopeError> {
    let text = Text::from(text);
    let bytes = text.as_bytes();
    of.allow(bytes.len())?;
    out.extend((bytes.len() as u16).to_be_bytes());
    out.extend(bytes);
    Ok(())
}
