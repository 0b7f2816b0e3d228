//! Bytes on their way: sends into the send buffer, segments over the link, receives out of the
//! receive buffer.

use std::io;
use std::os::unix::fs::FileExt;

use crate::buf::LeaseMut;
use crate::sys::driver::{OpKey, Payload};

use super::conn::{Lane, Role, Side};
use super::faults::Injury;
use super::host::{HostId, Work};
use super::memory;
use super::pipe::Segment;
use super::queue::Event;
use super::world::World;

/// Bytes of a file that are copied at a time.
const FILE_STEP: usize = 64 << 10;

/// The result of looking for received bytes.
enum Heard {
    Bytes(usize),
    End,
    Failed(i32),
    Silence,
}

impl World {
    /// Lets the operations of one end go on.
    pub(super) fn progress(&mut self, conn: usize, side: Side) {
        self.receive(conn, side);
        self.send(conn, side);
    }

    fn lane_of(&mut self, conn: usize, side: Side, lane: Lane) -> Option<(HostId, OpKey)> {
        let sock = self.conns[conn].end(side).sock?;
        self.live_in(sock, lane)
    }

    /// The connection and side of an operation's socket.
    pub(super) fn end_of(&mut self, host: HostId, key: OpKey) -> Option<(usize, Side)> {
        let sock = self.live(host, key)?.sock?;
        match self.socket(sock).role {
            Role::Connected { conn, side } => Some((conn, side)),
            _ => None,
        }
    }

    fn hear(&mut self, conn: usize, side: Side) -> Heard {
        let conn = &mut self.conns[conn];
        let (readable, ended) = (conn.to(side).readable(), conn.to(side).at_end());
        let end = conn.end(side);
        if readable > 0 {
            Heard::Bytes(readable)
        } else if end.error != 0 {
            Heard::Failed(end.error)
        } else if end.dead || end.deaf || ended {
            Heard::End
        } else {
            Heard::Silence
        }
    }

    /// Gives what has arrived to the receive in flight.
    pub(super) fn receive(&mut self, conn: usize, side: Side) {
        while let Some((host, key)) = self.lane_of(conn, side, Lane::Recv) {
            let heard = self.hear(conn, side);
            let Some(op) = self.live(host, key) else {
                return;
            };
            let (exact, done) = (matches!(op.work, Work::Recv { .. }), op.done);
            match heard {
                Heard::Silence => return,
                Heard::Bytes(len) if exact => self.fill(host, key, conn, side, len),
                Heard::Bytes(len) => self.hand_out(host, key, conn, side, len),
                // A receive that got something tells that first; the error stays for the next.
                Heard::Failed(_) if done > 0 => self.end(host, key, done as i32),
                Heard::Failed(errno) => {
                    self.conns[conn].end(side).error = 0;
                    self.end(host, key, -errno);
                }
                Heard::End => self.end(host, key, done as i32),
            }
            // The bytes read leave space in the buffer for the sender.
            self.transmit(conn, side.other());
        }
    }

    fn fill(&mut self, host: HostId, key: OpKey, conn: usize, side: Side, readable: usize) {
        let pipe = self.conns[conn].to(side);
        let Some((_, op)) = self.hosts[host].ops.get(key) else {
            return;
        };
        let Work::Recv { buf, at, whole } = &mut op.work else {
            return;
        };
        let whole = *whole;
        let len = readable.min(op.limit - op.done);
        let from = *at + op.done;
        pipe.read(&mut buf.buffer_mut()[from..from + len]);
        op.done += len;
        if op.done == op.limit || !whole {
            let done = op.done as i32;
            self.end(host, key, done);
        }
    }

