//! The handshake: the client sends its Hello, the server answers with its own or with a Refusal.
//!
//! Both machines read the front of the caller's receive buffer and write into the caller's send buffer; they
//! hold no bytes. Time limits are the caller's. A machine that has failed says so to every further call.

use super::encode::NoRoom;
use super::{
    Hello, HelloError, HelloStep, Limits, Refusal, RefusalCode, RefusalError, RefusalStep, Sniff,
    Terms,
};

/// The parameters that both sides have agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// The largest body of one frame that may be sent, in bytes.
    pub max_body_len: u32,
    /// The largest RPC body over all slices that may be sent, in bytes.
    pub max_rpc_len: u64,
    /// The requests that may be outstanding at the peer.
    pub peer_max_outstanding: u32,
    /// The bytes of an upload or a sliced RPC body that may be sent before the peer grants more.
    pub initial_credit: u64,
    /// The same in the other direction: what this side has granted.
    pub own_initial_credit: u64,
    /// Bulk slices that are sent carry a CRC.
    pub send_crc: bool,
    /// Bulk slices that are received should carry a CRC (one without is accepted).
    pub expect_crc: bool,
    /// The peer closes connections that are silent for this long, in ms; 0 never.
    pub peer_idle_timeout_ms: u32,
}

impl Negotiated {
    fn new(own: &Terms, peer: &Terms) -> Self {
        let wanted = own.want_crc || peer.want_crc;
        Self {
            max_body_len: peer.max_body_len,
            max_rpc_len: peer.max_rpc_len,
            peer_max_outstanding: peer.max_outstanding,
            initial_credit: peer.initial_credit,
            own_initial_credit: own.initial_credit,
            send_crc: wanted && peer.can_verify_crc,
            expect_crc: wanted && own.can_verify_crc,
            peer_idle_timeout_ms: peer.idle_timeout_ms,
        }
    }
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The received bytes are not a usable Hello.
    #[error(transparent)]
    Hello(#[from] HelloError),
    /// The archive formats differ.
    #[error(
        "the peer's archive format is {theirs:#018x}, this side's is {ours:#018x}: the two programs were \
         built with different rkyv format features or versions of ringrail; build both alike"
    )]
    Format {
        /// This side's fingerprint.
        ours: u64,
        /// The peer's.
        theirs: u64,
    },
    /// The peer refused.
    #[error("the peer (protocol version {version}) refuses the connection: {code}: {text}")]
    Refused {
        /// The version that the peer speaks.
        version: u16,
        /// Why.
        code: RefusalCode,
        /// Why, in the peer's words.
        text: String,
    },
    /// The peer refused in a way that cannot be read.
    #[error(transparent)]
    Refusal(#[from] RefusalError),
    /// The peer closed the connection before the handshake was over.
    #[error("the peer closed the connection after {received} bytes of its Hello")]
    Closed {
        /// The bytes that had come.
        received: usize,
    },
    /// A call out of turn, or after a failure: an error of the caller.
    #[error("handshake out of turn: {what}")]
    OutOfTurn {
        /// The method that was called.
        what: &'static str,
    },
}

impl HandshakeError {
    /// The code to refuse the peer with; `None` if nothing should be sent.
    pub const fn refusal_code(&self) -> Option<RefusalCode> {
        match self {
            HandshakeError::Hello(error) => error.refusal_code(),
            HandshakeError::Format { .. } => Some(RefusalCode::Format),
            _ => None,
        }
    }

    /// Writes what a server sends before it closes the connection, to the front of `out`: an answer in
    /// its own protocol if it speaks another, else a Refusal with this error's text. Returns the length;
    /// 0 if nothing should be sent.
    /// A client only closes, for behind its Hello the server reads frames.
    ///
    /// # Errors
    /// [`NoRoom`]; nothing is written then.
    pub fn write_refusal(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        if let HandshakeError::Hello(HelloError::NotNative(sniff)) = self
            && let Some(courtesy) = sniff.courtesy()
        {
            let room = out.len();
            let need = courtesy.len();
            out.get_mut(..need)
                .ok_or(NoRoom { need, room })?
                .copy_from_slice(courtesy);
            return Ok(need);
        }
        match self.refusal_code() {
            Some(code) => Refusal::new(code, &self.to_string()).encode(out),
            None => Ok(0),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Start,
    Waiting,
    Deciding(Negotiated),
    Over,
}

/// The result of a handshake step over the received bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeStep<'a> {
    /// The peer's Hello is not complete.
    NeedMore {
        /// The length that the receive buffer must reach.
        at_least: usize,
    },
    /// The peer's Hello.
    Hello {
        /// The agreed parameters, if this side continues.
        negotiated: Negotiated,
        /// The peer's extension (authentication), for the caller to judge.
        ext: &'a [u8],
        /// The bytes it took.
        consumed: usize,
    },
}

/// The client's side: [`hello`](Self::hello), then [`receive`](Self::receive) until it gives a Hello.
#[derive(Clone, Copy, Debug)]
pub struct ClientHandshake {
    own: Terms,
    limits: Limits,
    state: State,
}

impl ClientHandshake {
    /// A client that announces `own` and reads within `limits`.
    pub const fn new(own: Terms, limits: Limits) -> Self {
        Self {
            own,
            limits,
            state: State::Start,
        }
    }

