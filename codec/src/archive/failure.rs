//! The body of every failure frame.

use rkyv::{Archive, Deserialize, Serialize};

use super::{ArchiveError, decode};
use crate::native::FailureCode;

/// The phase of a request that failed.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[rkyv(derive(Debug, Clone, Copy, PartialEq, Eq))]
#[repr(u8)]
#[non_exhaustive]
pub enum Phase {
    /// The responder did not say.
    #[default]
    Unknown = 0,
    /// The request was read and checked.
    Receive = 1,
    /// The request was matched with an endpoint, a stream or a file.
    Dispatch = 2,
    /// The handler ran.
    Handle = 3,
    /// The source of the answer was read.
    Source = 4,
    /// The answer was sent.
    Send = 5,
}

/// A failure in words and with its causes, sent as an rkyv archive. `code` and `retryable` stand in the
/// frame's header too, so that a peer can act without reading the body.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct FailureBody {
    /// The number of a [`FailureCode`].
    pub code: u16,
    /// Whether the same request may succeed if it is sent again.
    pub retryable: bool,
    /// The phase that failed.
    pub phase: Phase,
    /// A message that names the event, its object and the remedy.
    pub message: String,
    /// The causes, the nearest first.
    pub causes: Vec<String>,
}

impl FailureBody {
    /// The most causes that [`FailureBody::bound`] keeps.
    pub const MAX_CAUSES: usize = 16;

    /// A failure with the code's usual retryability and no causes.
    pub fn new(code: FailureCode, phase: Phase, message: impl Into<String>) -> Self {
        Self {
            code: code.to_wire(),
            retryable: code.is_retryable(),
            phase,
            message: message.into(),
            causes: Vec::new(),
        }
    }

    /// The code by name.
    pub const fn failure_code(&self) -> FailureCode {
        FailureCode::from_wire(self.code)
    }

    /// Shortens the texts until the archive is at most `max_len` bytes long (but never below what an
    /// archive without texts takes): the farthest causes go first, then the end of the message.
    pub fn bound(&mut self, max_len: usize) {
        self.causes.truncate(Self::MAX_CAUSES);
        while self.archived_bound() > max_len && self.causes.pop().is_some() {}
        let over = self.archived_bound().saturating_sub(max_len);
        let keep = self.message.len().saturating_sub(over);
        self.message
            .truncate(self.message.floor_char_boundary(keep));
    }

    /// The most bytes that the archive can take.
    fn archived_bound(&self) -> usize {
        let string = size_of::<rkyv::string::ArchivedString>();
        let causes: usize = self.causes.iter().map(|cause| string + cause.len()).sum();
        let align = align_of::<ArchivedFailureBody>();
        size_of::<ArchivedFailureBody>() + self.message.len() + causes + 2 * align
    }

    /// Reads a failure frame's body, also an unaligned one. An empty body, of a sender that had nothing to
    /// add, takes code and retryability from the header.
    ///
    /// # Errors
    /// [`ArchiveError::Invalid`].
    pub fn decode(code: FailureCode, retryable: bool, body: &[u8]) -> Result<Self, ArchiveError> {
        if body.is_empty() {
            return Ok(Self {
                retryable,
                ..Self::new(code, Phase::Unknown, String::new())
            });
        }
        decode(body)
    }
}
