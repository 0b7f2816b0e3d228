//! The frames, one file each: the fields of a kind by name, to and from its [`Header`] and,
//! where it has one, its structured body.
//!
//! `from_header` checks what the fields must be to each other; the header itself has been checked by
//! [`Header::decode`](super::Header::decode) and the lengths by [`check_header`](super::check_header).

mod cancel;
mod chunk_data;
mod chunk_failure;
mod chunk_request;
mod credit;
mod drain;
mod one_way;
mod ping;
mod pong;
mod rpc_failure;
mod rpc_reply;
mod rpc_request;
mod rpc_slice;
mod stream_data;
mod stream_end;
mod stream_failure;
mod stream_request;
mod upload;
mod upload_data;
mod upload_end;

pub use cancel::Cancel;
pub use chunk_data::ChunkData;
pub use chunk_failure::ChunkFailure;
pub use chunk_request::ChunkRequest;
pub use credit::Credit;
pub use drain::Drain;
pub use one_way::OneWay;
pub use ping::Ping;
pub use pong::Pong;
pub use rpc_failure::RpcFailure;
pub use rpc_reply::RpcReply;
pub use rpc_request::RpcRequest;
pub use rpc_slice::{RpcSlice, SliceOf};
pub use stream_data::StreamData;
pub use stream_end::StreamEnd;
pub use stream_failure::StreamFailure;
pub use stream_request::StreamRequest;
pub use upload::Upload;
pub use upload_data::UploadData;
pub use upload_end::UploadEnd;

use super::{Flags, FrameError, Header, Kind};

/// Whether the first slice of an RPC body leaves more to come, checked against the MORE flag.
#[inline(always)]
fn check_first_slice(header: &Header) -> Result<(), FrameError> {
    let body_len = u64::from(header.body_len);
    if header.arg < body_len {
        return Err(header.inconsistent("total_len is less than body_len"));
    }
    if header.flags.contains(Flags::MORE) != (header.arg > body_len) {
        return Err(
            header.inconsistent("MORE must be set exactly if total_len is more than body_len")
        );
    }
    if header.flags.contains(Flags::MORE) && body_len == 0 {
        return Err(header.inconsistent("the first slice of a larger body is empty"));
    }
    Ok(())
}

/// The fields of every failure frame: the request's id, the failure code, whether to retry.
type FailureFields = (u64, super::FailureCode, bool);

/// The header of a failure frame.
#[inline(always)]
const fn failure_header(kind: Kind, (id, code, retryable): FailureFields, body_len: u32) -> Header {
    let mut header = Header::new(kind, id);
    header.flags = Flags::NONE.with_if(Flags::RETRYABLE, retryable);
    header.code = code.to_wire();
    header.body_len = body_len;
    header
}

/// Reads a failure frame's header. Its code is never 0.
#[inline(always)]
fn read_failure(kind: Kind, header: &Header) -> Result<FailureFields, FrameError> {
    header.expect(kind)?;
    if header.code == 0 {
        return Err(header.inconsistent("a failure without a code"));
    }
    let code = super::FailureCode::from_wire(header.code);
    Ok((header.id, code, header.flags.contains(Flags::RETRYABLE)))
}

/// The u64 at `at`; the caller has checked the length.
#[inline(always)]
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

/// The u32 at `at`; the caller has checked the length.
#[inline(always)]
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

/// The u16 at `at`; the caller has checked the length.
#[inline(always)]
pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}
