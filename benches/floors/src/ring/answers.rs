//! Protocol part of a server: processes the bytes of a connection; [`super::server`] does the rest.

use super::buffers::Buffers;
use super::gather::Gather;
use crate::role::Served;
use anyhow::Result;

/// One connection's requests and answers.
pub(super) trait Answers {
    /// Takes what buffer `id` received, and gives the buffer back at once or in
    /// [`left`](Self::left).
    ///
    /// # Errors
    /// The client broke the rules of the workload.
    fn take(&mut self, buffers: &mut Buffers, id: u16, len: usize) -> Result<()>;

    /// Adds the answers that can leave now to an empty `gather`; they stay as they are until
    /// [`left`](Self::left).
    fn gather(&mut self, buffers: &mut Buffers, gather: &mut Gather);

    /// Everything gathered has left.
    fn left(&mut self, buffers: &mut Buffers);

    /// The number of answers and bytes so far.
    fn served(&self) -> Served;
}
