//! The wire format of an encrypted connection after its handshake.

use super::{CtrStream, GcmReceiver, GcmSender, Random};

/// Both directions of an encrypted connection.
#[derive(Debug)]
pub struct Records {
    /// For what is sent.
    pub sealer: Sealer,
    /// For what is received.
    pub opener: Opener,
}

/// Encrypts what is sent.
#[derive(Debug)]
pub enum Sealer {
    /// A key stream over all bytes in their order.
    Ctr(CtrStream),
    /// Messages with tags.
    Gcm(GcmSender),
}

impl Sealer {
    /// Appends one message to `out`, encrypted: the bytes of all `parts`, one behind the other. A message is
    /// one or more whole frames, each with its body, also the one behind it.
    ///
    /// # Errors
    /// [`RecordError::TooLong`]; nothing is appended then.
    pub fn seal(
        &mut self,
        parts: &[&[u8]],
        random: &mut dyn Random,
        out: &mut Vec<u8>,
    ) -> Result<(), RecordError> {
        match self {
            Sealer::Ctr(stream) => {
                let at = out.len();
                parts.iter().for_each(|part| out.extend_from_slice(part));
                stream.apply(&mut out[at..]);
                Ok(())
            }
            Sealer::Gcm(sender) => sender.seal(parts, random, out),
        }
    }
}

/// Decrypts what is received.
#[derive(Debug)]
pub enum Opener {
    /// A key stream over all bytes in their order.
    Ctr(CtrStream),
    /// Messages with tags.
    Gcm(GcmReceiver),
}

/// The output of an [`Opener`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened<'a> {
    /// The number of input bytes consumed.
    pub used: usize,
    /// The plaintext: the next bytes of the peer's frames. May be empty.
    pub plaintext: &'a [u8],
}

impl Opener {
    /// Decrypts at the front of `input`, in place as far as possible. Call it again with the rest until that
    /// is empty.
    ///
    /// # Errors
    /// [`RecordError`], at this and every further call; close the connection.
    pub fn open<'a>(&'a mut self, input: &'a mut [u8]) -> Result<Opened<'a>, RecordError> {
        match self {
            Opener::Ctr(stream) => {
                stream.apply(input);
                let (used, plaintext) = (input.len(), &*input);
                Ok(Opened { used, plaintext })
            }
            Opener::Gcm(receiver) => receiver.open(input),
        }
    }
}

/// Bytes that are no record of this connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The bytes cannot begin a message.
    #[error(
        "an encrypted message cannot begin like this (length {total}): is spark.network.crypto.cipher the \
         same on both sides?"
    )]
    Head {
        /// The value of the length field.
        total: i64,
    },
    /// A segment's tag is not that of its bytes.
    #[error(
        "an encrypted segment is damaged, or was made with another key (are \
         spark.network.crypto.authEngineVersion and the secret the same on both sides?)"
    )]
    Damaged,
    /// A message of more segments than can be numbered.
    #[error("a message of {len} bytes has too many segments to be encrypted")]
    TooLong {
        /// Its length.
        len: u64,
    },
}
