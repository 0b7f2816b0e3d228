//! Archives: their pinned bytes, the validation, and writing into buffers of any size.

use proptest::prelude::*;
use ringrail_codec::archive::*;
use ringrail_codec::native::FailureCode;
use rkyv::util::AlignedVec;
use rkyv::{Archive, Deserialize, Serialize};

use crate::stored::{bytes, fixture, little, unhex};

#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Sample {
    small: u8,
    wide: u64,
    name: String,
    list: Vec<u16>,
    maybe: Option<u32>,
}

fn sample() -> Sample {
    Sample {
        small: 7,
        wide: 0x1122_3344_5566_7788,
        name: "longer than eight".to_owned(),
        list: vec![1, 0x0203],
        maybe: Some(5),
    }
}

fn aligned(bytes: &[u8]) -> AlignedVec<16> {
    let mut out = AlignedVec::new();
    out.extend_from_slice(bytes);
    out
}

fn encoded(value: &impl Encode) -> AlignedVec<16> {
    let mut out = Vec::new();
    encode_to_vec(value, &mut out).expect("serialises");
    aligned(&out)
}

/// The bytes of [`sample`], written by hand from rkyv's format description: texts and lists first, each at
/// its alignment, then the struct, whose pointers count from themselves.
#[test]
fn the_archive_format_is_pinned() {
    let by_hand = unhex(
        "6c6f6e676572207468616e206569676874 00 0100 0302 0000
         07 00000000000000 8877665544332211
         91000000 d8ffffff e2ffffff 02000000
         01 000000 05000000",
    );
    assert_eq!(encoded(&sample())[..], by_hand[..]);
    assert_eq!(
        access::<Sample>(&aligned(&by_hand)).expect("valid").wide,
        sample().wide
    );
}

#[test]
fn the_stored_failure_read_by_hand() {
    let body = bytes(&fixture("frames", "rpc_failure"), "body");
    let root = body.len() - 20;
    assert_eq!(
        little(&body, root, 2),
        u64::from(FailureCode::Busy.to_wire())
    );
    assert_eq!((body[root + 2], body[root + 3]), (1, Phase::Dispatch as u8));
    let relative = little(&body, root + 8, 4) as u32 as i32;
    let text_at = (root as i32 + 4 + relative) as usize;
    assert_eq!(&body[text_at..text_at + 24], b"endpoint counter is full");
    assert_eq!(little(&body, root + 16, 4), 2, "two causes");
}

#[test]
fn a_view_reads_what_was_written() {
    let bytes = encoded(&sample());
    let view = access::<Sample>(&bytes).expect("valid");
    assert_eq!(view.name.as_str(), "longer than eight");
    assert_eq!(view.list[1].to_native(), 0x0203);
    assert_eq!(decode::<Sample>(&bytes).expect("valid"), sample());
}

#[test]
fn misaligned_bytes_are_told_apart_from_bad_ones() {
    let bytes = encoded(&sample());
    for off in 1..16 {
        let mut shifted = AlignedVec::<16>::new();
        shifted.extend_from_slice(&vec![0; off]);
        shifted.extend_from_slice(&bytes);
        let error = access::<Sample>(&shifted[off..]).err().expect("misaligned");
        assert!(matches!(error, ArchiveError::Misaligned { off: told } if told == off));
        assert_eq!(
            decode::<Sample>(&shifted[off..]).expect("copied first"),
            sample()
        );
    }
}

#[test]
fn a_short_archive_says_what_it_should_have_been() {
    let error = access::<Sample>(&aligned(&[0; 16]))
        .err()
        .expect("too short");
    assert!(
        error
            .to_string()
            .contains("16 bytes are not a valid archive of"),
        "{error}"
    );
    assert!(error.to_string().contains("Sample"));
    assert!(access::<Sample>(&[]).is_err());
}

#[test]
fn nothing_is_an_archive_of_nothing_wherever_it_lies() {
    let bytes = aligned(&[0; 16]);
    for at in 0..16 {
        assert!(access::<()>(&bytes[at..at]).is_ok());
        assert!(decode::<()>(&bytes[at..at]).is_ok());
        assert!(decode::<u64>(&bytes[at..at]).is_err());
    }
    assert_eq!(encoded(&()).len(), 0);
}

#[test]
fn the_exact_room_is_named() {
    let value = sample();
    let need = encoded(&value).len();
    for room in 0..need {
        let mut out = vec![0; room];
        match encode_into(&value, &mut out) {
            Err(EncodeError::NoRoom {
                need: told,
                room: had,
            }) => assert_eq!((told, had), (need, room)),
            other => panic!("{other:?} in {room} bytes"),
        }
    }
    let mut out = aligned(&vec![0; need + 5]);
    assert_eq!(encode_into(&value, &mut out).expect("room"), need);
    assert_eq!(decode::<Sample>(&out[..need]).expect("valid"), value);
}

/// The overflow of a write, and the number of times that it began.
#[derive(Debug, Default)]
struct Rest {
    bytes: Vec<u8>,
    begun: u32,
}

