//! Answering RPCs: every request is found and checked where it was received, and answered with a
//! ready-made frame.

use super::answers::Answers;
use super::buffers::Buffers;
use super::gather::Gather;
use crate::frame::{Shape, Walker};
use crate::outgoing::Outgoing;
use crate::role::Served;
use crate::workload::Workload;
use anyhow::Result;

/// RPCs of one connection.
pub(super) struct RpcAnswers {
    walker: Walker,
    answers: Outgoing,
    /// Requests whose answers have not been issued.
    owed: u64,
    /// Answers on their way out.
    leaving: u64,
    served: Served,
    reply: u32,
}

impl RpcAnswers {
    /// No request yet.
    pub(super) fn new(workload: &Workload) -> Self {
        Self {
            walker: Walker::new(Shape::request(workload), Some(0)),
            answers: Outgoing::new(Shape::answer(workload), workload.in_flight, 0),
            owed: 0,
            leaving: 0,
            served: Served::default(),
            reply: workload.answer_size(),
        }
    }
}

impl Answers for RpcAnswers {
    #[inline]
    fn take(&mut self, buffers: &mut Buffers, id: u16, len: usize) -> Result<()> {
        let requests = self.walker.absorb(buffers.received(id, len));
        buffers.recycle(id);
        self.owed += requests?;
        Ok(())
    }

    #[inline]
    fn gather(&mut self, _: &mut Buffers, gather: &mut Gather) {
        self.leaving = self.owed.min(self.answers.room());
        self.owed -= self.leaving;
        self.answers.issue(self.leaving);
        for piece in self.answers.unsent() {
            if !piece.is_empty() {
                gather.push(piece);
            }
        }
    }

    #[inline]
    fn left(&mut self, _: &mut Buffers) {
        self.answers.all_left();
        self.served.count(self.leaving, self.reply);
    }

    fn served(&self) -> Served {
        self.served
    }
}
