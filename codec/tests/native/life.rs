//! Deadlines, by the numbers.

use std::time::Duration;

use ringrail_codec::native::*;

#[test]
fn deadlines_are_rounded_up_and_long_ones_do_not_travel() {
    let us = |nanos| deadline_us(Some(Duration::from_nanos(nanos)));
    assert_eq!(deadline_us(None), NO_DEADLINE_US);
    assert_eq!((us(0), us(1), us(1000), us(1001)), (1, 1, 1, 2));
    assert_eq!(deadline_us(Some(MAX_DEADLINE)), u32::MAX);
    assert_eq!(
        deadline_us(Some(MAX_DEADLINE + Duration::from_nanos(1))),
        NO_DEADLINE_US
    );
    assert_eq!(deadline_us(Some(Duration::MAX)), NO_DEADLINE_US);
}
