//! A scripted peer that sends arbitrary bytes, valid or not.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::buf::Pool;
use crate::sys::driver::{Driver, Listening, Op, OpKey, Payload, Sock, is_passing};
use crate::sys::socket::{Addr, ListenSpec, SocketSpec};

/// Its driver, one socket, and what went over it.
pub(super) struct Raw<D> {
    pub(super) index: usize,
    pub(super) driver: D,
    pool: Pool,
    listener: Option<Sock>,
    sock: Option<Sock>,
    connected: bool,
    to_send: VecDeque<Bytes>,
    sending: bool,
    /// Receives what comes.
    pub(super) listens: bool,
    receiving: bool,
    in_flight: Vec<OpKey>,
    /// The received bytes.
    pub(super) received: Vec<u8>,
    /// Number of bytes parsed so far, as Hello and frames.
    pub(super) taken: usize,
    /// The peer has closed the connection, or it failed.
    pub(super) ended: bool,
    closing: bool,
}

impl<D: Driver> Raw<D> {
    pub(super) fn new(index: usize, driver: D) -> Self {
        Self {
            index,
            driver,
            pool: Pool::new(8 << 20, 0),
            listener: None,
            sock: None,
            connected: false,
            to_send: VecDeque::new(),
            sending: false,
            listens: true,
            receiving: false,
            in_flight: Vec::new(),
            received: Vec::new(),
            taken: 0,
            ended: false,
            closing: false,
        }
    }

    fn submit(&mut self, op: Op) {
        let key = self.driver.submit(0, op).expect("room in the table");
        self.in_flight.push(key);
    }

    pub(super) fn connect(&mut self, addr: &Addr) {
        let sock = self.driver.socket(addr, &SocketSpec::default());
        let sock = sock.expect("a socket");
        self.sock = Some(sock);
        self.submit(Op::Connect {
            sock,
            addr: addr.clone(),
        });
    }

    /// Accepts one connection.
    pub(super) fn listen(&mut self, addr: &str) -> Addr {
        let spec = ListenSpec::new(addr.parse().expect("an address"));
        let listened = self.driver.listen(Listening::Spec(spec));
        let (listener, addr) = listened.expect("a free port");
        self.listener = Some(listener);
        self.submit(Op::Accept { listener });
        addr
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connected
    }

    pub(super) fn send(&mut self, bytes: impl Into<Bytes>) {
        self.to_send.push_back(bytes.into());
        self.go_on();
    }

    /// Sends no more; what the peer says is still received.
    pub(super) fn end_sending(&mut self) {
        if let Some(sock) = self.sock {
            self.driver.shutdown(sock, false);
        }
    }

    /// Everything given to [`send`](Self::send) is in the socket.
    pub(super) fn has_sent(&self) -> bool {
        self.to_send.is_empty() && !self.sending
    }

    pub(super) fn close(&mut self) {
        self.closing = true;
        for key in self.in_flight.clone() {
            self.driver.cancel(key);
        }
        if let Some(sock) = self.sock {
            self.driver.shutdown(sock, true);
        }
        self.close_what_is_quiet();
    }

    fn close_what_is_quiet(&mut self) {
        if self.closing && self.in_flight.is_empty() {
            for sock in [self.sock.take(), self.listener.take()]
                .into_iter()
                .flatten()
            {
                self.driver.close(sock);
            }
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.in_flight.is_empty() && self.sock.is_none() && self.listener.is_none()
    }

    /// Posts what is to be posted.
    pub(super) fn go_on(&mut self) {
        self.driver.refill(&self.pool);
        let Some(sock) = self.sock.filter(|_| self.connected && !self.closing) else {
            return;
        };
        if self.listens && !self.receiving && !self.ended {
            self.receiving = true;
            self.submit(Op::RecvMulti { sock });
        }
        if !self.sending
            && let Some(bytes) = self.to_send.pop_front()
        {
            let mut gather = self.pool.gather(64).expect("memory");
            gather.put_body(bytes.into());
            self.sending = true;
            let more = false;
            self.submit(Op::Send { sock, gather, more });
        }
    }

    /// Takes completions; true where there were some.
    pub(super) fn turn(&mut self) -> bool {
        let mut worked = false;
        while let Some(done) = self.driver.next() {
            worked = true;
            if !done.more {
                self.in_flight.retain(|key| *key != done.key);
            }
            let outcome = done.outcome();
            match done.payload {
                Payload::Accepted { sock, .. } if self.sock.is_none() && !self.closing => {
                    self.sock = Some(sock);
                    self.connected = true;
                }
                Payload::Accepted { sock, .. } => self.driver.close(sock),
                Payload::Received(lease) => {
                    self.received.extend_from_slice(lease.as_slice());
                    self.receiving = done.more;
                }
                Payload::Gather(mut gather) => {
                    self.sending = false;
                    let count = match outcome {
                        Err(error) if is_passing(&error) => Some(0),
                        outcome => outcome.ok(),
                    };
                    if let Some(count) = count {
                        gather.advance(count);
                        self.send_rest(gather);
                    }
                }
                Payload::None if !self.connected => match self.listener.filter(|_| !self.closing) {
                    Some(listener) => self.submit(Op::Accept { listener }),
                    None => self.connected = outcome.is_ok(),
                },
                Payload::None if self.receiving && !done.more => {
                    self.receiving = false;
                    self.ended |= !matches!(outcome, Err(error) if is_passing(&error));
                }
                Payload::None | Payload::Buffer(_) => {}
            }
        }
        if worked {
            self.go_on();
            self.close_what_is_quiet();
        }
        worked
    }

    fn send_rest(&mut self, gather: crate::buf::Gather) {
        let Some(sock) = self
            .sock
            .filter(|_| gather.remaining() > 0 && !self.closing)
        else {
            return;
        };
        self.sending = true;
        let more = false;
        self.submit(Op::Send { sock, gather, more });
    }
}
