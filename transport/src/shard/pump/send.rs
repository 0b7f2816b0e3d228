//! Sends: one in flight per connection, and file reads for the bodies that need them.

use std::rc::Rc;

use crate::conn::lifecycle::Phase;
use crate::error::CloseReason;
use crate::shard::conn::Conn;
use crate::shard::conn::compose::{BULK_LEN, Outgoing};
use crate::shard::local::ConnKey;
use crate::sys::driver::{Completion, Driver, Op, Payload, is_passing};

use super::files::ReadOrder;
use super::token::For;
use super::{Pump, ring_full};

impl<D: Driver> Pump<D> {
    /// Posts the sends of a connection; removes the connection if it has ended.
    pub(super) fn service(&mut self, key: ConnKey) {
        self.post_or_end(key);
        self.await_send(key);
    }

    /// Makes the next park return with the send in flight, if the connection waits for its end. A park
    /// counts a short send as done when it is submitted, and would wait for a further completion,
    /// which may never arrive: the peer may be waiting for the data after that send.
    fn await_send(&mut self, key: ConnKey) {
        let Some(link) = self.link_of(key).filter(|link| link.send.is_some()) else {
            return;
        };
        let conn = &link.conn;
        let is_last = conn.phase() == Phase::Open && conn.is_flushed();
        if !is_last || link.rx.is_backpressured() || conn.can_serve_queued() {
            self.driver.return_at_first();
        }
    }

    fn post_or_end(&mut self, key: ConnKey) {
        let Some(link) = self.link_of(key) else {
            return;
        };
        let conn = Rc::clone(&link.conn);
        conn.clear_dirty();
        conn.finish_drain();
        if conn.phase() == Phase::Flushing && link.connect.is_some() {
            conn.close(CloseReason::Local);
        }
        if conn.phase() == Phase::Closed {
            return self.take_down(key);
        }
        if link.connect.is_some() {
            return;
        }
        if link.send.is_none() {
            self.post_send(key, &conn);
        }
        if conn.phase() == Phase::Flushing && conn.is_flushed() {
            return self.half_close(key, &conn);
        }
        let link = self.link_of(key);
        let goes_on = link.is_some_and(|link| link.rx.is_backpressured()) && !conn.is_blocked();
        if goes_on || conn.can_serve_queued() {
            return self.resume(key);
        }
        self.post_receive(key);
    }

    /// The send queue is empty: shuts down the write half once everything has left, and waits for
    /// the peer to shut down its own.
    pub(super) fn half_close(&mut self, key: ConnKey, conn: &Rc<Conn>) {
        let Some(Some(link)) = self.links.get_mut(key.slot as usize) else {
            return;
        };
        if link.send.is_none() {
            if link.peer_ended {
                conn.close(CloseReason::Local);
                return self.take_down(key);
            }
            if !std::mem::replace(&mut link.write_closed, true) {
                self.driver.shutdown(link.sock, false);
            }
        }
        self.post_receive(key);
    }

    pub(super) fn post_send(&mut self, key: ConnKey, conn: &Rc<Conn>) {
        debug_assert!(
            self.link_of(key).is_none_or(|link| link.send.is_none()),
            "one send at a time, or their bytes interleave"
        );
        let outgoing = self.compose(conn);
        if outgoing.is_bulk() || !self.reads.is_empty() {
            self.suppress_moderation();
        }
        self.post_reads(key);
        let Some(Some(link)) = self.links.get_mut(key.slot as usize) else {
            return;
        };
        let op = match outgoing {
            Outgoing::Nothing => return,
            Outgoing::Gather(gather) => {
                conn.send_began(gather.remaining());
                Op::Send {
                    sock: link.sock,
                    gather,
                    more: false,
                }
            }
            Outgoing::File {
                head,
                range,
                padding,
            } => {
                link.file_send_len = Some(head.remaining() + range.len + padding);
                let (offset, len) = (range.offset, range.len);
                Op::SendFile {
                    sock: link.sock,
                    head,
                    file: range.file,
                    offset,
                    len,
                    padding,
                }
            }
        };
        self.local.metrics.sends.increment();
        match self.driver.submit(For::Send(key).token(), op) {
            Ok(op) => link.send = Some(op),
            Err(_) => conn.close(ring_full()),
        }
    }