impl Overflow for Rest {
    fn begin(&mut self, begun: &[u8]) {
        self.bytes.extend_from_slice(begun);
        self.begun += 1;
    }

    fn append(&mut self, bytes: &[u8]) {
        assert_eq!(self.begun, 1, "begun first, and once");
        self.bytes.extend_from_slice(bytes);
    }
}

#[test]
fn what_does_not_fit_goes_on_elsewhere_from_its_first_byte() {
    let value = sample();
    let (whole, mut arena) = (encoded(&value), Arena::new());
    for room in 0..whole.len() + 3 {
        let (mut out, mut rest) = (aligned(&vec![0; room]), Rest::default());
        match encode_or_spill(&value, &mut out, &mut rest, &mut arena).expect("serialises") {
            Some(len) => {
                assert_eq!((&out[..len], rest.begun), (&whole[..], 0), "{room} bytes");
            }
            None => assert_eq!(rest.bytes, whole[..], "{room} bytes"),
        }
        assert_eq!(rest.begun == 0, room >= whole.len());
    }
}

#[test]
fn a_vector_is_extended_where_it_is_aligned() {
    let mut out = vec![9; 32];
    let len = encode_to_vec(&sample(), &mut out).expect("aligned");
    assert_eq!((out.len(), &out[..32]), (32 + len, &[9; 32][..]));
    let mut off = vec![9; 33];
    assert!(matches!(
        encode_to_vec(&sample(), &mut off),
        Err(EncodeError::Misaligned { off: 1 })
    ));
    assert_eq!(off.len(), 33);
}

#[derive(Archive, Serialize, Deserialize)]
#[rkyv(
    serialize_bounds(__S: rkyv::ser::Writer + rkyv::ser::Allocator, __S::Error: rkyv::rancor::Source),
    deserialize_bounds(__D::Error: rkyv::rancor::Source),
    bytecheck(bounds(__C: rkyv::validation::ArchiveContext, __C::Error: rkyv::rancor::Source))
)]
struct Chain {
    #[rkyv(omit_bounds)]
    next: Option<Box<Chain>>,
}

fn chain(len: usize) -> Chain {
    (1..len).fold(Chain { next: None }, |tail, _| Chain {
        next: Some(Box::new(tail)),
    })
}

#[test]
fn deep_archives_are_refused_before_they_cost_stack() {
    // A chain of n links is n levels deep.
    let deepest =
        (1..=MAX_DEPTH * 2).take_while(|&links| access::<Chain>(&encoded(&chain(links))).is_ok());
    assert_eq!(deepest.last(), Some(MAX_DEPTH));
    let deep = encoded(&chain(MAX_DEPTH * 2));
    let without_the_bound = rkyv::access::<ArchivedChain, rkyv::rancor::Error>(&deep);
    assert!(without_the_bound.is_ok(), "it is good but for its depth");
}

#[test]
fn a_bounded_failure_keeps_its_nearest_causes() {
    let mut failure = FailureBody::new(FailureCode::Internal, Phase::Send, "message");
    failure.causes = (0..100).map(|i| format!("cause {i}")).collect();
    failure.bound(usize::MAX);
    assert_eq!(failure.causes.len(), FailureBody::MAX_CAUSES);
    assert_eq!(failure.causes[15], "cause 15");
}

fn failures() -> impl Strategy<Value = FailureBody> {
    let causes = prop::collection::vec("\\PC{0,200}", 0..20);
    (any::<u16>(), any::<bool>(), "\\PC{0,400}", causes).prop_map(
        |(code, retryable, message, causes)| FailureBody {
            code,
            retryable,
            phase: Phase::Handle,
            message,
            causes,
        },
    )
}

proptest! {
    #[test]
    fn failures_round_trip(failure in failures()) {
        let bytes = encoded(&failure);
        let back = FailureBody::decode(FailureCode::Internal, false, &bytes);
        prop_assert_eq!(back.expect("valid"), failure);
    }

    #[test]
    fn a_bounded_failure_fits_and_keeps_its_code(mut failure in failures(), max_len in 24..3000usize) {
        let before = failure.clone();
        failure.bound(max_len);
        prop_assert!(encoded(&failure).len() <= max_len.max(28));
        prop_assert_eq!((failure.code, failure.retryable), (before.code, before.retryable));
        prop_assert!(before.message.starts_with(&failure.message));
        prop_assert!(before.causes.starts_with(&failure.causes));
    }

    #[test]
    fn changed_archives_are_errors_or_values(at in any::<prop::sample::Index>(), with in any::<u8>()) {
        let mut bytes = encoded(&sample());
        let at = at.index(bytes.len());
        bytes[at] = with;
        if let Ok(view) = access::<Sample>(&bytes) {
            // A validated archive can be read to its end.
            let sum: u64 = view.list.iter().map(|item| u64::from(item.to_native())).sum();
            prop_assert!(view.name.len() as u64 + sum < u64::MAX);
        }
    }

    #[test]
    fn garbage_archives(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = aligned(&bytes);
        let _ = access::<Sample>(&bytes);
        let _ = access::<Chain>(&bytes);
        let _ = FailureBody::decode(FailureCode::Internal, false, &bytes);
    }
}
