//! Flow control by credit: the receiver of a bulk body grants bytes that it holds memory for, and its
//! sender never sends more than was granted.
//!
//! [`SendWindow`] is the sender's side, [`GrantWindow`] the receiver's. Both are a few counters per request.

/// The number of bytes that the sender of a bulk body may still send.
///
/// Grants add up and saturate: a peer that grants too much harms only its own memory, so that is no error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendWindow {
    available: u64,
}

impl SendWindow {
    /// The window with the credit that came with the request (or with the Hello).
    #[inline]
    pub const fn new(initial_credit: u64) -> Self {
        Self {
            available: initial_credit,
        }
    }

    /// The bytes that may be sent now.
    #[inline]
    pub const fn available(&self) -> u64 {
        self.available
    }

    /// A [`Credit`](super::Credit) has arrived.
    #[inline]
    pub const fn grant(&mut self, bytes: u64) {
        self.available = self.available.saturating_add(bytes);
    }

    /// Takes up to `want` bytes of the window and returns how many it took; they will now be sent.
    #[inline]
    pub const fn take(&mut self, want: u64) -> u64 {
        let taken = if want < self.available {
            want
        } else {
            self.available
        };
        self.available -= taken;
        taken
    }
}

/// A sender sent more than it was granted. Fatal for the connection: no correct sender does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a slice of {len} bytes, where {granted} were granted")]
pub struct BeyondCredit {
    /// The length of the slice.
    pub len: u64,
    /// The unused part of the grants, in bytes.
    pub granted: u64,
}

/// The grants of a bulk body's receiver, and the time at which to grant more.
///
/// Every byte of the window is in one of three states: granted and awaited, held (received, its memory not
/// free again), or free. Free bytes are granted anew in batches of at least a quarter of the window, so that
/// a stream costs four Credit frames per window and not one per slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantWindow {
    window: u64,
    awaited: u64,
    held: u64,
    free: u64,
    /// The bytes of the body that were never granted; saturated while the length is not known.
    ungranted: u64,
}

impl GrantWindow {
    /// A window whose `window` bytes the sender has already been granted, by the request or the Hello.
    #[inline]
    pub const fn new(window: u64) -> Self {
        Self {
            window,
            awaited: window,
            held: 0,
            free: 0,
            ungranted: u64::MAX - window,
        }
    }

    /// The body's length has become known: nothing beyond it will be granted. Call it once. For an RPC body
    /// it is the length behind the first slice, which needs no credit.
    #[inline]
    pub const fn set_total(&mut self, total_len: u64) {
        // The bytes granted so far are those missing from `ungranted`, which starts at u64::MAX.
        let granted = u64::MAX - self.ungranted;
        self.ungranted = total_len.saturating_sub(granted);
    }

    /// The granted bytes that have not arrived yet.
    #[inline]
    pub const fn awaited(&self) -> u64 {
        self.awaited
    }

    /// The bytes received whose memory is not free again.
    #[inline]
    pub const fn held(&self) -> u64 {
        self.held
    }

    /// A slice has come.
    ///
    /// # Errors
    /// [`BeyondCredit`]; nothing is counted then.
    #[inline]
    pub const fn receive(&mut self, len: u64) -> Result<(), BeyondCredit> {
        if len > self.awaited {
            return Err(BeyondCredit {
                len,
                granted: self.awaited,
            });
        }
        self.awaited -= len;
        self.held += len;
        Ok(())
    }

    /// The memory of `len` received bytes is free again. Returns the bytes to grant now, if it is time.
    ///
    /// # Panics
    /// If more is released than is held: the caller counts wrongly and would grant memory it has not.
    #[inline]
    pub const fn release(&mut self, len: u64) -> Option<u64> {
        assert!(len <= self.held, "more bytes released than received");
        self.held -= len;
        self.free += len;
        let quarter = self.window / 4;
        if self.free < quarter {
            return None;
        }
        self.grant_free()
    }

    /// Makes the window larger by `len` bytes, which the receiver now also holds memory for (a chunk whose
    /// length has become known). Returns the bytes to grant now.
    #[inline]
    pub const fn widen(&mut self, len: u64) -> Option<u64> {
        // A window of 2^63 and more is no window; the bound keeps the sums from overflowing.
        let len = if len < (u64::MAX >> 1).saturating_sub(self.window) {
            len
        } else {
            (u64::MAX >> 1).saturating_sub(self.window)
        };
        self.window += len;
        self.free += len;
        self.grant_free()
    }

    const fn grant_free(&mut self) -> Option<u64> {
        let grant = if self.free < self.ungranted {
            self.free
        } else {
            self.ungranted
        };
        if grant == 0 {
            return None;
        }
        self.free -= grant;
        self.ungranted -= grant;
        self.awaited += grant;
        Some(grant)
    }
}