    pub(super) fn post_reads(&mut self, key: ConnKey) {
        for order in std::mem::take(&mut self.reads) {
            let ReadOrder {
                body: transfer,
                range,
                into,
            } = order;
            let (file, offset, len) = (range.file, range.offset, range.len);
            let op = Op::Read {
                file,
                offset,
                buf: into,
                at: 0,
                len,
            };
            let Some(Some(link)) = self.links.get_mut(key.slot as usize) else {
                return;
            };
            match self.driver.submit(For::Read(key).token(), op) {
                Ok(op) => link.reads.push((op, transfer)),
                Err(_) => link.conn.close(ring_full()),
            }
        }
    }

    pub(super) fn sent(&mut self, key: ConnKey, done: Completion) {
        let Some(link) = self.link_of(key) else {
            return;
        };
        link.send = None;
        let file_len = link.file_send_len.take();
        let conn = Rc::clone(&link.conn);
        let outcome = done.outcome();
        if done.result > BULK_LEN as i32 {
            self.suppress_moderation();
        }
        let Payload::Gather(mut gather) = done.payload else {
            return;
        };
        if conn.phase() == Phase::Closed {
            conn.mark_dirty();
            return;
        }
        match outcome {
            Ok(count) => {
                conn.local.metrics.bytes_out.add(count as u64);
                conn.note_sent();
                if let Some(expected) = file_len {
                    return self.file_sent(key, &conn, gather, count, expected);
                }
                gather.advance(count.min(gather.remaining()));
                if gather.remaining() > 0 {
                    return self.continue_send(key, &conn, gather);
                }
                conn.send_ended();
                conn.gather_sent(gather);
            }
            // A file transfer cannot be resumed: the number of bytes sent is unknown.
            Err(error) if is_passing(&error) && file_len.is_none() => {
                return self.continue_send(key, &conn, gather);
            }
            Err(error) if error.raw_os_error() == Some(libc::EFAULT) => {
                conn.close(CloseReason::FileShortened);
                return;
            }
            Err(error) => {
                conn.fail(CloseReason::Io(error));
                return;
            }
        }
        self.service(key);
    }

    /// The rest of a short send.
    pub(super) fn continue_send(
        &mut self,
        key: ConnKey,
        conn: &Rc<Conn>,
        gather: crate::buf::Gather,
    ) {
        let Some(link) = self.link_of(key) else {
            return;
        };
        let op = Op::Send {
            sock: link.sock,
            gather,
            more: false,
        };
        match self.driver.submit(For::Send(key).token(), op) {
            Ok(op) => {
                if let Some(link) = self.link_of(key) {
                    link.send = Some(op);
                }
                self.await_send(key);
            }
            Err(_) => conn.close(ring_full()),
        }
    }

    pub(super) fn file_sent(
        &mut self,
        key: ConnKey,
        conn: &Rc<Conn>,
        gather: crate::buf::Gather,
        count: usize,
        expected: usize,
    ) {
        if count < expected {
            // The header has promised more bytes than the file has now: the stream cannot continue.
            conn.close(CloseReason::FileShortened);
            return;
        }
        let body = count - gather.total();
        conn.local.metrics.bytes_out_sendfile.add(body as u64);
        conn.gather_sent(gather);
        self.after_send(key, conn);
    }

    pub(super) fn after_send(&mut self, key: ConnKey, conn: &Rc<Conn>) {
        // The common case: an answer has left, nothing else is queued, and no waiter depends on it.
        let backpressured = self
            .link_of(key)
            .is_some_and(|link| link.rx.is_backpressured());
        let done = conn.phase() == Phase::Open && conn.is_flushed();
        if !done || backpressured || conn.can_serve_queued() {
            self.service(key);
        }
    }

    pub(super) fn read(&mut self, key: ConnKey, done: Completion) {
        let Some(link) = self.link_of(key) else {
            return;
        };
        let Some(at) = link.reads.iter().position(|&(op, _)| op == done.key) else {
            return;
        };
        let (_, transfer) = link.reads.swap_remove(at);
        let conn = Rc::clone(&link.conn);
        let outcome = done.outcome();
        let Payload::Buffer(buf) = done.payload else {
            return;
        };
        conn.file_read(transfer, buf, outcome);
        conn.mark_dirty();
    }
}
