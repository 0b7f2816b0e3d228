//! How much memory a body gets whose length is only announced.

/// First lease of a claim while less than a quarter of the pool is in use, in bytes: the longest frame,
/// unless `ringrail.transport.maxBodyLen` was raised.
const AT_EASE_LEN: usize = 1 << 20;

/// The same with a quarter of the pool in use, in bytes.
const PRESSED_LEN: usize = 16 << 10;

/// The same with half of the pool in use, in bytes.
pub(crate) const SHORT_LEN: usize = 4 << 10;

/// Ratio of a body's next buffer to the received bytes.
const GROWTH: usize = 4;

/// Capacity of a growing body's next buffer, with `have` bytes received of at most `limit`.
///
/// Half of the body or more is rounded up to the whole, because the last two buffers exist at the same time
/// while one is copied into the other.
pub(crate) fn grown(have: usize, limit: usize) -> usize {
    let next = have.saturating_mul(GROWTH).max(SHORT_LEN);
    match next >= limit / 2 {
        true => limit,
        false => next,
    }
}

/// How much of the shard's pool is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PoolUse {
    /// Less than a quarter.
    Low,
    /// A quarter or more.
    Quarter,
    /// Half or more.
    Half,
}

/// Bytes leased for a body of `total` bytes before any of it has arrived.
pub(crate) fn first_claim(total: usize, pool: PoolUse) -> usize {
    let most = match pool {
        PoolUse::Half => SHORT_LEN,
        PoolUse::Quarter => PRESSED_LEN,
        // An eighth of a longer body suffices to reach a buffer of its whole length, see `grown`: a larger
        // first lease would need two large buffers at once.
        PoolUse::Low if total <= AT_EASE_LEN => total,
        PoolUse::Low => AT_EASE_LEN.min(total / 8),
    };
    total.min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_grows_with_what_has_come_and_not_beyond_its_end() {
        assert_eq!(grown(0, 1 << 30), SHORT_LEN);
        assert_eq!(grown(1 << 20, 1 << 30), 4 << 20);
        assert_eq!(grown(1 << 20, (1 << 20) + 16), (1 << 20) + 16);
        assert_eq!(grown(16 << 20, 128 << 20), 128 << 20);
        assert_eq!(grown(usize::MAX, 77), 77);
    }

    #[test]
    fn the_fuller_the_pool_the_less_an_announced_length_gets() {
        let whole = 128 << 20;
        assert_eq!(first_claim(whole, PoolUse::Low), AT_EASE_LEN);
        assert_eq!(first_claim(whole, PoolUse::Quarter), PRESSED_LEN);
        assert_eq!(first_claim(whole, PoolUse::Half), SHORT_LEN);
        assert_eq!(first_claim(100, PoolUse::Half), 100);
        assert_eq!(first_claim(2 << 20, PoolUse::Low), (2 << 20) / 8);
    }
}
