//! From the completion queue to completions: the resources of an operation return to the engine.

use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};

use io_uring::{cqueue, opcode, types};

use crate::sys::driver::{Completion, OpKey, Payload};
use crate::sys::socket;

use super::driver::{FILE_BUDGET, TIMEOUTS, UringDriver, WAKE};
use super::ops::State;
use super::post::send_entry;
use crate::sys::files::Progress;

impl UringDriver {
    /// Moves a file on; ends the operation or waits for the socket.
    pub(super) fn advance_send_file(&mut self, key: OpKey) {
        let Some((
            _,
            State::SendFile {
                send,
                scratch,
                socket,
                cancelled,
            },
        )) = self.ops.get(key)
        else {
            return;
        };
        let socket = *socket;
        let outcome = if *cancelled {
            Err(io::Error::from_raw_os_error(libc::ECANCELED))
        } else {
            send.advance(socket, scratch, &mut self.file_budget)
        };
        let result = match outcome {
            Ok(Progress::Blocked) => {
                let poll = opcode::PollAdd::new(types::Fd(socket), libc::POLLOUT as u32);
                self.push(&poll.build().user_data(key.0));
                return;
            }
            Ok(Progress::OverBudget) => return self.deferred.push_back(key),
            Ok(Progress::Done) => send.sent as i32,
            Err(error) => -error.raw_os_error().unwrap_or(libc::EIO),
        };
        if let Some((token, State::SendFile { send, scratch, .. })) = self.ops.remove(key) {
            self.scratch.push(scratch);
            let payload = Payload::Gather(send.head);
            self.immediate.push_back(Completion {
                token,
                key,
                result,
                more: false,
                payload,
            });
        }
    }

    /// Moves on the file sends that the budget of the last call was too small for, in their order.
    pub(super) fn advance_deferred(&mut self) {
        self.file_budget = FILE_BUDGET;
        for _ in 0..self.deferred.len() {
            if self.file_budget == 0 {
                break;
            }
            if let Some(key) = self.deferred.pop_front() {
                self.advance_send_file(key);
            }
        }
    }

    /// A quick send that its full socket has not taken waits for room now; `None` where there is nothing
    /// to be told of yet.
    #[cold]
    fn send_later(&mut self, key: OpKey) -> Option<Completion> {
        let (
            _,
            State::Send {
                gather,
                scratch,
                socket,
                more,
                quick,
                cancelled,
            },
        ) = self.ops.get(key)?
        else {
            return None;
        };
        debug_assert!(*quick, "another kind of send waits by itself");
        if *cancelled {
            return self.end_send(key, -libc::ECANCELED);
        }
        *quick = false;
        let entry = send_entry(*socket, gather, scratch, *more | libc::MSG_WAITALL);
        self.push(&entry.user_data(key.0));
        None
    }

    fn end_send(&mut self, key: OpKey, result: i32) -> Option<Completion> {
        let (
            token,
            State::Send {
                gather, scratch, ..
            },
        ) = self.ops.remove(key)?
        else {
            return None;
        };
        self.scratch.push(scratch);
        Some(Completion {
            token,
            key,
            result,
            more: false,
            payload: Payload::Gather(gather),
        })
    }

    /// Copies the completion queue out, so that handling one may post others.
    pub(super) fn harvest(&mut self) {
        let Some(ring) = self.ring.as_mut() else {
            return;
        };
        let mut queue = ring.completion();
        let overflow = u64::from(queue.overflow());
        for entry in &mut queue {
            let entry: cqueue::Entry = entry;
            self.harvested
                .push_back((entry.user_data(), entry.result(), entry.flags()));
        }
        drop(queue);
        self.stats.cq_overflows = self.stats.cq_overflows.max(overflow);
    }

    pub(super) fn complete(
        &mut self,
        user_data: u64,
        result: i32,
        flags: u32,
    ) -> Option<Completion> {
        if user_data == WAKE {
            self.wake_armed = false;
            return None;
        }
        if user_data >= TIMEOUTS {
            if let Some(timeout) = self.timeouts.get_mut((user_data - TIMEOUTS) as usize) {
                timeout.due_ns = None;
            }
            return None;
        }
        let key = OpKey(user_data);
        let more = cqueue::more(flags);
        let (token, state) = self.ops.get(key)?;
        match state {
            State::SendFile { .. } => {
                self.advance_send_file(key);
                return None;
            }
            State::Accept if result >= 0 => return self.accepted(key, token, result, more),
            State::Send { quick: true, .. } if result == -libc::EAGAIN => {
                return self.send_later(key);
            }
            State::Send { .. } => return self.end_send(key, result),
            State::RecvMulti => return self.received(key, token, result, flags),
            _ => {}
        }
        if more {
            return None;
        }
        let (token, state) = self.ops.remove(key)?;
        let payload = match state {
            State::Recv { buf } | State::Read { buf, .. } => Payload::Buffer(buf),
            _ => Payload::None,
        };
        Some(Completion {
            token,
            key,
            result,
            more: false,
            payload,
        })
    }

    fn accepted(&mut self, key: OpKey, token: u64, fd: RawFd, more: bool) -> Option<Completion> {
        if !more {
            self.ops.remove(key);
        }
        // SAFETY: the kernel has just returned this descriptor; no other code knows it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let peer = socket::peer_addr(fd.as_fd());
        let payload = match peer {
            Ok(peer) => Payload::Accepted {
                sock: self.socks.insert(fd),
                peer,
            },
            // Gone before we looked: the descriptor closes here.
            Err(_) => Payload::None,
        };
        Some(Completion {
            token,
            key,
            result: 0,
            more,
            payload,
        })
    }

    fn received(&mut self, key: OpKey, token: u64, result: i32, flags: u32) -> Option<Completion> {
        let more = cqueue::more(flags);
        if !more {
            self.ops.remove(key);
        }
        if result == -libc::ENOBUFS {
            self.stats.no_buffers += 1;
        }
        let payload = match cqueue::buffer_select(flags) {
            Some(place) if result >= 0 => match self.group.take(place, result as usize) {
                Some(lease) => Payload::Received(lease),
                None => Payload::None,
            },
            _ => Payload::None,
        };
        Some(Completion {
            token,
            key,
            result,
            more,
            payload,
        })
    }
}
