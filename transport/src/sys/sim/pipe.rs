//! One direction of a connection: send buffer, bytes under way, receive buffer.
//!
//! All three are ranges of one queue of bytes, so a byte is copied in once and out once:
//!
//! ```text
//! front | received, not read | under way (segments) | accepted, not sent | back
//! ```
//!
//! The sender's buffer holds what is not yet received (as TCP's does until the acknowledgement);
//! no more is under way than the receiver has room for.

use std::collections::VecDeque;

/// The position of the end of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fin {
    None,
    /// The sender has ended; unread bytes may precede the end.
    Queued,
    Sent,
    Arrived,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    Bytes(usize),
    Fin,
}

#[derive(Debug)]
pub(super) struct Pipe {
    bytes: VecDeque<u8>,
    received: usize,
    under_way: usize,
    segments: VecDeque<Segment>,
    fin: Fin,
    send_room: usize,
    recv_room: usize,
    /// Bytes sent in all.
    pub(super) sent: u64,
    /// When the link has sent what it was given.
    pub(super) busy_until_ns: u64,
    /// When the last segment under way arrives.
    pub(super) last_arrival_ns: u64,
}

impl Pipe {
    pub(super) fn new(send_buffer_len: usize, recv_buffer_len: usize) -> Self {
        Self {
            bytes: VecDeque::new(),
            received: 0,
            under_way: 0,
            segments: VecDeque::new(),
            fin: Fin::None,
            send_room: send_buffer_len.max(1),
            recv_room: recv_buffer_len.max(1),
            sent: 0,
            busy_until_ns: 0,
            last_arrival_ns: 0,
        }
    }

    pub(super) fn set_send_buffer_len(&mut self, len: usize) {
        self.send_room = len.max(1);
    }

    pub(super) fn set_recv_buffer_len(&mut self, len: usize) {
        self.recv_room = len.max(1);
    }

    fn unsent(&self) -> usize {
        self.bytes.len() - self.received - self.under_way
    }

    /// Bytes that the sender's buffer still takes.
    pub(super) fn room(&self) -> usize {
        self.send_room
            .saturating_sub(self.bytes.len() - self.received)
    }

    /// Bytes that the sender's buffer takes of `wanted`. As in the kernel: while segments are under
    /// way, a sender is not woken for a little room.
    pub(super) fn room_for(&self, wanted: usize) -> usize {
        let room = self.room();
        if self.under_way > 0 && room < wanted.min(self.send_room / 3) {
            return 0;
        }
        room.min(wanted)
    }

    /// Takes bytes from the sender, who looked at [`room`](Self::room).
    pub(super) fn write(&mut self, bytes: &[u8]) {
        debug_assert!(bytes.len() <= self.room());
        self.bytes.extend(bytes);
    }

    /// The sender has no more.
    pub(super) fn finish(&mut self) {
        self.fin = self.fin.max(Fin::Queued);
    }

    /// Sends the next segment, of at most `limit` bytes; `None` where there is nothing to send or
    /// no room for it.
    pub(super) fn send(&mut self, limit: usize) -> Option<Segment> {
        if self.unsent() == 0 {
            if self.fin != Fin::Queued {
                return None;
            }
            self.fin = Fin::Sent;
            self.segments.push_back(Segment::Fin);
            return Some(Segment::Fin);
        }
        let window = self
            .recv_room
            .saturating_sub(self.received + self.under_way);
        // As TCP: while segments are under way, a window that is hardly open is not used.
        let silly = window < self.recv_room / 4 && self.unsent() > window;
        let len = self.unsent().min(window).min(limit);
        if len == 0 || (silly && self.under_way > 0) {
            return None;
        }
        self.under_way += len;
        self.sent += len as u64;
        self.segments.push_back(Segment::Bytes(len));
        Some(Segment::Bytes(len))
    }

    /// The oldest segment under way is there; `None` where it was dropped meanwhile.
    pub(super) fn arrive(&mut self) -> Option<Segment> {
        let segment = self.segments.pop_front()?;
        match segment {
            Segment::Bytes(len) => {
                self.under_way -= len;
                self.received += len;
            }
            Segment::Fin => self.fin = Fin::Arrived,
        }
        Some(segment)
    }

