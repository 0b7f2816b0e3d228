//! Pending requests of this side whose answers do not carry their number.

use std::collections::VecDeque;

/// Pending chunk requests in the order of sending, which is usually that of the answers.
///
/// An abandoned request stays: its answer still arrives, and is dropped. The limit is that of
/// outstanding requests, in addition to the abandoned ones.
#[derive(Debug, Default)]
pub(crate) struct ChunkCalls(VecDeque<((i64, i32), u64)>);

impl ChunkCalls {
    /// Number of answers still to come.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn push(&mut self, chunk: (i64, i32), id: u64) {
        self.0.push_back((chunk, id));
    }

    /// The request that an answer to this chunk belongs to.
    pub(crate) fn find(&self, chunk: (i64, i32)) -> Option<u64> {
        self.0.iter().find(|it| it.0 == chunk).map(|it| it.1)
    }

    /// The chunk that a request is for.
    pub(crate) fn chunk_of(&self, id: u64) -> Option<(i64, i32)> {
        self.0.iter().find(|it| it.1 == id).map(|it| it.0)
    }

    /// Removes it.
    pub(crate) fn take(&mut self, chunk: (i64, i32)) -> Option<u64> {
        let at = self.0.iter().position(|it| it.0 == chunk)?;
        self.0.remove(at).map(|it| it.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_find_the_first_that_asked() {
        let mut calls = ChunkCalls::default();
        calls.push((1, 0), 10);
        calls.push((1, 1), 11);
        calls.push((1, 0), 12);
        assert_eq!(calls.take((1, 1)), Some(11));
        assert_eq!(calls.find((1, 0)), Some(10));
        assert_eq!(calls.take((1, 0)), Some(10));
        assert_eq!(calls.take((1, 0)), Some(12));
        assert_eq!((calls.take((1, 0)), calls.len()), (None, 0));
    }
}
