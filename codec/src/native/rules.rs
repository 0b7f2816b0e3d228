//! The permitted header fields of each kind, as one table, so that a header is checked without a branch per
//! field. [`Header::decode`](super::Header::decode) reads it; `docs/wire-format.md` specifies the same in
//! words.

use super::{Flags, Kind};

/// The bits that must be zero in a header of one kind, as the header's four little-endian words.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    pub(super) kind: Option<Kind>,
    pub(super) zero: [u64; 4],
}

const fn rule(kind: Kind) -> Rule {
    use Kind::*;
    let has_body = !matches!(kind, StreamEnd | UploadEnd | Cancel | Credit | Ping | Pong);
    let mut allowed = Flags::NONE.with_if(Flags::CRC, has_body);
    allowed = match kind {
        RpcRequest | RpcReply | OneWay | ChunkData => allowed.with(Flags::MORE),
        RpcSlice => allowed
            .with(Flags::MORE)
            .with(Flags::REPLY)
            .with(Flags::ONE_WAY),
        RpcFailure | ChunkFailure | StreamFailure => allowed.with(Flags::RETRYABLE),
        Credit => allowed.with(Flags::REPLY),
        _ => allowed,
    };
    let has_code = matches!(kind, RpcFailure | ChunkFailure | StreamFailure | Drain);
    let has_id = !matches!(kind, Drain | Ping | Pong);
    let has_arg = !matches!(kind, RpcFailure | ChunkFailure | StreamFailure | Cancel);
    let has_aux = matches!(
        kind,
        RpcRequest
            | RpcSlice
            | ChunkRequest
            | ChunkData
            | StreamRequest
            | StreamData
            | Upload
            | UploadData
    );
    let flags = (!allowed.bits() as u64) << 8;
    let code = zero_unless(has_code, 0xffff_0000);
    let body_len = zero_unless(has_body, 0xffff_ffff_0000_0000);
    Rule {
        kind: Some(kind),
        zero: [
            flags | code | body_len,
            zero_unless(has_id, u64::MAX),
            zero_unless(has_arg, u64::MAX),
            zero_unless(has_aux, 0xffff_ffff),
        ],
    }
}

const fn zero_unless(used: bool, bits: u64) -> u64 {
    if used { 0 } else { bits }
}

/// The rule of every possible kind byte; `kind` is `None` where no kind has the number.
pub(super) static RULES: [Rule; 256] = {
    let unknown = Rule {
        kind: None,
        zero: [u64::MAX; 4],
    };
    let mut rules = [unknown; 256];
    let mut i = 0;
    while i < Kind::ALL.len() {
        let kind = Kind::ALL[i];
        rules[kind as usize] = rule(kind);
        i += 1;
    }
    rules
};
