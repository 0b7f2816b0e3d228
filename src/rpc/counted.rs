//! Bounds on what the endpoints of a process may have at once: its timers on threads, its streams.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::error::RpcError;

/// Counts one of a bounded kind of thing until dropped.
#[derive(Debug)]
pub(super) struct Counted(&'static AtomicUsize);

impl Counted {
    /// One more of `what`, of which there may be `limit`.
    ///
    /// # Errors
    /// There are as many as there may be.
    pub(super) fn new(
        count: &'static AtomicUsize,
        limit: usize,
        what: &'static str,
    ) -> Result<Self, RpcError> {
        // Given back by its drop where it is one too many.
        let counted = Self(count);
        if count.fetch_add(1, Ordering::Relaxed) < limit {
            return Ok(counted);
        }
        Err(RpcError::Busy {
            what,
            limit: limit as u64,
            key: "nothing: it is fixed",
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let before = self.0.fetch_sub(1, Ordering::Relaxed);
        debug_assert!(before > 0, "more were given back than counted");
    }
}

#[cfg(test)]
mod tests {
    use ringrail_codec::native::FailureCode;

    use super::*;

    #[test]
    fn what_is_counted_is_bounded_and_given_back() {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let one = || Counted::new(&COUNT, 3, "a table");
        let all = [one(), one(), one()];
        assert!(all.iter().all(Result::is_ok));
        for _ in 0..2 {
            let error = one().expect_err("one too many");
            assert_eq!(error.code(), FailureCode::Busy);
            assert!(error.to_string().contains('3'), "{error}");
        }
        drop(all);
        assert!(one().is_ok());
    }
}
