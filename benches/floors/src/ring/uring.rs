//! The ring itself: set-up, one turn of the loop, and the clean end.

use super::event::{Event, Op, tag};
use crate::workload::Wait;
use anyhow::{Context, Result};
use io_uring::{
    CompletionQueue, EnterFlags, IoUring, SubmissionQueue, Submitter, opcode, squeue, types,
};
use std::io;

/// Submission entries: more than a turn of 1,024 connections posts at once is not needed, a full
/// queue is submitted early.
const SQ_ENTRIES: u32 = 1024;
/// Completion entries: room for every provided buffer and every send of a turn, several times over.
const CQ_ENTRIES: u32 = 8192;

/// A connection whose whole window is no larger than this never finds its send buffer full: on
/// loopback that starts at 2.5 MB. Only then may a turn count on its sends to complete at once. A
/// send that waits for room needs the loop to run, and the kernel wakes a loop only for as many
/// events as it said that it waits for.
const SENT_AT_ONCE: u64 = 512 << 10;

/// Sets up a ring for one thread.
///
/// # Errors
/// The kernel's refusal: `kernel.io_uring_disabled` and seccomp profiles are the usual reasons;
/// before 6.1 the flags are missing.
pub(super) fn build() -> Result<IoUring> {
    IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_taskrun_flag()
        .setup_submit_all()
        .setup_cqsize(CQ_ENTRIES)
        .build(SQ_ENTRIES)
        .context(
            "io_uring_setup (see sysctl kernel.io_uring_disabled; DEFER_TASKRUN needs Linux 6.1)",
        )
}

/// A ring in use by the thread that made it.
///
/// The memory that posted operations point to must outlive this value: dropping it cancels them and
/// waits for the last completion.
pub(super) struct Ring<'a> {
    submitter: Submitter<'a>,
    sq: SubmissionQueue<'a>,
    cq: CompletionQueue<'a>,
    wait: Wait,
    /// Sends posted since the last turn, if sends complete inside the enter that submits them: a
    /// loop that waited for a single completion would wake for its own sends, so it waits for one
    /// more.
    sends: usize,
    sends_complete_at_once: bool,
    /// Operations that will still complete.
    pending: usize,
}

impl<'a> Ring<'a> {
    /// Takes the ring apart and registers its descriptor, which saves a lookup per enter. `window`
    /// is the most bytes that this side ever has in flight on one connection.
    pub(super) fn new(io: &'a mut IoUring, wait: Wait, window: u64) -> Result<Self> {
        let (mut submitter, sq, cq) = io.split();
        submitter
            .register_ring_fd()
            .context("registering the ring's descriptor")?;
        Ok(Self {
            submitter,
            sq,
            cq,
            wait,
            sends: 0,
            sends_complete_at_once: window <= SENT_AT_ONCE,
            pending: 0,
        })
    }

    /// For registering buffers.
    pub(super) fn submitter(&self) -> &Submitter<'a> {
        &self.submitter
    }

    /// Posts an operation; it reaches the kernel in the next [`turn`](Self::turn) at the latest.
    ///
    /// # Safety
    /// The memory that the entry points to must stay as it is until the operation's last
    /// completion.
    pub(super) unsafe fn post(&mut self, entry: squeue::Entry, op: Op, conn: usize) -> Result<()> {
        let entry = entry.user_data(tag(op, conn));
        while self.sq.is_full() {
            self.sq.sync();
            self.submitter.submit().context("submitting a full queue")?;
            self.sq.sync();
        }
        // SAFETY: the caller vouches for the memory; the queue has room.
        unsafe { self.sq.push(&entry) }.context("the submission queue has room")?;
        self.pending += 1;
        self.sends += usize::from(op == Op::Send && self.sends_complete_at_once);
        Ok(())
    }

    /// Submits what has been posted, waits until there is something to do, and appends all
    /// completions to `events`.
    pub(super) fn turn(&mut self, events: &mut Vec<Event>) -> Result<()> {
        match self.wait {
            Wait::Parked => self.park(1 + self.sends),
            Wait::Spinning => self.spin(),
        }
        .context("io_uring_enter")?;
        self.sends = 0;
        self.collect(events);
        Ok(())
    }

    fn park(&mut self, want: usize) -> io::Result<()> {
        self.sq.sync();
        let done = retry(|| self.submitter.submit_and_wait(want));
        self.cq.sync();
        done
    }

    fn spin(&mut self) -> io::Result<()> {
        loop {
            self.sq.sync();
            if !self.sq.is_empty() || self.sq.taskrun() {
                retry(|| self.enter_without_waiting())?;
            }
            self.cq.sync();
            if !self.cq.is_empty() {
                return Ok(());
            }
            std::hint::spin_loop();
        }
    }

    /// Submits and runs the deferred work in one call; `submit` would run it only in the next.
    fn enter_without_waiting(&self) -> io::Result<usize> {
        let flags = EnterFlags::GETEVENTS.bits();
        // SAFETY: no argument is passed.
        unsafe {
            self.submitter
                .enter::<libc::sigset_t>(self.sq.len() as u32, 0, flags, None)
        }
    }

    fn collect(&mut self, events: &mut Vec<Event>) {
        for entry in &mut self.cq {
            let event = Event::new(&entry);
            self.pending -= usize::from(!event.more);
            events.push(event);
        }
        self.cq.sync();
    }

    /// Cancels every operation and waits for its completion.
    fn cancel_all(&mut self) -> Result<()> {
        let all = types::CancelBuilder::any();
        // SAFETY: a cancellation points to no memory.
        unsafe { self.post(opcode::AsyncCancel2::new(all).build(), Op::Cancel, 0) }?;
        let mut events = Vec::new();
        while self.pending > 0 {
            self.park(1).context("io_uring_enter")?;
            self.collect(&mut events);
            events.clear();
        }
        Ok(())
    }
}

impl Drop for Ring<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.cancel_all() {
            // The kernel may still write to buffers that are about to be freed: there is no safe
            // way on.
            eprintln!("cannot end the ring: {error:#}");
            std::process::abort();
        }
    }
}

fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<()> {
    loop {
        match call() {
            Ok(_) => return Ok(()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            // Completions have to be collected before more can be submitted.
            Err(e) if e.raw_os_error() == Some(libc::EBUSY) => return Ok(()),
            Err(e) => return Err(e),
        }
    }
}
