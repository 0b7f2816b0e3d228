//! Writes whole frames into a buffer that the caller gives.

use super::{ALIGN, HEADER_LEN, Header};

/// Zeros to pad a body with, for gathered sends: `&PADDING[..header.padding_len()]`.
pub const PADDING: [u8; ALIGN] = [0; ALIGN];

/// The buffer is too short for what was to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{need} bytes are needed where {room} are left")]
pub struct NoRoom {
    /// The bytes needed.
    pub need: usize,
    /// The bytes there were.
    pub room: usize,
}

/// Writes header, body and padding to the front of `out` and returns the frame's length.
///
/// # Errors
/// [`NoRoom`]; nothing is written then.
///
/// # Panics
/// If `body` is not of the length that the header announces.
#[inline(always)]
pub fn encode_frame(header: &Header, body: &[u8], out: &mut [u8]) -> Result<usize, NoRoom> {
    assert_eq!(
        body.len(),
        header.body_len as usize,
        "the body has another length than its header says"
    );
    let need = header.frame_len();
    let room = out.len();
    let Some(out) = out.get_mut(..need) else {
        return Err(NoRoom { need, room });
    };
    out[..HEADER_LEN].copy_from_slice(&header.encode());
    let (text, padding) = out[HEADER_LEN..].split_at_mut(body.len());
    text.copy_from_slice(body);
    padding.fill(0);
    Ok(need)
}
