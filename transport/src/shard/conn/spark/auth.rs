//! Authentication of the peer: Spark's handshake, which precedes all other frames.
//!
//! The connection is not open until the handshake succeeds: no handler sees it, and every other
//! request of the peer is refused, chunks and streams included. The server answers in plain text;
//! after that answer both directions are encrypted if the handshake says so.

use std::rc::Rc;
use std::sync::Arc;

use ringrail_codec::spark::auth::{
    AuthError, Authenticated, ClientAuth, ClientStep, MAX_HANDSHAKE_LEN, Random, Secret,
    ServerAuth, ServerStep,
};
use ringrail_codec::spark::{Frame, Head, Kind, RpcRequest, RpcResponse};

use crate::conn::lifecycle::Phase;
use crate::error::{CloseReason, RpcFailure};
use crate::metrics::ErrorKind;
use crate::shard::conn::Conn;
use crate::shard::conn::dispatch::Handled;
use crate::spark::{ClientAuthentication, ServerAuthentication};

use ringrail_codec::native::FailureCode;

use super::SparkState;
use crate::conn::spark::requests::WireId;

/// The state of a handshake.
pub(super) enum Auth {
    Server {
        auth: ServerAuth,
        secrets: Arc<ServerAuthentication>,
    },
    Client(ClientAuth),
    /// It has succeeded; the answer that says so has not been taken for sending.
    Sending(Authenticated),
}

impl Auth {
    pub(super) fn server(with: &Arc<ServerAuthentication>) -> Self {
        Auth::Server {
            auth: ServerAuth::new(with.mode()),
            secrets: Arc::clone(with),
        }
    }

    pub(super) fn client(with: &ClientAuthentication) -> Self {
        Auth::Client(ClientAuth::new(
            with.mode(),
            with.app_id(),
            with.secret().clone(),
        ))
    }
}

/// Randomness of the kernel, partly buffered.
pub(super) struct Entropy {
    bytes: [u8; 256],
    used: usize,
}

impl Entropy {
    /// # Errors
    /// If the kernel returns none.
    pub(super) fn gather() -> std::io::Result<Self> {
        let mut bytes = [0; 256];
        fill(&mut bytes)?;
        Ok(Self { bytes, used: 0 })
    }
}