    fn hand_out(&mut self, host: HostId, key: OpKey, conn: usize, side: Side, readable: usize) {
        let (dry, short) = (self.faults.no_buffers, self.faults.short_recv);
        let lease = match self.strikes("no_buffers", dry) {
            true => None,
            false => self.hosts[host].group.pop_front(),
        };
        let Some(mut lease) = lease else {
            self.hosts[host].stats.no_buffers += 1;
            return self.end(host, key, -libc::ENOBUFS);
        };
        let room = self.hosts[host].spec.recv_buffer_len;
        let mut len = readable.min(room);
        if self.strikes("short_recv", short) {
            len = self.rng.cut(len);
        }
        read_into(&mut lease, len, |into| self.conns[conn].to(side).read(into));
        let p = self.faults.multishot_end;
        let more = !self.strikes("multishot_end", p);
        self.post(host, key, len as i32, more, Payload::Received(lease));
    }

    /// Takes what the send buffer has room for from the send in flight.
    pub(super) fn send(&mut self, conn: usize, side: Side) {
        let Some((host, key)) = self.lane_of(conn, side, Lane::Send) else {
            return;
        };
        if let Some(result) = self.send_error(host, key, conn, side) {
            return self.end(host, key, result);
        }
        let pipe = self.conns[conn].from(side);
        let Some((_, op)) = self.hosts[host].ops.get(key) else {
            return;
        };
        let mut ended = None;
        let mut chunk = std::mem::take(&mut self.copied);
        while ended.is_none() && op.done < op.limit {
            let wanted = pipe.room_for(op.limit - op.done);
            if wanted == 0 {
                break;
            }
            chunk.clear();
            ended = match read_source(&op.work, op.done, wanted, &mut chunk) {
                Ok(()) if chunk.is_empty() => Some(op.done as i32),
                Ok(()) => None,
                Err(error) if op.done == 0 || !matches!(op.work, Work::Send { .. }) => {
                    Some(-error.raw_os_error().unwrap_or(libc::EIO))
                }
                Err(_) => Some(op.done as i32),
            };
            pipe.write(&chunk);
            op.done += chunk.len();
        }
        if op.done == op.limit {
            ended = ended.or(Some(op.done as i32));
        }
        self.copied = chunk;
        if let Some(result) = ended {
            self.end(host, key, result);
        }
        self.transmit(conn, side);
    }

    /// How a send ends on a connection that cannot send any more.
    fn send_error(&mut self, host: HostId, key: OpKey, conn: usize, side: Side) -> Option<i32> {
        let op = self.live(host, key)?;
        let (done, partial) = (op.done, matches!(op.work, Work::Send { .. }) && op.done > 0);
        let end = self.conns[conn].end(side);
        if end.error == 0 && !end.dead && !end.mute {
            return None;
        }
        if partial {
            return Some(done as i32);
        }
        match std::mem::take(&mut end.error) {
            0 => Some(-libc::EPIPE),
            errno => Some(-errno),
        }
    }

    /// Sends what the link and the receiver take.
    pub(super) fn transmit(&mut self, conn: usize, side: Side) {
        loop {
            let (split, reset, vanish) = (self.faults.split, self.faults.reset, self.faults.vanish);
            let at = &mut self.conns[conn];
            if at.reset {
                return;
            }
            let injury = at.next_injury(side);
            if let Some((0, injury)) = injury
                && !(at.vanished && injury == Injury::Vanish)
            {
                self.injure(conn, injury);
                continue;
            }
            let mut limit = at.link.segment_len;
            if let Some((left, _)) = injury
                && left > 0
            {
                limit = limit.min(usize::try_from(left).unwrap_or(usize::MAX));
            }
            let hit = self.strikes("reset", reset);
            if hit || self.strikes("split", split) {
                limit = self.rng.cut(limit);
            }
            let at = &mut self.conns[conn];
            let Some(segment) = at.from(side).send(limit) else {
                return;
            };
            if !at.vanished {
                self.carry(conn, side, segment);
            }
            if hit {
                self.injure(conn, Injury::Reset);
            } else if self.strikes("vanish", vanish) {
                self.injure(conn, Injury::Vanish);
            }
        }
    }

