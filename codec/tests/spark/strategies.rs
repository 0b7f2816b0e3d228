//! Any frame, for the property tests.

use proptest::collection::vec;
use proptest::prelude::*;
use ringrail_codec::spark::*;

/// A frame that owns its texts, and its body.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    kind: Kind,
    numbers: (i64, i32, i32, i32),
    text: String,
    more: String,
    pub(crate) body: Vec<u8>,
}

impl Sent {
    pub(crate) fn frame(&self) -> Frame<'_> {
        let (long, first, second, third) = self.numbers;
        let (text, more) = (&*self.text, &*self.more);
        let byte_count = self.body.len() as u64;
        let (stream_id, request_id, chunk_index) = (long, long, first);
        match self.kind {
            Kind::ChunkFetchRequest => Frame::ChunkFetchRequest(ChunkFetchRequest {
                stream_id,
                chunk_index,
            }),
            Kind::ChunkFetchSuccess => Frame::ChunkFetchSuccess(ChunkFetchSuccess {
                stream_id,
                chunk_index,
            }),
            Kind::ChunkFetchFailure => Frame::ChunkFetchFailure(ChunkFetchFailure {
                stream_id,
                chunk_index,
                error: text,
            }),
            Kind::RpcRequest => Frame::RpcRequest(RpcRequest { request_id }),
            Kind::RpcResponse => Frame::RpcResponse(RpcResponse { request_id }),
            Kind::RpcFailure => Frame::RpcFailure(RpcFailure {
                request_id,
                error: text,
            }),
            Kind::StreamRequest => Frame::StreamRequest(StreamRequest { stream_id: text }),
            Kind::StreamResponse => Frame::StreamResponse(StreamResponse {
                stream_id: text,
                byte_count,
            }),
            Kind::StreamFailure => Frame::StreamFailure(StreamFailure {
                stream_id: text,
                error: more,
            }),
            Kind::OneWayMessage => Frame::OneWayMessage(OneWayMessage),
            Kind::UploadStream => {
                let meta = more.as_bytes();
                Frame::UploadStream(UploadStream {
                    request_id,
                    meta,
                    byte_count,
                })
            }
            Kind::MergedBlockMetaRequest => Frame::MergedBlockMetaRequest(MergedBlockMetaRequest {
                request_id,
                app_id: text,
                shuffle_id: first,
                shuffle_merge_id: second,
                reduce_id: third,
            }),
            Kind::MergedBlockMetaSuccess => Frame::MergedBlockMetaSuccess(MergedBlockMetaSuccess {
                request_id,
                num_chunks: first,
            }),
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let frame = self.frame();
        let mut out = vec![0; frame.head_len()];
        let len = frame.encode_head(self.body.len() as u64, &mut out);
        assert_eq!(len, Ok(out.len()));
        out.extend(&self.body);
        out
    }
}

/// Any frame that a correct peer may send.
pub(crate) fn any_frame() -> impl Strategy<Value = Sent> {
    let kind = prop::sample::select(&Kind::ALL[..]);
    let numbers = (any::<i64>(), any::<i32>(), any::<i32>(), any::<i32>());
    let body = prop_oneof![Just(Vec::new()), vec(any::<u8>(), 0..200)];
    (kind, numbers, "\\PC{0,40}", "\\PC{0,40}", body).prop_map(
        |(kind, numbers, text, more, body)| {
            let has_body = Limits::DEFAULT.max_body(kind) > 0;
            let body = if has_body { body } else { Vec::new() };
            Sent {
                kind,
                numbers,
                text,
                more,
                body,
            }
        },
    )
}

/// The pieces of `bytes` between cuts.
pub(crate) fn split<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2)
        .map(|pair| &bytes[pair[0]..pair[1]])
        .collect()
}
