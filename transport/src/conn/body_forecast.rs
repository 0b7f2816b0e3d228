//! Whether large bodies are to come, and how large: they are received exactly, into leases of their own.

/// The answers and uploads that may be large, and the length of the last one.
#[derive(Debug, Default)]
pub(crate) struct BodyForecast {
    /// Requests of this side for chunks and streams, and uploads of the peer, that are not complete.
    expected: usize,
    /// Length of the body that came last, or of the longest slice of a stream.
    len: usize,
}

impl BodyForecast {
    /// A request was made, or an upload accepted, whose body may be large.
    pub(crate) fn begin(&mut self) {
        self.expected += 1;
    }

    /// One of them is over.
    pub(crate) fn end(&mut self) {
        assert!(self.expected > 0, "a body ends that was not expected");
        self.expected -= 1;
    }

    /// How many are not over.
    #[cfg(test)]
    pub(crate) fn expected(&self) -> usize {
        self.expected
    }

    /// The next body is probably as long.
    pub(crate) fn set_len(&mut self, len: usize) {
        self.len = len;
    }

    /// A slice of a body came that may be longer than the others.
    pub(crate) fn raise_len(&mut self, len: usize) {
        self.len = self.len.max(len);
    }

    /// The probable length of the next body, in bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// True where the next body is expected, with `exact_min` bytes or more.
    #[inline]
    pub(crate) fn expects(&self, exact_min: usize) -> bool {
        self.expected > 0 && self.len >= exact_min
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_expected_while_requests_for_them_are_pending() {
        let mut forecast = BodyForecast::default();
        forecast.set_len(1 << 20);
        assert!(!forecast.expects(4096), "nothing was asked for");
        forecast.begin();
        forecast.begin();
        forecast.end();
        assert!(forecast.expects(4096) && !forecast.expects(2 << 20));
        forecast.set_len(10);
        forecast.raise_len(4);
        assert_eq!((forecast.len(), forecast.expects(4096)), (10, false));
        forecast.end();
        assert!(!forecast.expects(0));
    }
}
