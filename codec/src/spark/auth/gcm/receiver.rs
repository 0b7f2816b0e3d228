//! Decrypting messages.

use std::fmt;

use super::super::session::SessionKey;
use super::super::{Opened, RecordError};
use super::{SEGMENT_LEN, Segments, TAG_LEN, head_len};

/// Decrypts messages that arrive in pieces of any length. Its output has been authenticated, segment
/// by segment; it buffers at most a part of one segment.
pub struct GcmReceiver {
    key: SessionKey,
    state: State,
    /// The beginning of a head or segment that has not come in whole.
    kept: Vec<u8>,
    /// The content of `kept` has been decrypted and returned.
    read: bool,
}

enum State {
    Head,
    /// Within a message; `left` bytes of it have not been decrypted.
    Message {
        segments: Segments,
        left: u64,
    },
    Failed(RecordError),
}

impl GcmReceiver {
    pub(in super::super) const fn new(key: SessionKey) -> Self {
        Self {
            key,
            state: State::Head,
            kept: Vec::new(),
            read: false,
        }
    }

    /// Decrypts at the front of `input`, in place where a whole segment lies there. Call it again with the
    /// rest until that is empty.
    ///
    /// # Errors
    /// [`RecordError`], at this and every further call; close the connection.
    pub fn open<'a>(&'a mut self, input: &'a mut [u8]) -> Result<Opened<'a>, RecordError> {
        if self.read {
            self.kept.clear();
            self.read = false;
        }
        let want = match &self.state {
            State::Head => head_len(&self.key),
            State::Message { left, .. } => (*left).min(SEGMENT_LEN as u64) as usize,
            State::Failed(error) => return Err(*error),
        };
        let used = (want - self.kept.len()).min(input.len());
        let unit = if used == want {
            &mut input[..want]
        } else {
            self.kept.extend_from_slice(&input[..used]);
            if self.kept.len() < want {
                return Ok(Opened {
                    used,
                    plaintext: &[],
                });
            }
            self.read = true;
            &mut self.kept[..]
        };
        let plaintext = self.state.step(&self.key, unit)?;
        Ok(Opened { used, plaintext })
    }
}

impl State {
    /// Takes a whole head or segment.
    fn step<'a>(&mut self, key: &SessionKey, unit: &'a mut [u8]) -> Result<&'a [u8], RecordError> {
        let State::Message { segments, left } = self else {
            match read_head(key, unit) {
                Ok(0) => {}
                Ok(left) => {
                    let segments = Segments::new(key, unit);
                    *self = State::Message { segments, left };
                }
                Err(error) => {
                    *self = State::Failed(error);
                    return Err(error);
                }
            }
            return Ok(&[]);
        };
        *left -= unit.len() as u64;
        let last = *left == 0;
        let opened = segments.open(unit, last);
        match opened {
            Err(error) => *self = State::Failed(error),
            Ok(_) if last => *self = State::Head,
            Ok(_) => {}
        }
        opened
    }
}

/// The bytes of the segments behind a message's beginning.
fn read_head(key: &SessionKey, head: &[u8]) -> Result<u64, RecordError> {
    let mut total = [0; 8];
    total.copy_from_slice(&head[..8]);
    let total = i64::from_be_bytes(total);
    let bad = RecordError::Head { total };
    let left = u64::try_from(total)
        .ok()
        .and_then(|total| total.checked_sub(head.len() as u64))
        .ok_or(bad)?;
    let (whole, rest) = (left / SEGMENT_LEN as u64, left % SEGMENT_LEN as u64);
    let has_no_plaintext = rest > 0 && rest <= TAG_LEN as u64;
    if usize::from(head[8]) != head_len(key) - 8 || has_no_plaintext || whole >= 1 << 32 {
        return Err(bad);
    }
    Ok(left)
}

impl fmt::Debug for GcmReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GcmReceiver(..)")
    }
}