    /// Writes this side's Hello to the front of `out` and returns its length.
    ///
    /// # Errors
    /// [`NoRoom`]; nothing is written then, and it can be called again.
    ///
    /// # Panics
    /// If it is called again after it succeeded.
    pub fn hello(&mut self, ext: &[u8], out: &mut [u8]) -> Result<usize, NoRoom> {
        assert_eq!(self.state, State::Start, "a client sends one Hello");
        let terms = self.own;
        let len = Hello { terms, ext }.encode(out)?;
        self.state = State::Waiting;
        Ok(len)
    }

    /// Reads the server's answer at the front of `buf`. After a Hello the connection carries frames, the
    /// first of which begins `consumed` bytes into `buf`.
    ///
    /// # Errors
    /// [`HandshakeError`]; close the connection.
    pub fn receive<'a>(&mut self, buf: &'a [u8]) -> Result<HandshakeStep<'a>, HandshakeError> {
        if self.state != State::Waiting {
            return Err(HandshakeError::OutOfTurn {
                what: "the client reads an answer that it did not ask for",
            });
        }
        let step = read_answer(&self.own, &self.limits, buf);
        if !matches!(step, Ok(HandshakeStep::NeedMore { .. })) {
            self.state = State::Over;
        }
        step
    }
}

/// The server's side: [`receive`](Self::receive) until it gives a Hello, then [`accept`](Self::accept) or
/// [`refuse`](Self::refuse).
#[derive(Clone, Copy, Debug)]
pub struct ServerHandshake {
    own: Terms,
    limits: Limits,
    state: State,
}

impl ServerHandshake {
    /// A server that announces `own` and reads within `limits`.
    pub const fn new(own: Terms, limits: Limits) -> Self {
        Self {
            own,
            limits,
            state: State::Waiting,
        }
    }

    /// Reads the client's Hello at the front of `buf`. The caller judges the extension and then accepts or
    /// refuses.
    ///
    /// # Errors
    /// [`HandshakeError`]: send what [`HandshakeError::write_refusal`] gives, and close.
    pub fn receive<'a>(&mut self, buf: &'a [u8]) -> Result<HandshakeStep<'a>, HandshakeError> {
        if self.state != State::Waiting {
            return Err(HandshakeError::OutOfTurn {
                what: "the server reads a second Hello",
            });
        }
        let step = read_hello(&self.own, &self.limits, buf);
        match &step {
            Ok(HandshakeStep::NeedMore { .. }) => {}
            Ok(HandshakeStep::Hello { negotiated, .. }) => {
                self.state = State::Deciding(*negotiated)
            }
            Err(_) => self.state = State::Over,
        }
        step
    }

    /// Accepts the client: writes this side's Hello to the front of `out` and returns its length and what
    /// both agreed on. From then on the connection carries frames.
    ///
    /// # Errors
    /// [`NoRoom`]; nothing is written then, and it can be called again.
    ///
    /// # Panics
    /// If no Hello was received, or it was decided before.
    pub fn accept(&mut self, ext: &[u8], out: &mut [u8]) -> Result<(usize, Negotiated), NoRoom> {
        let State::Deciding(negotiated) = self.state else {
            panic!("a server accepts once, and after it has received a Hello");
        };
        let terms = self.own;
        let len = Hello { terms, ext }.encode(out)?;
        self.state = State::Over;
        Ok((len, negotiated))
    }

    /// Refuses the client at any time: writes a Refusal to the front of `out` and returns its length. Close
    /// when it is sent.
    ///
    /// # Errors
    /// [`NoRoom`]; nothing is written then.
    pub fn refuse(
        &mut self,
        code: RefusalCode,
        text: &str,
        out: &mut [u8],
    ) -> Result<usize, NoRoom> {
        let len = Refusal::new(code, text).encode(out)?;
        self.state = State::Over;
        Ok(len)
    }
}

/// The error for a stream that ends during the handshake; `buf` holds the bytes received so far.
pub fn closed_early(buf: &[u8]) -> HandshakeError {
    match super::sniff(buf) {
        Sniff::Native | Sniff::NeedMore | Sniff::Refusal => HandshakeError::Closed {
            received: buf.len(),
        },
        other => HandshakeError::Hello(HelloError::NotNative(other)),
    }
}

fn read_hello<'a>(
    own: &Terms,
    limits: &Limits,
    buf: &'a [u8],
) -> Result<HandshakeStep<'a>, HandshakeError> {
    match Hello::decode(buf, limits.max_hello_ext_len)? {
        HelloStep::NeedMore { at_least } => Ok(HandshakeStep::NeedMore { at_least }),
        HelloStep::Hello { hello, .. } if hello.terms.fingerprint != own.fingerprint => {
            Err(HandshakeError::Format {
                ours: own.fingerprint,
                theirs: hello.terms.fingerprint,
            })
        }
        HelloStep::Hello { hello, consumed } => Ok(HandshakeStep::Hello {
            negotiated: Negotiated::new(own, &hello.terms),
            ext: hello.ext,
            consumed,
        }),
    }
}

fn read_answer<'a>(
    own: &Terms,
    limits: &Limits,
    buf: &'a [u8],
) -> Result<HandshakeStep<'a>, HandshakeError> {
    match read_hello(own, limits, buf) {
        Err(HandshakeError::Hello(HelloError::NotNative(Sniff::Refusal))) => {}
        step => return step,
    }
    match Refusal::decode(buf, limits.max_refusal_text_len)? {
        RefusalStep::NeedMore { at_least } => Ok(HandshakeStep::NeedMore { at_least }),
        RefusalStep::Refusal(Refusal {
            version,
            code,
            text,
        }) => Err(HandshakeError::Refused {
            version,
            code,
            text: text.to_owned(),
        }),
    }
}
