//! The owner of a completion, packed into the number that the kernel returns with it.

use crate::shard::local::ConnKey;

/// The owner of a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    Listener(u32),
    Connect(ConnKey),
    Receive(ConnKey),
    Send(ConnKey),
    Read(ConnKey),
}

impl For {
    pub(super) fn token(self) -> u64 {
        let (kind, slot, low) = match self {
            For::Listener(at) => (0, at, 0),
            For::Connect(key) => (1, key.slot, key.generation),
            For::Receive(key) => (2, key.slot, key.generation),
            For::Send(key) => (3, key.slot, key.generation),
            For::Read(key) => (4, key.slot, key.generation),
        };
        kind << 56 | u64::from(slot) << 32 | u64::from(low)
    }

    pub(super) fn of(token: u64) -> Self {
        let slot = (token >> 32 & 0xff_ffff) as u32;
        let key = ConnKey {
            slot,
            generation: token as u32,
        };
        match token >> 56 {
            0 => For::Listener(slot),
            1 => For::Connect(key),
            2 => For::Receive(key),
            3 => For::Send(key),
            _ => For::Read(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_keep_what_they_are_for() {
        let key = ConnKey {
            slot: 0xff_ffff,
            generation: u32::MAX,
        };
        for what in [
            For::Listener(3),
            For::Connect(key),
            For::Receive(key),
            For::Send(key),
            For::Read(key),
        ] {
            assert_eq!(For::of(what.token()), what);
        }
    }
}
