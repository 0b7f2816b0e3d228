//! Any frame: what the decoder gives.

use super::super::wire::Fields;
use super::super::{EncodeError, FieldError, Kind};
use super::*;

/// A frame with its fields by name, without the body. Texts stay in the buffer they were received into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the type of the same name")]
pub enum Frame<'a> {
    ChunkFetchRequest(ChunkFetchRequest),
    ChunkFetchSuccess(ChunkFetchSuccess),
    ChunkFetchFailure(ChunkFetchFailure<'a>),
    RpcRequest(RpcRequest),
    RpcResponse(RpcResponse),
    RpcFailure(RpcFailure<'a>),
    StreamRequest(StreamRequest<'a>),
    StreamResponse(StreamResponse<'a>),
    StreamFailure(StreamFailure<'a>),
    OneWayMessage(OneWayMessage),
    UploadStream(UploadStream<'a>),
    MergedBlockMetaRequest(MergedBlockMetaRequest<'a>),
    MergedBlockMetaSuccess(MergedBlockMetaSuccess),
}

impl<'a> Frame<'a> {
    /// Reads the fields behind the type.
    #[inline]
    pub(in crate::spark) fn read(kind: Kind, fields: &mut Fields<'a>) -> Result<Self, FieldError> {
        fn read<'a, H: Header<'a>>(fields: &mut Fields<'a>) -> Result<H, FieldError> {
            H::read_fields(fields)
        }
        Ok(match kind {
            Kind::ChunkFetchRequest => Frame::ChunkFetchRequest(read(fields)?),
            Kind::ChunkFetchSuccess => Frame::ChunkFetchSuccess(read(fields)?),
            Kind::ChunkFetchFailure => Frame::ChunkFetchFailure(read(fields)?),
            Kind::RpcRequest => Frame::RpcRequest(read(fields)?),
            Kind::RpcResponse => Frame::RpcResponse(read(fields)?),
            Kind::RpcFailure => Frame::RpcFailure(read(fields)?),
            Kind::StreamRequest => Frame::StreamRequest(read(fields)?),
            Kind::StreamResponse => Frame::StreamResponse(read(fields)?),
            Kind::StreamFailure => Frame::StreamFailure(read(fields)?),
            Kind::OneWayMessage => Frame::OneWayMessage(read(fields)?),
            Kind::UploadStream => Frame::UploadStream(read(fields)?),
            Kind::MergedBlockMetaRequest => Frame::MergedBlockMetaRequest(read(fields)?),
            Kind::MergedBlockMetaSuccess => Frame::MergedBlockMetaSuccess(read(fields)?),
        })
    }

    /// Its kind.
    pub const fn kind(&self) -> Kind {
        match self {
            Frame::ChunkFetchRequest(_) => Kind::ChunkFetchRequest,
            Frame::ChunkFetchSuccess(_) => Kind::ChunkFetchSuccess,
            Frame::ChunkFetchFailure(_) => Kind::ChunkFetchFailure,
            Frame::RpcRequest(_) => Kind::RpcRequest,
            Frame::RpcResponse(_) => Kind::RpcResponse,
            Frame::RpcFailure(_) => Kind::RpcFailure,
            Frame::StreamRequest(_) => Kind::StreamRequest,
            Frame::StreamResponse(_) => Kind::StreamResponse,
            Frame::StreamFailure(_) => Kind::StreamFailure,
            Frame::OneWayMessage(_) => Kind::OneWayMessage,
            Frame::UploadStream(_) => Kind::UploadStream,
            Frame::MergedBlockMetaRequest(_) => Kind::MergedBlockMetaRequest,
            Frame::MergedBlockMetaSuccess(_) => Kind::MergedBlockMetaSuccess,
        }
    }

    /// The length of the head in bytes.
    pub fn head_len(&self) -> usize {
        match self {
            Frame::ChunkFetchRequest(_) => ChunkFetchRequest::LEN,
            Frame::ChunkFetchSuccess(_) => ChunkFetchSuccess::HEAD_LEN,
            Frame::ChunkFetchFailure(frame) => frame.encoded_len(),
            Frame::RpcRequest(_) => RpcRequest::HEAD_LEN,
            Frame::RpcResponse(_) => RpcResponse::HEAD_LEN,
            Frame::RpcFailure(frame) => frame.encoded_len(),
            Frame::StreamRequest(frame) => frame.encoded_len(),
            Frame::StreamResponse(frame) => frame.encoded_len(),
            Frame::StreamFailure(frame) => frame.encoded_len(),
            Frame::OneWayMessage(_) => OneWayMessage::HEAD_LEN,
            Frame::UploadStream(frame) => frame.encoded_len(),
            Frame::MergedBlockMetaRequest(frame) => frame.encoded_len(),
            Frame::MergedBlockMetaSuccess(_) => MergedBlockMetaSuccess::HEAD_LEN,
        }
    }

    /// Writes the head in front of a body of `body_len` bytes to the front of `out` and returns its length.
    /// Kinds that have no body in their frame do not look at `body_len`.
    ///
    /// # Errors
    /// [`EncodeError`]; nothing is written then.
    pub fn encode_head(&self, body_len: u64, out: &mut [u8]) -> Result<usize, EncodeError> {
        match self {
            Frame::ChunkFetchRequest(frame) => put(&frame.encode(), out),
            Frame::ChunkFetchSuccess(frame) => put(&frame.head(body_len)?, out),
            Frame::ChunkFetchFailure(frame) => frame.encode(out),
            Frame::RpcRequest(frame) => put(&frame.head(body_len)?, out),
            Frame::RpcResponse(frame) => put(&frame.head(body_len)?, out),
            Frame::RpcFailure(frame) => frame.encode(out),
            Frame::StreamRequest(frame) => frame.encode(out),
            Frame::StreamResponse(frame) => frame.encode(out),
            Frame::StreamFailure(frame) => frame.encode(out),
            Frame::OneWayMessage(frame) => put(&frame.head(body_len)?, out),
            Frame::UploadStream(frame) => frame.encode(out),
            Frame::MergedBlockMetaRequest(frame) => frame.encode(out),
            Frame::MergedBlockMetaSuccess(frame) => put(&frame.head(body_len)?, out),
        }
    }
}

/// Copies a head of a known length to the front of `out`.
fn put(head: &[u8], out: &mut [u8]) -> Result<usize, EncodeError> {
    let need = head.len();
    let room = out.len();
    match out.get_mut(..need) {
        Some(out) => out.copy_from_slice(head),
        None => return Err(NoRoom { need, room }.into()),
    }
    Ok(need)
}
