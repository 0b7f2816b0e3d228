//! Frames that Spark refuses are refused with the same texts.

use ringrail_codec::spark::{FrameError, Limits, decode_head};

use crate::stored::{self, bytes, list, text};

fn refusal(wire: &[u8]) -> FrameError {
    decode_head(wire, &Limits::DEFAULT).expect_err("Spark closes the connection for it")
}

#[test]
fn what_spark_refuses_is_refused_in_its_words() {
    let stored = stored::refusals();
    let mut in_words = 0;
    for fixture in list(&stored, "refused") {
        let error = refusal(&bytes(fixture, "hex"));
        match fixture["spark"].as_str() {
            Some(words) => {
                in_words += 1;
                assert_eq!(error.to_string(), words, "{}", fixture["name"]);
            }
            None => assert!(
                matches!(error, FrameError::Malformed { .. }),
                "{}: {error}",
                fixture["name"]
            ),
        }
    }
    assert_eq!(in_words, 10);
}

#[test]
fn what_is_refused_beyond_that_is_refused_clearly() {
    let stored = stored::refusals();
    for fixture in list(&stored, "stricter") {
        let error = refusal(&bytes(fixture, "hex"));
        assert_eq!(
            error.to_string(),
            text(fixture, "ours"),
            "{}",
            fixture["name"]
        );
    }
}

#[test]
fn a_bad_length_is_refused_by_its_eight_bytes() {
    let stored = stored::refusals();
    let mut early = 0;
    for fixture in list(&stored, "refused") {
        let wire = bytes(fixture, "hex");
        if wire[4..8] != [0, 0, 0, 9] && refusal(&wire) == refusal_of_length(&wire) {
            early += 1;
        }
    }
    assert_eq!(early, 7, "the bad lengths of the list");
}

/// The refusal of a length alone; of a frame that is refused for something else a placeholder.
fn refusal_of_length(wire: &[u8]) -> FrameError {
    decode_head(&wire[..8], &Limits::DEFAULT)
        .err()
        .unwrap_or(FrameError::UserType)
}

#[test]
fn the_body_length_in_a_header_is_not_looked_at() {
    use ringrail_codec::spark::Step;
    let wire = stored::unhex("0000000000000018 03 0102030405060708 0000ffff 414243");
    let step = decode_head(&wire, &Limits::DEFAULT).expect("Spark takes it");
    assert!(matches!(step, Step::Head(head) if head.body() == (21..24)));
}
