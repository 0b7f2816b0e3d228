//! Any frame, for the property tests.

use proptest::collection::vec;
use proptest::prelude::*;
use ringrail_codec::native::*;

/// A header with its body, as it goes onto the wire.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) header: Header,
    pub(crate) body: Vec<u8>,
}

impl Sent {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = vec![0; self.header.frame_len()];
        encode_frame(&self.header, &self.body, &mut out).expect("room");
        out
    }
}

fn sent(header: Header, body: Vec<u8>, crc: bool) -> Sent {
    let has_crc = crc && header.body_len > 0;
    Sent {
        header: if has_crc {
            header.with_crc_of(&body)
        } else {
            header
        },
        body,
    }
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..200)
}

/// RpcRequest, RpcReply and OneWay.
fn first_slices() -> impl Strategy<Value = Sent> {
    (
        0..3u8,
        any::<u64>(),
        body(),
        0..1000u64,
        any::<u32>(),
        any::<bool>(),
    )
        .prop_map(|(which, id, body, behind, deadline_us, crc)| {
            let len = body.len() as u32;
            let behind = if len == 0 { 0 } else { behind };
            let total_len = u64::from(len) + behind;
            let header = match which {
                0 => RpcRequest {
                    id,
                    total_len,
                    deadline_us,
                }
                .header(len),
                1 => RpcReply { id, total_len }.header(len),
                _ => OneWay { id, total_len }.header(len),
            };
            sent(header, body, crc)
        })
}

/// RpcSlice, UploadData, StreamData and ChunkData.
fn slices() -> impl Strategy<Value = Sent> {
    let body = vec(any::<u8>(), 1..200);
    (
        0..6u8,
        any::<u64>(),
        body,
        1..1_000_000u64,
        1..u32::MAX,
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(which, id, body, offset, seq, more, crc)| {
            let len = body.len() as u32;
            let total_len = offset + u64::from(len);
            let of = [SliceOf::Request, SliceOf::Reply, SliceOf::OneWay];
            let header = match which {
                0..=2 => RpcSlice {
                    id,
                    of: of[usize::from(which)],
                    offset,
                    seq,
                    more,
                }
                .header(len),
                3 => UploadData { id, offset, seq }.header(len),
                4 => StreamData { id, total_len, seq }.header(len),
                _ => ChunkData {
                    id,
                    total_len,
                    seq,
                    more,
                }
                .header(len),
            };
            sent(header, body, crc)
        })
}

fn failures() -> impl Strategy<Value = Sent> {
    (
        0..3u8,
        any::<u64>(),
        1..=u16::MAX,
        any::<bool>(),
        body(),
        any::<bool>(),
    )
        .prop_map(|(which, id, code, retryable, body, crc)| {
            let code = FailureCode::from_wire(code);
            let len = body.len() as u32;
            let header = match which {
                0 => RpcFailure {
                    id,
                    code,
                    retryable,
                }
                .header(len),
                1 => ChunkFailure {
                    id,
                    code,
                    retryable,
                }
                .header(len),
                _ => StreamFailure {
                    id,
                    code,
                    retryable,
                }
                .header(len),
            };
            sent(header, body, crc)
        })
}

fn requests() -> impl Strategy<Value = Sent> {
    let numbers = (
        any::<u64>(),
        any::<u64>(),
        any::<u32>(),
        any::<u64>(),
        any::<u64>(),
    );
    (0..3u8, numbers, any::<u32>(), "\\PC{0,40}", any::<bool>()).prop_map(
        |(which, (id, arg, aux, offset, credit), deadline_us, name, crc)| match which {
            0 => {
                let request = ChunkRequest {
                    id,
                    stream_id: arg,
                    chunk_index: aux,
                    offset,
                    max_len: arg.rotate_left(7),
                    credit,
                    deadline_us,
                    unsummed: offset.is_multiple_of(2),
                };
                sent(request.header(), request.body().to_vec(), crc)
            }
            1 => {
                let request = StreamRequest {
                    id,
                    offset,
                    deadline_us,
                    credit,
                    name: &name,
                };
                let mut body = vec![0; request.body_len()];
                request.encode_body(&mut body).expect("room");
                sent(request.header(), body, crc)
            }
            _ => {
                let upload = Upload {
                    id,
                    total_len: arg,
                    deadline_us,
                };
                sent(upload.header(name.len() as u32), name.into_bytes(), crc)
            }
        },
    )
}

fn control() -> impl Strategy<Value = Sent> {
    (
        0..7u8,
        any::<u64>(),
        1..=u64::MAX,
        any::<bool>(),
        "\\PC{0,40}",
    )
        .prop_map(|(which, id, arg, by_responder, text)| {
            let header = match which {
                0 => Cancel { id }.header(),
                1 => Credit {
                    id,
                    bytes: arg,
                    by_responder,
                }
                .header(),
                2 => Ping { opaque: arg }.header(),
                3 => Pong { opaque: arg }.header(),
                4 => StreamEnd { id, sent_len: arg }.header(),
                5 => UploadEnd { id, sent_len: arg }.header(),
                _ => {
                    let reason = DrainReason::from_wire(id as u16);
                    let drain = Drain {
                        last_id: arg,
                        reason,
                        text: &text,
                    };
                    return sent(drain.header(), text.clone().into_bytes(), by_responder);
                }
            };
            sent(header, Vec::new(), false)
        })
}

/// Any frame that a correct peer may send.
pub(crate) fn any_frame() -> impl Strategy<Value = Sent> {
    prop_oneof![first_slices(), slices(), failures(), requests(), control()]
}