fn fill(mut out: &mut [u8]) -> std::io::Result<()> {
    while !out.is_empty() {
        match rustix::rand::getrandom(&mut *out, rustix::rand::GetRandomFlags::empty()) {
            Ok(count) => out = &mut out[count..],
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

impl Random for Entropy {
    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            while self.used == self.bytes.len() {
                // The kernel has returned randomness before, so the failure is temporary;
                // continuing without is not an option.
                if fill(&mut self.bytes).is_ok() {
                    self.used = 0;
                }
            }
            *byte = std::mem::take(&mut self.bytes[self.used]);
            self.used += 1;
        }
    }
}

impl Conn {
    /// The connecting side sends first.
    pub(super) fn begin_auth(self: &Rc<Self>) {
        let Some(side) = self.spark() else { return };
        let mut auth = side.auth.borrow_mut();
        let Some(Auth::Client(client)) = auth.as_mut() else {
            return;
        };
        let mut body = Vec::new();
        let begun = Entropy::gather()
            .map_err(CloseReason::Io)
            .and_then(|mut random| {
                let started = client.start(&mut random, &mut body);
                started.map_err(|error| CloseReason::Authentication(error.to_string()))
            });
        drop(auth);
        match begun {
            Ok(()) => self.say_auth(&body),
            Err(reason) => self.close(reason),
        }
    }

    /// Sends the next RPC of the handshake.
    fn say_auth(&self, body: &[u8]) {
        let request = RpcRequest { request_id: 0 };
        self.say_plain(request.head(body.len() as u64).ok(), body);
    }

    fn say_plain(&self, head: Option<[u8; 21]>, body: &[u8]) {
        let pool = &self.local.pool;
        let written = head.map(|head| self.tx.borrow_mut().plain(pool, &head, body, false));
        self.mark_dirty();
        if !matches!(written, Some(Ok(()))) {
            self.out_of_memory();
        }
    }

    /// True if only the head of a frame is to be read: the frame is too long for a handshake.
    pub(crate) fn is_too_long_for_auth(head: &Head<'_>) -> bool {
        head.body_len > MAX_HANDSHAKE_LEN as u64
    }

    /// A complete frame of a peer that has not authenticated.
    pub(crate) fn on_auth_frame(
        self: &Rc<Self>,
        side: &SparkState,
        head: &Head<'_>,
        body: &[u8],
    ) -> Handled {
        let client = matches!(&*side.auth.borrow(), Some(Auth::Client(_)));
        match client {
            true => self.on_auth_answer(side, &head.frame, body),
            false => self.on_auth_request(side, &head.frame, body),
        }
    }

    fn on_auth_request(
        self: &Rc<Self>,
        side: &SparkState,
        frame: &Frame<'_>,
        body: &[u8],
    ) -> Handled {
        let Frame::RpcRequest(request) = frame else {
            return self.refuse_unauthenticated(side, frame);
        };
        let request_id = request.request_id;
        let mut place = side.auth.borrow_mut();
        let Some(Auth::Server { auth, secrets }) = place.as_mut() else {
            return Err(unauthenticated("bytes between a handshake and its answer"));
        };
        let mut reply = Vec::new();
        let mut random = Entropy::gather().map_err(|error| Box::new(CloseReason::Io(error)))?;
        let look_up = |app_id: &str| -> Option<Secret> { secrets.secret_of(app_id) };
        let step = auth.receive(body, &look_up, &mut random, &mut reply);
        let done = match step {
            Ok(ServerStep::Reply) => None,
            Ok(ServerStep::Done(authenticated)) => Some(authenticated),
            Err(error) => {
                drop(place);
                return self.refuse_auth(side, request_id, &error);
            }
        };
        if let Some(authenticated) = done {
            *place = Some(Auth::Sending(authenticated));
        }
        drop(place);
        let head = RpcResponse { request_id }.head(reply.len() as u64).ok();
        self.say_plain(head, &reply);
        Ok(())
    }

    /// Called when the send that carries the handshake's answer is taken: the peer is authenticated
    /// from here on.
    pub(super) fn note_auth_sent(self: &Rc<Self>, side: &SparkState) {
        let mut place = side.auth.borrow_mut();
        match place.take() {
            Some(Auth::Sending(authenticated)) => {
                drop(place);
                self.authenticated(side, authenticated);
            }
            other => *place = other,
        }
    }

    fn authenticated(self: &Rc<Self>, side: &SparkState, authenticated: Authenticated) {
        if !self.is_client {
            self.set_client_id(&authenticated.app_id);
        }
        if let Some(records) = authenticated.records {
            *side.sealer.borrow_mut() = Some(records.sealer);
            *side.opener.borrow_mut() = Some(records.opener);
            side.fresh.set(self.is_client);
        }
        self.open_spark();
    }

    fn refuse_auth(
        self: &Rc<Self>,
        side: &SparkState,
        request_id: i64,
        error: &AuthError,
    ) -> Handled {
        self.local.metrics.errors(ErrorKind::Auth).increment();
        tracing::warn!(target: "ringrail::conn", peer = %self.peer, %error, "authentication refused");
        let failure = RpcFailure::new(FailureCode::Internal, error.peer_text());
        let id = side.asked.borrow_mut().enter(WireId::Rpc { request_id });
        self.answer_spark_failure(side, id, &failure);
        match error.keeps_connection() {
            true => Ok(()),
            false => Err(unauthenticated(&error.to_string())),
        }
    }

    /// No request is served before the handshake (Spark's server serves chunks and streams to any
    /// peer).
    #[cold]
    fn refuse_unauthenticated(self: &Rc<Self>, side: &SparkState, frame: &Frame<'_>) -> Handled {
        self.local.metrics.errors(ErrorKind::Auth).increment();
        let asking = match frame {
            Frame::ChunkFetchRequest(request) => WireId::Chunk {
                stream_id: request.stream_id,
                index: request.chunk_index,
            },
            Frame::StreamRequest(request) => WireId::Stream {
                name: request.stream_id.into(),
            },
            Frame::MergedBlockMetaRequest(request) => WireId::Rpc {
                request_id: request.request_id,
            },
            Frame::UploadStream(upload) => {
                let request_id = upload.request_id;
                let refused = self.refuse_auth(side, request_id, &AuthError::ExpectedSasl);
                // Its body is not awaited.
                return refused.and(Err(unauthenticated("an upload before the handshake")));
            }
            // One-way messages have no answer.
            Frame::OneWayMessage(_) => return Ok(()),
            other => {
                let text = format!("a {} before the handshake", other.kind());
                return Err(unauthenticated(&text));
            }
        };
        let id = side.asked.borrow_mut().enter(asking);
        let text = AuthError::ExpectedSasl.peer_text();
        let failure = RpcFailure::new(FailureCode::Unauthorized, text);
        self.answer_spark_failure(side, id, &failure);
        Ok(())
    }

    fn on_auth_answer(
        self: &Rc<Self>,
        side: &SparkState,
        frame: &Frame<'_>,
        body: &[u8],
    ) -> Handled {
        let mut place = side.auth.borrow_mut();
        let Some(Auth::Client(client)) = place.as_mut() else {
            return Ok(());
        };
        let mut next = Vec::new();
        let mut random = Entropy::gather().map_err(|error| Box::new(CloseReason::Io(error)))?;
        let step = match frame {
            Frame::RpcResponse(_) => client.receive(body, &mut random, &mut next),
            Frame::RpcFailure(failure) => client.failed(failure.error, &mut next),
            other => {
                let text = format!("a {} in the handshake", other.kind());
                return Err(unauthenticated(&text));
            }
        };
        match step {
            Ok(ClientStep::Send) => {
                drop(place);
                self.say_auth(&next);
                Ok(())
            }
            Ok(ClientStep::Done(authenticated)) => {
                *place = None;
                drop(place);
                self.authenticated(side, authenticated);
                Ok(())
            }
            Err(error) => {
                self.local.metrics.errors(ErrorKind::Auth).increment();
                Err(unauthenticated(&error.to_string()))
            }
        }
    }

    /// The close reason for an end of stream during a client's handshake, if it is more specific
    /// than a plain end.
    #[cold]
    pub(in crate::shard::conn) fn auth_end_reason(&self) -> Option<CloseReason> {
        let auth = self.spark()?.auth.borrow();
        let Some(Auth::Client(client)) = auth.as_ref() else {
            return None;
        };
        let error = client.ended()?;
        self.local.metrics.errors(ErrorKind::Auth).increment();
        Some(CloseReason::Authentication(error.to_string()))
    }

    /// A frame too long for a handshake, of a peer that has not authenticated.
    #[cold]
    pub(crate) fn refuse_long_auth(
        self: &Rc<Self>,
        side: &SparkState,
        head: &Head<'_>,
    ) -> CloseReason {
        if let Frame::RpcRequest(request) = &head.frame
            && self.phase() == Phase::Opening
        {
            // The connection ends whether or not the refusal can be sent.
            let _ = self.refuse_auth(side, request.request_id, &AuthError::ExpectedSasl);
        }
        let kind: Kind = head.frame.kind();
        CloseReason::Authentication(format!(
            "a {kind} of {} bytes before the handshake, where {MAX_HANDSHAKE_LEN} are allowed",
            head.body_len
        ))
    }
}

fn unauthenticated(text: &str) -> Box<CloseReason> {
    Box::new(CloseReason::Authentication(text.to_owned()))
}
