//! A stream of Spark's frames: what is accepted means exactly its bytes, however they are split.

use ringrail_codec::spark::*;

/// The first byte says how the rest is split.
pub(crate) fn check(data: &[u8]) {
    let Some((&step, data)) = data.split_first() else {
        return;
    };
    let limits = Limits {
        max_failure_len: 4 << 10,
        max_meta_len: 4 << 10,
        ..Limits::DEFAULT
    };
    let whole = read_whole(data, &limits);
    let split = read_split(data, usize::from(step).max(1), &limits);
    assert_eq!(split, whole);
}

/// The parse of a stream: the lengths of its heads and bodies, and the error at its end.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    frames: Vec<(Vec<u8>, u64, usize)>,
    error: Option<FrameError>,
}

fn head_again(head: &Head<'_>) -> Vec<u8> {
    let mut out = vec![0; head.frame.head_len()];
    let body_len = match head.frame.kind().body_in_frame() {
        true => head.body_len,
        false => 0,
    };
    let len = head.frame.encode_head(body_len, &mut out);
    assert_eq!(len, Ok(head.len));
    out
}

fn read_whole(data: &[u8], limits: &Limits) -> Found {
    let mut found = Found {
        frames: Vec::new(),
        error: None,
    };
    let mut rest = data;
    loop {
        match decode_head(rest, limits) {
            Ok(Step::Head(head)) => {
                check_head(&head, &rest[..head.len], limits);
                let body = usize::try_from(head.body_len).unwrap_or(usize::MAX);
                let came = body.min(rest.len() - head.len);
                found.frames.push((head_again(&head), head.body_len, came));
                rest = &rest[head.len + came..];
                if rest.is_empty() {
                    return found;
                }
            }
            Ok(Step::NeedMore { at_least }) => {
                assert!(at_least > rest.len() && at_least <= limits.max_head_len());
                return found;
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                found.error = Some(error);
                return found;
            }
        }
    }
}

/// A head written again has the same bytes, but for the length that readers do not look at; and no part of it
/// means something else.
fn check_head(head: &Head<'_>, bytes: &[u8], limits: &Limits) {
    let kind = head.frame.kind();
    assert!(head.body_len <= limits.max_body(kind) && head.len <= limits.max_head(kind));
    let again = head_again(head);
    let compared = match kind {
        Kind::RpcRequest | Kind::RpcResponse | Kind::OneWayMessage => bytes.len() - 4,
        _ => bytes.len(),
    };
    assert_eq!(again[..compared], bytes[..compared]);
    for len in [0, 8, 9, bytes.len() - 1] {
        let step = decode_head(&bytes[..len.min(bytes.len() - 1)], limits);
        assert!(matches!(step, Ok(Step::NeedMore { at_least }) if at_least <= bytes.len()));
    }
}

fn read_split(data: &[u8], step: usize, limits: &Limits) -> Found {
    let mut found = Found {
        frames: Vec::new(),
        error: None,
    };
    let mut reader = FrameReader::new(*limits);
    for piece in data.chunks(step) {
        let mut rest = piece;
        while !rest.is_empty() {
            let (used, event) = match reader.read(rest) {
                Ok(read) => read,
                Err(error) => {
                    assert_eq!(reader.read(rest), Err(error));
                    found.error = Some(error);
                    return found;
                }
            };
            match event {
                Event::Head(head) => found.frames.push((head_again(&head), head.body_len, 0)),
                Event::Body { bytes, .. } => {
                    found.frames.last_mut().expect("a head").2 += bytes.len();
                }
                Event::NeedMore { .. } => assert_eq!(used, rest.len()),
            }
            rest = &rest[used..];
        }
        assert!(reader.kept() < limits.max_head_len());
    }
    found
}
