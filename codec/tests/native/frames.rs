//! Any frame survives the way over the wire, however its bytes are split.

use proptest::collection::vec;
use proptest::prelude::*;
use ringrail_codec::native::*;

use crate::any_frame::Frame;
use crate::strategies::{Sent, any_frame};

/// Reads frames as an engine does: bytes arrive in pieces, the decoder says when it is worth looking.
fn receive(pieces: &[&[u8]]) -> Vec<(Header, Vec<u8>)> {
    let mut frames = Vec::new();
    let mut buf: Vec<u8> = Vec::new();
    let mut wanted = 0;
    for piece in pieces {
        buf.extend_from_slice(piece);
        while buf.len() >= wanted {
            match decode_frame(&buf, &Limits::DEFAULT).expect("a frame") {
                Step::NeedMore { at_least } => {
                    assert!(at_least > buf.len(), "asks for what it has");
                    wanted = at_least;
                }
                Step::Frame {
                    header,
                    body,
                    consumed,
                } => {
                    frames.push((header, body.to_vec()));
                    buf.drain(..consumed);
                    wanted = 0;
                }
            }
        }
    }
    assert!(buf.is_empty(), "{} bytes are left", buf.len());
    frames
}

fn split<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2)
        .map(|pair| &bytes[pair[0]..pair[1]])
        .collect()
}

proptest! {
    #[test]
    fn any_frame_round_trips(frame in any_frame()) {
        let bytes = frame.bytes();
        prop_assert_eq!(bytes.len() % ALIGN, 0);
        let step = decode_frame(&bytes, &Limits::DEFAULT);
        let expected = Step::Frame { header: frame.header, body: &frame.body, consumed: bytes.len() };
        prop_assert_eq!(step, Ok(expected));
        prop_assert_eq!(frame.header.check_body(&frame.body), Ok(()));
        let parsed = Frame::parse(&frame.header, &frame.body).expect("a good frame");
        let mut again = parsed.header(frame.header.body_len);
        if frame.header.flags.contains(Flags::CRC) {
            again = again.with_crc_of(&frame.body);
        }
        prop_assert_eq!(again, frame.header);
    }

    #[test]
    fn any_split_gives_the_same_frames(
        frames in vec(any_frame(), 0..8),
        cuts in vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let bytes: Vec<u8> = frames.iter().flat_map(Sent::bytes).collect();
        let got = receive(&split(&bytes, &cuts));
        let expected: Vec<_> = frames.into_iter().map(|frame| (frame.header, frame.body)).collect();
        prop_assert_eq!(got, expected);
    }

    #[test]
    fn every_prefix_wants_more_and_no_more_than_the_frame(frame in any_frame()) {
        let bytes = frame.bytes();
        for len in 0..bytes.len() {
            let step = decode_frame(&bytes[..len], &Limits::DEFAULT);
            let expected = if len < HEADER_LEN { HEADER_LEN } else { bytes.len() };
            prop_assert_eq!(step, Ok(Step::NeedMore { at_least: expected }));
        }
    }
}

#[test]
fn frames_byte_by_byte() {
    let frames = [
        Ping { opaque: 1 }.header().encode().to_vec(),
        bytes_of(
            RpcReply {
                id: 2,
                total_len: 17,
            }
            .header(17),
            &[5; 17],
        ),
    ];
    let bytes = frames.concat();
    let pieces: Vec<&[u8]> = bytes.chunks(1).collect();
    let got = receive(&pieces);
    assert_eq!(got.len(), 2);
    assert_eq!(got[1].1, [5; 17]);
}

fn bytes_of(header: Header, body: &[u8]) -> Vec<u8> {
    Sent {
        header,
        body: body.to_vec(),
    }
    .bytes()
}