    /// Bytes that have arrived in all.
    pub(super) fn arrived(&self) -> u64 {
        self.sent - self.under_way as u64
    }

    /// True where some that were written have not arrived.
    pub(super) fn is_pending(&self) -> bool {
        self.bytes.len() > self.received
    }

    /// Bytes that can be read.
    pub(super) fn readable(&self) -> usize {
        self.received
    }

    /// True where everything was read and no more will come.
    pub(super) fn at_end(&self) -> bool {
        self.received == 0 && self.fin == Fin::Arrived
    }

    /// True where the end of the stream has arrived, read or not.
    pub(super) fn has_ended(&self) -> bool {
        self.fin == Fin::Arrived
    }

    /// Fills `into`, which is no longer than what is [`readable`](Self::readable).
    pub(super) fn read(&mut self, into: &mut [u8]) {
        debug_assert!(into.len() <= self.received);
        let (front, back) = self.bytes.as_slices();
        let first = front.len().min(into.len());
        let (head, tail) = into.split_at_mut(first);
        head.copy_from_slice(&front[..first]);
        tail.copy_from_slice(&back[..tail.len()]);
        self.bytes.drain(..into.len());
        self.received -= into.len();
    }

    /// Drops what has not been sent.
    pub(super) fn drop_unsent(&mut self) {
        self.bytes.truncate(self.received + self.under_way);
    }

    /// Drops everything that has not arrived.
    pub(super) fn cut_off(&mut self) {
        self.bytes.truncate(self.received);
        self.segments.clear();
        self.under_way = 0;
    }

    /// Drops everything.
    pub(super) fn clear(&mut self) {
        self.received = 0;
        self.cut_off();
        self.bytes = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pipe: &mut Pipe, len: usize) -> Vec<u8> {
        let mut into = vec![0; len];
        pipe.read(&mut into);
        into
    }

    #[test]
    fn both_buffers_bound_what_is_under_way() {
        let mut pipe = Pipe::new(10, 4);
        assert_eq!(pipe.room(), 10);
        pipe.write(b"0123456789");
        assert_eq!(pipe.room(), 0);
        assert_eq!(pipe.send(3), Some(Segment::Bytes(3)));
        assert_eq!(pipe.send(3), Some(Segment::Bytes(1)), "the window is 4");
        assert_eq!(pipe.send(3), None);
        assert_eq!(pipe.arrive(), Some(Segment::Bytes(3)));
        assert_eq!((pipe.readable(), pipe.room()), (3, 3));
        assert_eq!(pipe.send(9), None, "received bytes hold the window");
        assert_eq!(read(&mut pipe, 2), b"01");
        assert_eq!(pipe.send(9), Some(Segment::Bytes(2)));
    }

    #[test]
    fn a_little_room_is_not_used_while_more_will_come() {
        let mut pipe = Pipe::new(12, 12);
        pipe.write(b"0123456789");
        assert_eq!(pipe.room_for(9), 2, "nothing is under way");
        pipe.send(5);
        assert_eq!(pipe.room_for(9), 0);
        assert_eq!(pipe.room_for(2), 2, "it is all that is left");
        pipe.arrive();
        assert_eq!(pipe.room_for(9), 7);
    }

    #[test]
    fn the_end_comes_after_the_last_byte() {
        let mut pipe = Pipe::new(10, 10);
        pipe.write(b"ab");
        pipe.finish();
        assert_eq!(pipe.send(1), Some(Segment::Bytes(1)));
        assert_eq!(pipe.send(9), Some(Segment::Bytes(1)));
        assert_eq!(pipe.send(9), Some(Segment::Fin));
        assert_eq!(pipe.send(9), None);
        while pipe.arrive().is_some() {}
        assert!(pipe.has_ended() && !pipe.at_end());
        assert_eq!(read(&mut pipe, 2), b"ab");
        assert!(pipe.at_end());
    }

    #[test]
    fn what_has_not_arrived_can_be_lost() {
        let mut pipe = Pipe::new(10, 10);
        pipe.write(b"abcdef");
        pipe.send(2);
        pipe.send(2);
        pipe.arrive();
        pipe.cut_off();
        assert_eq!(pipe.arrive(), None);
        assert_eq!(pipe.readable(), 2);
        assert_eq!(read(&mut pipe, 2), b"ab");
    }
}
