//! Bytes that no correct peer sends: an error or a bounded wish for more, never a panic. The allocation side
//! of it is in `tests/allocation.rs`.

use proptest::collection::vec;
use proptest::prelude::*;
use ringrail_codec::native::*;

use crate::any_frame::Frame;
use crate::strategies::any_frame;

fn decode_everything(bytes: &[u8]) {
    let limits = Limits::DEFAULT;
    if let Ok(Step::NeedMore { at_least }) = decode_frame(bytes, &limits) {
        assert!(at_least > bytes.len() && at_least <= limits.max_frame_len());
    }
    if let Ok(Step::Frame {
        header,
        body,
        consumed,
    }) = decode_frame(bytes, &limits)
    {
        assert!(consumed <= bytes.len() && body.len() <= consumed - HEADER_LEN);
        assert!(header.body_len <= limits.max_body(header.kind));
        let _ = Frame::parse(&header, body);
    }
    if let Ok(HelloStep::NeedMore { at_least }) = Hello::decode(bytes, limits.max_hello_ext_len) {
        let most = Hello::FIXED_LEN + padded_len(limits.max_hello_ext_len as usize);
        assert!(at_least > bytes.len() && at_least <= most);
    }
    if let Ok(RefusalStep::NeedMore { at_least }) = Refusal::decode(bytes, 100) {
        assert!(at_least > bytes.len() && at_least <= Refusal::FIXED_LEN + 100);
    }
}

proptest! {
    #[test]
    fn garbage(bytes in vec(any::<u8>(), 0..300)) {
        decode_everything(&bytes);
    }

    #[test]
    fn garbage_behind_a_known_first_byte(
        kind in prop::sample::select(&Kind::ALL[..]),
        bytes in vec(any::<u8>(), 31..300),
    ) {
        let mut frame = vec![kind as u8];
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

    #[test]
    fn handshakes_with_one_byte_changed(
        at in 0..80usize,
        with in any::<u8>(),
        refusal in any::<bool>(),
    ) {
        let mut bytes = [0; 80];
        if refusal {
            Refusal::new(RefusalCode::Busy, "busy").encode(&mut bytes).expect("room");
        } else {
            let terms = Terms::new(&Limits::DEFAULT);
            Hello { terms, ext: b"token" }.encode(&mut bytes).expect("room");
        }
        bytes[at] = with;
        decode_everything(&bytes);
    }
}
