//! What each kind allows in its header, as one table, so that a header is checked without a branch per
//! field. [`Header::decode`](super::Header::decode) reads it; `docs/wire-format.md` says the same in words.

use super::{Flags, Kind};

/// The bits that must be zero in a header of one kind.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    pub(super) kind: Option<Kind>,
    pub(super) flags: u8,
    pub(super) code: u16,
    pub(super) body_len: u32,
    pub(super) id: u64,
    pub(super) arg: u64,
    pub(super) aux: u32,
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
    Rule {
        kind: Some(kind),
        flags: !allowed.bits(),
        code: if has_code { 0 } else { u16::MAX },
        body_len: if has_body { 0 } else { u32::MAX },
        id: if has_id { 0 } else { u64::MAX },
        arg: if has_arg { 0 } else { u64::MAX },
        aux: if has_aux { 0 } else { u32::MAX },
    }
}

/// The rule of every possible kind byte; `kind` is `None` where no kind has the number.
pub(super) static RULES: [Rule; 256] = {
    let unknown = Rule {
        kind: None,
        flags: 0,
        code: 0,
        body_len: 0,
        id: 0,
        arg: 0,
        aux: 0,
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
