//! Finds the head of a frame at the front of received bytes. Nothing is copied and nothing is allocated.
//!
//! On the wire a body follows its head at once, whether Spark counts it as a part of the frame or puts it
//! behind it. So a [`Head`] says how long the two are, and the caller receives the body wherever it likes:
//! out of the same buffer, or from the socket straight into a buffer of the body's own.

use std::ops::Range;

use super::limits::{MAX_FRAME_SIZE, PREFIX_LEN};
use super::wire::Fields;
use super::{Frame, FrameError, Kind, Limits};

/// The result of [`decode_head`] at the front of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// The head is not complete.
    NeedMore {
        /// The length that the buffer must reach, counted from its front, before it is worth asking again.
        /// Never more than [`Limits::max_head_len`].
        at_least: usize,
    },
    /// A whole head.
    Head(Head<'a>),
}

/// A frame up to its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// The frame's fields.
    pub frame: Frame<'a>,
    /// The length of the head in bytes: where the body begins.
    pub len: usize,
    /// The length of the body in bytes, in the frame or behind it: the next frame begins there.
    pub body_len: u64,
}

impl Head<'_> {
    /// The range of the body, counted from the front of the head, in bytes.
    pub const fn body(&self) -> Range<u64> {
        let start = self.len as u64;
        start..start.saturating_add(self.body_len)
    }
}

/// Reads the head at the front of `buf`.
///
/// A bad length is reported once its eight bytes are there, a bad type or an exceeded limit once
/// the rest is.
///
/// # Errors
/// Any [`FrameError`]; the connection cannot continue.
///
/// ```
/// use ringrail_codec::spark::{Frame, Limits, RpcRequest, Step, decode_head};
/// let mut bytes = RpcRequest { request_id: 7 }.head(3)?.to_vec();
/// bytes.extend(b"ABC");
/// assert_eq!(decode_head(&bytes[..4], &Limits::DEFAULT)?, Step::NeedMore { at_least: 9 });
/// let Step::Head(head) = decode_head(&bytes, &Limits::DEFAULT)? else { panic!() };
/// assert_eq!(head.frame, Frame::RpcRequest(RpcRequest { request_id: 7 }));
/// assert_eq!(head.body(), 21..24);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[inline]
pub fn decode_head<'a>(buf: &'a [u8], limits: &Limits) -> Result<Step<'a>, FrameError> {
    let Some((len, rest)) = buf.split_first_chunk::<8>() else {
        return Ok(need(PREFIX_LEN));
    };
    let frame_len = check_len(i64::from_be_bytes(*len))?;
    let Some(&kind) = rest.first() else {
        return Ok(need(PREFIX_LEN));
    };
    let kind = Kind::try_from(kind)?;
    let (head_len, body_len) = extents(kind, frame_len, limits)?;
    let Some(head) = buf.get(..head_len) else {
        return Ok(need(head_len));
    };
    let frame = read_fields(kind, &head[PREFIX_LEN..])?;
    let body_len = match frame {
        Frame::StreamResponse(super::StreamResponse { byte_count, .. })
        | Frame::UploadStream(super::UploadStream { byte_count, .. }) => byte_count,
        _ => body_len,
    };
    if body_len > limits.max_body(kind) {
        return Err(limits.body_too_long(kind, body_len));
    }
    Ok(Step::Head(Head {
        frame,
        len: head_len,
        body_len,
    }))
}

const fn need<'a>(at_least: usize) -> Step<'a> {
    Step::NeedMore { at_least }
}

/// Checks a length as Spark does, with its limits: more than 0 and below 2 GiB after the field itself.
///
/// Spark's decoder takes a length of exactly 7 for one that has not arrived yet, and reads another. This
/// decoder rejects it like every other length below 9.
#[inline]
fn check_len(frame_len: i64) -> Result<usize, FrameError> {
    // Wraps like Java's: the least lengths of all are called too large.
    let len = frame_len.wrapping_sub(8);
    if len >= MAX_FRAME_SIZE {
        return Err(FrameError::TooLarge { len });
    }
    if len <= 0 {
        return Err(FrameError::NotPositive { len });
    }
    Ok(frame_len as usize)
}

/// The lengths of head and body as far as the frame's length and kind tell, within the limits.
#[inline]
fn extents(kind: Kind, frame_len: usize, limits: &Limits) -> Result<(usize, u64), FrameError> {
    let Some(head_len) = kind.head_before_body() else {
        if frame_len > limits.max_head(kind) {
            return Err(limits.head_too_long(kind, frame_len as u64));
        }
        return Ok((frame_len, 0));
    };
    // A frame too short for its head is read as the head that it is, which names the missing field.
    let body_len = frame_len.saturating_sub(head_len) as u64;
    if body_len > limits.max_body(kind) {
        return Err(limits.body_too_long(kind, body_len));
    }
    Ok((head_len.min(frame_len), body_len))
}

#[inline]
fn read_fields(kind: Kind, fields: &[u8]) -> Result<Frame<'_>, FrameError> {
    let malformed = |field| FrameError::Malformed { kind, field };
    let mut fields = Fields::new(fields);
    let frame = Frame::read(kind, &mut fields).map_err(malformed)?;
    match kind {
        // The body's length once more. Spark's readers do not look at it, but it must be there.
        Kind::RpcRequest | Kind::RpcResponse | Kind::OneWayMessage => {
            fields.get::<i32>("body_len").map_err(malformed)?;
        }
        _ => {}
    }
    fields.end().map_err(malformed)?;
    Ok(frame)
}
