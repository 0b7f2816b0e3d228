//! Sends received bytes back, unread, from the buffers they arrived in: the minimum that any
//! server does.

use super::answers::Answers;
use super::buffers::Buffers;
use super::gather::Gather;
use crate::frame::Shape;
use crate::role::Served;
use crate::workload::Workload;
use anyhow::Result;

/// The bytes of one connection.
pub(super) struct Echo {
    arrived: Vec<(u16, usize)>,
    leaving: Vec<(u16, usize)>,
    bytes: u64,
    shape: Shape,
}

impl Echo {
    /// Nothing arrived.
    pub(super) fn new(workload: &Workload) -> Self {
        Self {
            arrived: Vec::new(),
            leaving: Vec::new(),
            bytes: 0,
            shape: Shape::answer(workload),
        }
    }
}

impl Answers for Echo {
    fn take(&mut self, _: &mut Buffers, id: u16, len: usize) -> Result<()> {
        self.arrived.push((id, len));
        Ok(())
    }

    fn gather(&mut self, buffers: &mut Buffers, gather: &mut Gather) {
        std::mem::swap(&mut self.arrived, &mut self.leaving);
        for &(id, len) in &self.leaving {
            gather.push(buffers.received(id, len));
        }
    }

    fn left(&mut self, buffers: &mut Buffers) {
        for (id, len) in self.leaving.drain(..) {
            buffers.recycle(id);
            self.bytes += len as u64;
        }
    }

    fn served(&self) -> Served {
        let mut served = Served::default();
        let frames = self.bytes / self.shape.frame_len() as u64;
        served.count(frames, self.shape.body_len as u32);
        served
    }
}
