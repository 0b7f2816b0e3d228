//! Finds frames in received bytes. Nothing is copied and nothing is allocated: a body is a part of the
//! buffer it was received into.

use super::{FrameError, HEADER_LEN, Header, Kind, Limits};

/// The result of [`decode_frame`] at the front of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// The frame is not complete.
    NeedMore {
        /// The length that the buffer must reach, counted from its front, before it is worth asking
        /// again. Never more than [`Limits::max_frame_len`].
        at_least: usize,
    },
    /// A whole frame.
    Frame {
        /// Its header, checked against the limits.
        header: Header,
        /// Its body without the padding.
        body: &'a [u8],
        /// The bytes it took, padding included: the next frame starts there.
        consumed: usize,
    },
}

/// Reads the frame at the front of `buf`.
///
/// The padding is not looked at: writers fill it with zeros, readers ignore it. The checksum is not
/// verified here, see [`Header::check_body`].
///
/// # Errors
/// Any [`FrameError`]; the connection cannot go on.
///
/// ```
/// use ringrail_codec::native::{Limits, Ping, Step, decode_frame};
/// let frame = Ping { opaque: 1 }.header().encode();
/// assert_eq!(decode_frame(&frame[..5], &Limits::DEFAULT)?, Step::NeedMore { at_least: 32 });
/// let Step::Frame { consumed, .. } = decode_frame(&frame, &Limits::DEFAULT)? else { panic!() };
/// assert_eq!(consumed, 32);
/// # Ok::<(), ringrail_codec::native::FrameError>(())
/// ```
#[inline(always)]
pub fn decode_frame<'a>(buf: &'a [u8], limits: &Limits) -> Result<Step<'a>, FrameError> {
    let Some((head, rest)) = buf.split_first_chunk::<HEADER_LEN>() else {
        return Ok(Step::NeedMore {
            at_least: HEADER_LEN,
        });
    };
    let header = match Header::decode_checked(head, limits) {
        Some(header) => header,
        // For the reason.
        None => decode_by_step(head, limits)?,
    };
    let consumed = header.frame_len();
    match rest.get(..header.body_len as usize) {
        Some(body) if consumed <= buf.len() => Ok(Step::Frame {
            header,
            body,
            consumed,
        }),
        _ => Ok(Step::NeedMore { at_least: consumed }),
    }
}

#[cold]
fn decode_by_step(head: &[u8; HEADER_LEN], limits: &Limits) -> Result<Header, FrameError> {
    let header = Header::decode(head)?;
    check_header(&header, limits)?;
    Ok(header)
}

/// Checks a header against this side's limits: the length of the body for its kind and of the whole RPC.
/// For callers that receive header and body separately; [`decode_frame`] does it by itself.
///
/// # Errors
/// [`FrameError::BodyTooLong`], [`FrameError::BodyLength`], [`FrameError::RpcTooLong`].
#[inline(always)]
pub fn check_header(header: &Header, limits: &Limits) -> Result<(), FrameError> {
    let body_len = header.body_len;
    let rpc_len = match header.kind {
        Kind::RpcRequest | Kind::RpcReply | Kind::OneWay => header.arg,
        Kind::RpcSlice => header.arg.saturating_add(u64::from(body_len)),
        Kind::ChunkData | Kind::StreamData | Kind::UploadData => 0,
        kind => return check_small(kind, body_len, limits),
    };
    if body_len > limits.max_body_len {
        return Err(limits.too_long(header.kind, body_len));
    }
    if rpc_len > limits.max_rpc_len {
        return Err(limits.rpc_too_long(header.kind, rpc_len));
    }
    Ok(())
}

impl Limits {
    /// Whether [`check_header`] finds nothing wrong.
    #[inline(always)]
    pub(super) fn allow(&self, header: &Header) -> bool {
        match header.kind {
            Kind::RpcRequest | Kind::RpcReply | Kind::OneWay => {
                header.body_len <= self.max_body_len && header.arg <= self.max_rpc_len
            }
            _ => self.allow_other(*header),
        }
    }

    #[inline(never)]
    fn allow_other(&self, header: Header) -> bool {
        check_header(&header, self).is_ok()
    }
}

/// The kinds whose body is small and has a structure.
fn check_small(kind: Kind, body_len: u32, limits: &Limits) -> Result<(), FrameError> {
    if body_len > limits.max_body(kind) {
        return Err(limits.too_long(kind, body_len));
    }
    let expected = match kind {
        Kind::ChunkRequest => super::ChunkRequest::BODY_LEN,
        Kind::StreamRequest => super::StreamRequest::FIXED_LEN,
        _ => 0,
    };
    if body_len < expected {
        return Err(FrameError::BodyLength {
            kind,
            body_len: body_len as usize,
            expected: expected as usize,
        });
    }
    Ok(())
}