    fn carry(&mut self, conn: usize, from: Side, segment: Segment) {
        let now_ns = self.now_ns;
        let jitter_ns = match self.conns[conn].link.jitter_ns {
            0 => 0,
            most => self.rng.below(most),
        };
        let at = &mut self.conns[conn];
        let (delay_ns, rate) = (at.link.delay_ns, at.link.bytes_per_sec);
        let pipe = at.from(from);
        let len = match segment {
            Segment::Bytes(len) => len as u64,
            Segment::Fin => 0,
        };
        let took_ns = rate.map_or(0, |rate| len * 1_000_000_000 / rate.max(1));
        pipe.busy_until_ns = pipe.busy_until_ns.max(now_ns) + took_ns;
        let arrival = pipe.busy_until_ns + delay_ns + jitter_ns;
        pipe.last_arrival_ns = pipe.last_arrival_ns.max(arrival);
        let at_ns = pipe.last_arrival_ns;
        self.schedule(at_ns, Event::Arrive { conn, from });
    }

    pub(super) fn arrive(&mut self, conn: usize, from: Side) {
        let at = &mut self.conns[conn];
        let Some(segment) = at.from(from).arrive() else {
            return;
        };
        let to = from.other();
        let end = at.end(to);
        if matches!(segment, Segment::Bytes(_)) && (end.closed || end.deaf) && !end.dead {
            // The receiver is closed, so the sender gets a reset.
            self.injure(conn, Injury::Reset);
        }
        self.receive(conn, to);
        self.send(conn, from);
        self.transmit(conn, from);
    }

    pub(super) fn injure(&mut self, conn: usize, injury: Injury) {
        let at = &mut self.conns[conn];
        if at.reset {
            return;
        }
        match injury {
            Injury::Vanish => {
                at.vanished = true;
                self.note(None, "vanished", conn as u64, 0);
            }
            Injury::Reset => {
                at.reset = true;
                if at.vanished {
                    return;
                }
                self.note(None, "reset", conn as u64, 0);
                for side in [Side::Client, Side::Server] {
                    let at = &mut self.conns[conn];
                    // After all that was sent before it.
                    let last_ns = at.to(side).last_arrival_ns;
                    let at_ns = last_ns.max(self.now_ns + at.link.delay_ns);
                    self.schedule(at_ns, Event::Reset { conn, at: side });
                }
            }
        }
    }

    pub(super) fn reset_arrived(&mut self, conn: usize, side: Side) {
        let at = &mut self.conns[conn];
        at.to(side).cut_off();
        at.from(side).drop_unsent();
        let ended = at.to(side).has_ended();
        let end = at.end(side);
        end.dead = true;
        end.error = if ended { libc::EPIPE } else { libc::ECONNRESET };
        let host = end.host;
        self.note(host, "reset arrived", conn as u64, 0);
        self.progress(conn, side);
    }
}

/// Fills the first `len` bytes of a buffer.
fn read_into(lease: &mut LeaseMut, len: usize, read: impl FnOnce(&mut [u8])) {
    read(&mut lease.buffer_mut()[..len]);
    lease.set_len(len);
}

/// Appends up to `wanted` bytes of what a send carries, from its byte `done` on, to `into`;
/// nothing where a file ends too early.
fn read_source(work: &Work, done: usize, wanted: usize, into: &mut Vec<u8>) -> io::Result<()> {
    let (head, file) = match work {
        Work::Send { gather } => (gather, None),
        Work::SendFile {
            head,
            file,
            offset,
            file_end,
        } => (head, Some((file, *offset, *file_end))),
        _ => return Ok(()),
    };
    let head_len = head.remaining();
    if done < head_len {
        return memory::copy_parts(head, done, wanted.min(head_len - done), into);
    }
    let Some((file, offset, file_end)) = file else {
        return Ok(());
    };
    if done >= file_end {
        into.resize(wanted, 0);
        return Ok(());
    }
    into.resize(wanted.min(file_end - done).min(FILE_STEP), 0);
    let len = file.read_at(into, offset + (done - head_len) as u64)?;
    into.truncate(len);
    Ok(())
}
