//! Deadlines on the wire: relative microseconds. Either side turns them into a moment of its own clock.

use std::time::Duration;

/// The `deadline_us` that says "none".
pub const NO_DEADLINE_US: u32 = 0;

/// The longest deadline that travels, about 71 minutes; a longer one is kept by the initiator alone.
pub const MAX_DEADLINE: Duration = Duration::from_micros(u32::MAX as u64);

/// The `deadline_us` of a request that may take `timeout`. Rounded up to a microsecond, so that 0 always
/// means none; `None` and timeouts beyond [`MAX_DEADLINE`] give 0.
pub const fn deadline_us(timeout: Option<Duration>) -> u32 {
    let Some(timeout) = timeout else {
        return NO_DEADLINE_US;
    };
    let micros = timeout.as_nanos().div_ceil(1000);
    if micros == 0 {
        1
    } else if micros > u32::MAX as u128 {
        NO_DEADLINE_US
    } else {
        micros as u32
    }
}
