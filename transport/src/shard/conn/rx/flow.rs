//! A body of Spark's protocol that is being received.

use crate::buf::LeaseMut;
use crate::shard::conn::spark::{PiecesOf, WholeOf};

/// An incoming body.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) to: To,
    /// Bytes that have not arrived.
    pub(super) left: u64,
    /// The destination of the next bytes: all of a whole body, or the current piece. `None` while a
    /// receive operation owns it.
    pub(super) buf: Option<LeaseMut>,
    /// Bytes received into it.
    pub(super) got: usize,
    /// Bytes that it will hold when full.
    pub(super) want: usize,
}

/// The owner of the bytes of a body.
#[derive(Clone, Copy, Debug)]
pub(super) enum To {
    Whole(WholeOf),
    Pieces(PiecesOf),
    Nowhere,
}

impl Flow {
    pub(super) fn discards(&self) -> bool {
        matches!(self.to, To::Nowhere)
    }
}
