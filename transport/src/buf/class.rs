//! Size classes of the pool: powers of two up to 64 KiB, then four steps per doubling.
//!
//! Four steps keep the slack of a large lease under a quarter of its size, so that a budget given
//! in bytes means what it says, while the number of free lists stays small.

/// Smallest lease in bytes: one page.
pub const MIN_LEASE_LEN: usize = 4 << 10;

/// Largest lease in bytes.
pub const MAX_LEASE_LEN: usize = 1 << 30;

/// First size from which classes are spaced by quarters of a doubling.
const QUARTERS_FROM: usize = 64 << 10;

/// Number of classes below [`QUARTERS_FROM`]: 4, 8, 16, 32 KiB.
const SMALL_CLASSES: usize = 4;

/// Number of classes in all.
pub(crate) const CLASSES: usize = SMALL_CLASSES
    + 4 * (MAX_LEASE_LEN.trailing_zeros() - QUARTERS_FROM.trailing_zeros()) as usize
    + 1;

/// The class that holds `len` bytes, or `None` where `len` passes [`MAX_LEASE_LEN`].
#[inline]
pub(crate) fn class_of(len: usize) -> Option<usize> {
    if len <= MIN_LEASE_LEN {
        return Some(0);
    }
    if len > MAX_LEASE_LEN {
        return None;
    }
    let last = len - 1;
    let log = last.ilog2() as usize;
    if len <= QUARTERS_FROM {
        return Some(log + 1 - MIN_LEASE_LEN.trailing_zeros() as usize);
    }
    let quarter = (last >> (log - 2)) & 3;
    let doublings = log - QUARTERS_FROM.trailing_zeros() as usize;
    Some(SMALL_CLASSES + 4 * doublings + quarter + 1)
}

/// Bytes of a buffer of `class`.
pub(crate) fn size_of_class(class: usize) -> usize {
    if class <= SMALL_CLASSES {
        return MIN_LEASE_LEN << class;
    }
    let step = class - SMALL_CLASSES;
    (QUARTERS_FROM << (step / 4)) / 4 * (4 + step % 4)
}

/// Bytes that a lease of `len` bytes takes from the budget, or `None` past [`MAX_LEASE_LEN`].
///
/// ```
/// assert_eq!(ringrail_transport::buf::class_size(100), Some(4 << 10));
/// assert_eq!(ringrail_transport::buf::class_size((1 << 20) + 1), Some(1280 << 10));
/// ```
pub fn class_size(len: usize) -> Option<usize> {
    class_of(len).map(size_of_class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_gets_the_smallest_class_that_holds_it() {
        for class in 0..CLASSES {
            let size = size_of_class(class);
            assert_eq!(class_of(size), Some(class), "size {size}");
            if class > 0 {
                assert_eq!(
                    class_of(size_of_class(class - 1) + 1),
                    Some(class),
                    "above {size}"
                );
            }
            assert_eq!(size % MIN_LEASE_LEN, 0);
        }
        assert_eq!(size_of_class(CLASSES - 1), MAX_LEASE_LEN);
        assert_eq!(class_of(MAX_LEASE_LEN + 1), None);
    }

    #[test]
    fn slack_of_large_classes_stays_under_a_quarter() {
        for class in SMALL_CLASSES + 1..CLASSES {
            let (below, size) = (size_of_class(class - 1), size_of_class(class));
            assert!((size - below) * 4 <= size, "{below} → {size}");
        }
    }
}
