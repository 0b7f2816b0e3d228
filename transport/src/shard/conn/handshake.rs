//! From a connected socket to a connection that carries frames: the Hello of both sides.

use std::rc::Rc;
use std::time::Duration;

use ringrail_codec::native::{
    ClientHandshake, HandshakeError, HandshakeStep, HelloError, ServerHandshake, Sniff, Terms,
};

use crate::conf::TransportConf;
use crate::error::CloseReason;
use crate::metrics::ErrorKind;
use crate::shard::conn::user::Connection;
use crate::shard::local::TimerFor;
use crate::sys::socket::Addr;

use crate::conn::lifecycle::{Lifecycle, Phase};
use crate::conn::wire::Wire;

use super::{Conn, PeerTerms};

/// Longest Hello or refusal that this side writes, in bytes.
const HELLO_ROOM: usize = 4096;

/// The state of the handshake.
#[derive(Debug)]
pub(crate) enum Handshake {
    /// This side connected.
    Client(ClientHandshake),
    /// This side accepted.
    Server(ServerHandshake),
}

fn terms_of(conf: &TransportConf, peer: &Addr) -> Terms {
    let idle = if conf.close_idle {
        conf.connection_timeout
    } else {
        Duration::ZERO
    };
    Terms {
        want_crc: conf.checksum.is_wanted(peer),
        idle_timeout_ms: u32::try_from(idle.as_millis()).unwrap_or(u32::MAX),
        ..Terms::new(&conf.limits)
    }
}

impl Conn {
    /// Limits the time until the connection is open.
    pub(crate) fn arm_opening_timer(&self, after: Duration) {
        if let Some(timer) = self.opening_timer.take() {
            self.local.cancel_timer(timer);
        }
        let timer = self.local.set_timer(after, TimerFor::Opening(self.key));
        self.opening_timer.set(timer.map(|(key, _)| key));
    }

    pub(crate) fn on_opening_timer(&self) {
        self.opening_timer.set(None);
        if self.phase() != Phase::Opening {
            return;
        }
        let conf = &self.local.conf;
        self.close(match *self.handshake.borrow() {
            None if self.wire() == Wire::Native => CloseReason::ConnectTimeout {
                after: conf.connect_timeout,
            },
            _ => CloseReason::HandshakeTimeout {
                after: conf.handshake_timeout,
            },
        });
    }

    /// The socket is connected (or accepted): the handshake begins.
    pub(crate) fn begin_handshake(self: &Rc<Self>) {
        let conf = &self.local.conf;
        self.arm_opening_timer(conf.handshake_timeout);
        if self.is_spark_from_the_start() {
            return self.speak_spark();
        }
        let terms = terms_of(conf, &self.peer);
        let handshake = if self.is_client {
            let mut client = ClientHandshake::new(terms, conf.limits);
            let mut hello = [0; HELLO_ROOM];
            match client.hello(&[], &mut hello) {
                Ok(len) => self.write_raw(&hello[..len]),
                Err(error) => return self.close(CloseReason::Handshake(error.to_string())),
            }
            Handshake::Client(client)
        } else {
            Handshake::Server(ServerHandshake::new(terms, conf.limits))
        };
        *self.handshake.borrow_mut() = Some(handshake);
    }

    fn write_raw(&self, bytes: &[u8]) {
        if self.tx.borrow_mut().raw(&self.local.pool, bytes).is_err() {
            return self.out_of_memory();
        }
        self.mark_dirty();
    }

    /// Reads the peer's Hello at the front of `bytes`; returns the number of bytes it took, or the
    /// number that must be there before it can be read.
    pub(crate) fn on_hello(self: &Rc<Self>, bytes: &[u8]) -> Result<HelloRead, Box<CloseReason>> {
        match self.sniffs_spark(bytes) {
            Some(false) => {}
            Some(true) => {
                *self.handshake.borrow_mut() = None;
                self.speak_spark();
                return Ok(HelloRead::Spark);
            }
            None => return Ok(HelloRead::NeedMore(Sniff::DECIDES_AT.min(bytes.len() + 1))),
        }
        let mut place = self.handshake.borrow_mut();
        let Some(handshake) = place.as_mut() else {
            return Err(Box::new(CloseReason::Misbehaved(
                "bytes before the handshake".into(),
            )));
        };
        let step = match handshake {
            Handshake::Client(client) => client.receive(bytes),
            Handshake::Server(server) => server.receive(bytes),
        };
        let (negotiated, consumed) = match step {
            Ok(HandshakeStep::NeedMore { at_least }) => {
                return Ok(HelloRead::NeedMore(at_least));
            }
            Ok(HandshakeStep::Hello {
                negotiated,
                consumed,
                ..
            }) => {
                assert!(consumed <= bytes.len(), "a Hello longer than what has come");
                (negotiated, consumed)
            }
            Err(error) => {
                drop(place);
                return Err(self.refuse(&error));
            }
        };
        if let Handshake::Server(server) = handshake {
            let mut hello = [0; HELLO_ROOM];
            let (len, _) = server
                .accept(&[], &mut hello)
                .map_err(|error| Box::new(CloseReason::Handshake(error.to_string())))?;
            self.write_raw(&hello[..len]);
        }
        *place = None;
        drop(place);
        self.open(negotiated.into());
        Ok(HelloRead::Done(consumed))
    }

    /// Sends the reason to a peer that cannot be served, in the peer's own protocol if it is known.
    #[cold]
    fn refuse(&self, error: &HandshakeError) -> Box<CloseReason> {
        let kind = match error {
            HandshakeError::Hello(HelloError::NotNative(Sniff::Refusal)) => ErrorKind::Version,
            HandshakeError::Hello(HelloError::NotNative(_)) => ErrorKind::ForeignProtocol,
            _ => ErrorKind::Version,
        };
        self.local.metrics.errors(kind).increment();
        self.local.metrics.connections_refused.increment();
        tracing::warn!(target: "ringrail::conn", peer = %self.peer, %error, "handshake refused");
        let reason = Box::new(CloseReason::Handshake(error.to_string()));
        if !self.is_client {
            let mut text = [0; HELLO_ROOM];
            if let Ok(len) = error.write_refusal(&mut text)
                && len > 0
            {
                self.write_raw(&text[..len]);
                self.close_after_flush(CloseReason::Handshake(error.to_string()));
            }
        }
        reason
    }

    pub(super) fn open(self: &Rc<Self>, terms: PeerTerms) {
        self.terms.set(terms);
        self.step(Lifecycle::open);
        self.active
            .store(true, std::sync::atomic::Ordering::Release);
        if let Some(timer) = self.opening_timer.take() {
            self.local.cancel_timer(timer);
        }
        self.arm_keepalive_timer();
        tracing::debug!(target: "ringrail::conn", peer = %self.peer, "connection open");
        let handler = self.handler();
        let connection = Connection::new(Rc::clone(self));
        self.guarded(|| handler.channel_active(&connection));
        let opened = self.opened.borrow_mut().take();
        if let Some(opened) = opened
            && opened.send(Ok(self.live())).is_err()
        {
            // The caller has dropped its future.
            self.close_after_flush(CloseReason::Local);
        }
        if self.local.draining.get() {
            self.drain("this side is shutting down");
        }
    }
}

/// The result of [`Conn::on_hello`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HelloRead {
    /// The Hello took this many bytes; the connection is open.
    Done(usize),
    /// No Hello: the peer speaks Spark's protocol, and this connection permits it.
    Spark,
    /// It needs at least this many bytes.
    NeedMore(usize),
}
