//! Bytes that no correct peer sends: an error or a bounded wish for more, never a panic. The allocation side
//! of it is in `tests/allocation`.

use proptest::collection::vec;
use proptest::prelude::*;
use ringrail_codec::spark::*;

use crate::strategies::any_frame;

fn decode_everything(bytes: &[u8]) {
    let limits = Limits::DEFAULT;
    match decode_head(bytes, &limits) {
        Ok(Step::NeedMore { at_least }) => {
            assert!(at_least > bytes.len() && at_least <= limits.max_head_len());
        }
        Ok(Step::Head(head)) => {
            assert!(head.len <= bytes.len() && head.len <= limits.max_head(head.frame.kind()));
            assert!(head.body_len <= limits.max_body(head.frame.kind()));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    let mut reader = FrameReader::new(limits);
    let mut rest = bytes;
    while !rest.is_empty() {
        match reader.read(rest) {
            Ok((used, _)) => rest = &rest[used..],
            Err(error) => {
                assert_eq!(reader.read(rest), Err(error), "an error is for ever");
                return;
            }
        }
    }
}

proptest! {
    #[test]
    fn garbage(bytes in vec(any::<u8>(), 0..300)) {
        decode_everything(&bytes);
    }

    #[test]
    fn garbage_behind_a_good_beginning(
        kind in prop::sample::select(&Kind::ALL[..]),
        len in 9..300u16,
        bytes in vec(any::<u8>(), 0..300),
    ) {
        let mut frame = i64::from(len).to_be_bytes().to_vec();
        frame.push(kind as u8);
        frame.extend(bytes);
        decode_everything(&frame);
    }

    #[test]
    fn frames_with_one_byte_changed(
        frame in any_frame(),
        at in any::<prop::sample::Index>(),
        with in any::<u8>(),
    ) {
        let mut bytes = frame.bytes();
        let at = at.index(bytes.len());
        bytes[at] = with;
        decode_everything(&bytes);
    }
}
