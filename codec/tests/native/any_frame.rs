//! Any frame with its fields by name, for tests and fuzz targets that handle all kinds alike.

use ringrail_codec::native::*;

/// A frame with its fields by name; the bodies that have no structure of their own are left out.
#[allow(
    dead_code,
    reason = "not every test that includes this file writes headers"
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    RpcRequest(RpcRequest),
    RpcReply(RpcReply),
    RpcFailure(RpcFailure),
    OneWay(OneWay),
    RpcSlice(RpcSlice),
    ChunkRequest(ChunkRequest),
    ChunkData(ChunkData),
    ChunkFailure(ChunkFailure),
    StreamRequest(StreamRequest<'a>),
    StreamData(StreamData),
    StreamEnd(StreamEnd),
    StreamFailure(StreamFailure),
    Upload(Upload),
    UploadData(UploadData),
    UploadEnd(UploadEnd),
    Cancel(Cancel),
    Credit(Credit),
    Drain(Drain<'a>),
    Ping(Ping),
    Pong(Pong),
}

impl<'a> Frame<'a> {
    /// Reads the fields of a frame that [`decode_frame`] found.
    ///
    /// # Errors
    /// Any [`FrameError`] of the frame's own type.
    pub(crate) fn parse(header: &Header, body: &'a [u8]) -> Result<Self, FrameError> {
        Ok(match header.kind {
            Kind::RpcRequest => Frame::RpcRequest(RpcRequest::from_header(header)?),
            Kind::RpcReply => Frame::RpcReply(RpcReply::from_header(header)?),
            Kind::RpcFailure => Frame::RpcFailure(RpcFailure::from_header(header)?),
            Kind::OneWay => Frame::OneWay(OneWay::from_header(header)?),
            Kind::RpcSlice => Frame::RpcSlice(RpcSlice::from_header(header)?),
            Kind::ChunkRequest => Frame::ChunkRequest(ChunkRequest::from_header(header, body)?),
            Kind::ChunkData => Frame::ChunkData(ChunkData::from_header(header)?),
            Kind::ChunkFailure => Frame::ChunkFailure(ChunkFailure::from_header(header)?),
            Kind::StreamRequest => Frame::StreamRequest(StreamRequest::from_header(header, body)?),
            Kind::StreamData => Frame::StreamData(StreamData::from_header(header)?),
            Kind::StreamEnd => Frame::StreamEnd(StreamEnd::from_header(header)?),
            Kind::StreamFailure => Frame::StreamFailure(StreamFailure::from_header(header)?),
            Kind::Upload => Frame::Upload(Upload::from_header(header)?),
            Kind::UploadData => Frame::UploadData(UploadData::from_header(header)?),
            Kind::UploadEnd => Frame::UploadEnd(UploadEnd::from_header(header)?),
            Kind::Cancel => Frame::Cancel(Cancel::from_header(header)?),
            Kind::Credit => Frame::Credit(Credit::from_header(header)?),
            Kind::Drain => Frame::Drain(Drain::from_header(header, body)?),
            Kind::Ping => Frame::Ping(Ping::from_header(header)?),
            Kind::Pong => Frame::Pong(Pong::from_header(header)?),
        })
    }

    #[allow(
        dead_code,
        reason = "not every test that includes this file writes headers"
    )]
    /// The header in front of a body of `body_len` bytes. Kinds that know the length of their body
    /// themselves do not look at it.
    pub(crate) const fn header(&self, body_len: u32) -> Header {
        match self {
            Frame::RpcRequest(frame) => frame.header(body_len),
            Frame::RpcReply(frame) => frame.header(body_len),
            Frame::RpcFailure(frame) => frame.header(body_len),
            Frame::OneWay(frame) => frame.header(body_len),
            Frame::RpcSlice(frame) => frame.header(body_len),
            Frame::ChunkRequest(frame) => frame.header(),
            Frame::ChunkData(frame) => frame.header(body_len),
            Frame::ChunkFailure(frame) => frame.header(body_len),
            Frame::StreamRequest(frame) => frame.header(),
            Frame::StreamData(frame) => frame.header(body_len),
            Frame::StreamEnd(frame) => frame.header(),
            Frame::StreamFailure(frame) => frame.header(body_len),
            Frame::Upload(frame) => frame.header(body_len),
            Frame::UploadData(frame) => frame.header(body_len),
            Frame::UploadEnd(frame) => frame.header(),
            Frame::Cancel(frame) => frame.header(),
            Frame::Credit(frame) => frame.header(),
            Frame::Drain(frame) => frame.header(),
            Frame::Ping(frame) => frame.header(),
            Frame::Pong(frame) => frame.header(),
        }
    }
}
