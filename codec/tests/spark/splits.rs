//! Any frame survives the way over the wire, however its bytes are split.

use proptest::collection::vec;
use proptest::prelude::*;
use ringrail_codec::spark::*;

use crate::strategies::{Sent, any_frame, split};

/// A frame as it came out: the head written again, and the body.
type Came = (Vec<u8>, Vec<u8>);

fn came(head: &Head<'_>) -> Came {
    let mut out = vec![0; head.frame.head_len()];
    head.frame
        .encode_head(head.body_len, &mut out)
        .expect("room");
    (out, Vec::new())
}

/// Reads all pieces with the reader; `direct` bodies are received past it.
fn receive(pieces: &[&[u8]], direct: bool) -> Vec<Came> {
    let mut reader = FrameReader::new(Limits::DEFAULT);
    let mut frames: Vec<Came> = Vec::new();
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            let left = reader.body_left();
            if direct && left > 0 {
                let len = rest.len().min(left as usize);
                reader.body_received(len as u64);
                frames.last_mut().expect("a head").1.extend(&rest[..len]);
                rest = &rest[len..];
                continue;
            }
            let (used, event) = reader.read(rest).expect("good frames");
            match event {
                Event::Head(head) => frames.push(came(&head)),
                Event::Body { bytes, last } => {
                    assert_eq!(bytes.as_ptr(), rest.as_ptr(), "a body is not moved");
                    assert_eq!(last, bytes.len() as u64 == left);
                    frames.last_mut().expect("a head").1.extend(bytes);
                }
                Event::NeedMore { missing } => {
                    assert!(missing > 0 && used == rest.len());
                    assert!(reader.kept() > 0);
                }
            }
            rest = &rest[used..];
        }
    }
    assert_eq!((reader.body_left(), reader.kept()), (0, 0));
    frames
}

fn expected(sent: &[Sent]) -> Vec<Came> {
    let head = |one: &Sent| one.bytes()[..one.frame().head_len()].to_vec();
    sent.iter()
        .map(|one| (head(one), one.body.clone()))
        .collect()
}

proptest! {
    #[test]
    fn any_frame_round_trips(sent in any_frame()) {
        let bytes = sent.bytes();
        let step = decode_head(&bytes, &Limits::DEFAULT).expect("a frame");
        let Step::Head(head) = step else { panic!("{step:?}") };
        prop_assert_eq!(head.frame, sent.frame());
        prop_assert_eq!(head.body(), (bytes.len() - sent.body.len()) as u64..bytes.len() as u64);
    }

    #[test]
    fn any_split_gives_the_same_frames(
        sent in vec(any_frame(), 1..6),
        cuts in vec(any::<prop::sample::Index>(), 0..20),
        direct in any::<bool>(),
    ) {
        let wire: Vec<u8> = sent.iter().flat_map(Sent::bytes).collect();
        prop_assert_eq!(receive(&split(&wire, &cuts), direct), expected(&sent));
    }

    #[test]
    fn byte_by_byte(sent in vec(any_frame(), 1..4)) {
        let wire: Vec<u8> = sent.iter().flat_map(Sent::bytes).collect();
        let pieces: Vec<&[u8]> = wire.chunks(1).collect();
        prop_assert_eq!(receive(&pieces, false), expected(&sent));
    }

    #[test]
    fn no_more_is_asked_for_than_the_head_takes(sent in any_frame(), len in any::<prop::sample::Index>()) {
        let head_len = sent.frame().head_len();
        let bytes = sent.bytes();
        let len = len.index(head_len);
        let step = decode_head(&bytes[..len], &Limits::DEFAULT).expect("its beginning is good");
        let Step::NeedMore { at_least } = step else { panic!("{step:?}") };
        prop_assert!(at_least > len && at_least <= head_len);
    }
}

#[test]
#[should_panic(expected = "more than the rest of the body")]
fn a_body_has_no_more_than_its_bytes() {
    FrameReader::new(Limits::DEFAULT).body_received(1);
}
