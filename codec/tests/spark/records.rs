//! Records: any split of the bytes, and every change of them.

use proptest::collection::vec;
use proptest::prelude::*;
use ringrail_codec::spark::auth::*;

use crate::seeded::{Seeded, pattern};
use crate::strategies::split;

/// Both ends of a session.
fn session(version: EngineVersion, cipher: Cipher) -> (Records, Records) {
    let mut random = Seeded(11);
    let engine = AuthEngine { version, cipher };
    let sasl_fallback = false;
    let secret = || Secret::from("s3cret");
    let mut client = ClientAuth::new(
        ClientMode::Engine {
            engine,
            sasl_fallback,
        },
        "app-1",
        secret(),
    );
    let mut server = ServerAuth::new(ServerMode::Engine {
        engine,
        sasl_fallback,
    });
    let (mut asked, mut reply) = (Vec::new(), Vec::new());
    client.start(&mut random, &mut asked).expect("starts");
    let server = server.receive(&asked, &|_| Some(secret()), &mut random, &mut reply);
    let client = client.receive(&reply, &mut random, &mut asked);
    match (client, server) {
        (Ok(ClientStep::Done(client)), Ok(ServerStep::Done(server))) => {
            (client.records.expect("some"), server.records.expect("some"))
        }
        other => panic!("{other:?}"),
    }
}

fn open(opener: &mut Opener, pieces: &[&[u8]]) -> Result<Vec<u8>, RecordError> {
    let mut plain = Vec::new();
    for piece in pieces {
        let mut piece = piece.to_vec();
        let mut rest = &mut piece[..];
        while !rest.is_empty() {
            let opened = opener.open(rest)?;
            plain.extend_from_slice(opened.plaintext);
            let used = opened.used;
            rest = &mut rest[used..];
        }
    }
    Ok(plain)
}

fn ciphers() -> impl Strategy<Value = (EngineVersion, Cipher)> {
    let versions = prop::sample::select(&[EngineVersion::V1, EngineVersion::V2][..]);
    let ciphers = prop::sample::select(&[Cipher::AesCtr, Cipher::AesGcm][..]);
    (versions, ciphers)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_split_gives_the_same_bytes(
        (version, cipher) in ciphers(),
        lens in vec(prop_oneof![0..200usize, 32_700..32_800usize, Just(65_504)], 1..4),
        cuts in vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let (mut near, mut far) = session(version, cipher);
        let mut random = Seeded(12);
        let (mut wire, mut sent) = (Vec::new(), Vec::new());
        for len in lens {
            let body = pattern(len);
            let (head, body) = body.split_at(len / 3);
            near.sealer.seal(&[head, b"", body], &mut random, &mut wire).expect("short");
            sent.extend_from_slice(head);
            sent.extend_from_slice(body);
        }
        let found = open(&mut far.opener, &split(&wire, &cuts)).expect("good");
        prop_assert!(found == sent);
    }

    #[test]
    fn a_changed_message_is_refused(
        version in prop::sample::select(&[EngineVersion::V1, EngineVersion::V2][..]),
        len in prop_oneof![1..200usize, Just(40_000)],
        at in any::<prop::sample::Index>(),
        bit in 0..8u32,
    ) {
        let (mut near, mut far) = session(version, Cipher::AesGcm);
        let mut wire = Vec::new();
        let body = pattern(len);
        near.sealer.seal(&[&body], &mut Seeded(13), &mut wire).expect("short");
        let at = at.index(wire.len());
        wire[at] ^= 1 << bit;
        // A changed length may make it wait for more; it never gives out anything that was not sent.
        if let Ok(found) = open(&mut far.opener, &[&wire]) {
            prop_assert!(at < 8 && body.starts_with(&found) && found.len() < len);
        } else {
            let again = open(&mut far.opener, &[b"more"]);
            prop_assert!(again.is_err(), "an error is for ever");
        }
    }
}

fn sealed(records: &mut Records, body: &[u8], seed: u64) -> Vec<u8> {
    let mut wire = Vec::new();
    records
        .sealer
        .seal(&[body], &mut Seeded(seed), &mut wire)
        .expect("short");
    wire
}

#[test]
fn messages_without_plaintext_have_no_segment() {
    let (mut near, mut far) = session(EngineVersion::V2, Cipher::AesGcm);
    let wire = sealed(&mut near, b"", 14);
    assert_eq!(wire.len(), 8 + 24);
    let wire = [wire, sealed(&mut near, b"next", 15)].concat();
    assert_eq!(open(&mut far.opener, &[&wire]), Ok(b"next".to_vec()));
}

#[test]
fn segments_keep_their_order_and_their_end() {
    let (mut near, _) = session(EngineVersion::V2, Cipher::AesGcm);
    let wire = sealed(&mut near, &pattern(80_000), 16);
    let (head, segments) = wire.split_at(32);
    let (first, rest) = segments.split_at(32_768);
    let (second, third) = rest.split_at(32_768);
    let refused = |parts: &[&[u8]]| {
        let (_, mut far) = session(EngineVersion::V2, Cipher::AesGcm);
        open(&mut far.opener, parts)
    };
    assert_eq!(
        refused(&[head, second, first, third]),
        Err(RecordError::Damaged)
    );
    assert_eq!(
        refused(&[head, first, first, third]),
        Err(RecordError::Damaged)
    );
    // Cut after two segments, with a length that says so: the key is another, and the second not the last.
    let mut cut = head.to_vec();
    cut[..8].copy_from_slice(&(32u64 + 65_536).to_be_bytes());
    assert_eq!(refused(&[&cut, first, second]), Err(RecordError::Damaged));
    assert!(refused(&[head, first, second, third]).is_ok());
}

#[test]
fn what_cannot_begin_a_message_is_refused() {
    let (mut near, _) = session(EngineVersion::V1, Cipher::AesGcm);
    let wire = sealed(&mut near, b"x", 17);
    let with = |total: i64, head_len: u8| {
        let mut wire = wire.clone();
        wire[..8].copy_from_slice(&total.to_be_bytes());
        wire[8] = head_len;
        let (_, mut far) = session(EngineVersion::V1, Cipher::AesGcm);
        open(&mut far.opener, &[&wire])
    };
    assert_eq!(with(65, 40), Ok(b"x".to_vec()));
    let none = 8 + 40;
    for total in [
        -1,
        i64::MIN,
        0,
        none - 1,
        none + 1,
        none + 16,
        none + 32_768 + 16,
        i64::MAX,
    ] {
        assert_eq!(with(total, 40), Err(RecordError::Head { total }), "{total}");
    }
    assert_eq!(
        with(65, 24),
        Err(RecordError::Head { total: 65 }),
        "the head of another key"
    );
    // Plain frames, as of a peer that does not encrypt.
    let (_, mut far) = session(EngineVersion::V1, Cipher::AesGcm);
    let error = open(&mut far.opener, &[&[0; 100]]).expect_err("no message");
    assert!(
        error.to_string().contains("spark.network.crypto.cipher"),
        "{error}"
    );
}

#[test]
fn other_keys_read_nothing() {
    let (mut near, _) = session(EngineVersion::V2, Cipher::AesGcm);
    let wire = sealed(&mut near, b"secret words", 18);
    let mut random = Seeded(99);
    let engine = AuthEngine {
        version: EngineVersion::V2,
        cipher: Cipher::AesGcm,
    };
    let mode = ClientMode::Engine {
        engine,
        sasl_fallback: false,
    };
    let mut client = ClientAuth::new(mode, "app-1", Secret::from("s3cret"));
    let mut asked = Vec::new();
    client.start(&mut random, &mut asked).expect("starts");
    let mut server = ServerAuth::new(ServerMode::Engine {
        engine,
        sasl_fallback: false,
    });
    let secret = |_: &str| Some(Secret::from("s3cret"));
    let step = server.receive(&asked, &secret, &mut random, &mut Vec::new());
    let Ok(ServerStep::Done(Authenticated {
        records: Some(mut other),
        ..
    })) = step
    else {
        panic!("{step:?}");
    };
    assert_eq!(open(&mut other.opener, &[&wire]), Err(RecordError::Damaged));
}

#[test]
fn a_message_is_sent_segment_by_segment_as_in_whole() {
    let (near, mut far) = session(EngineVersion::V2, Cipher::AesGcm);
    let Sealer::Gcm(sender) = &near.sealer else {
        panic!("not GCM")
    };
    let body = pattern(40_000);
    let mut whole = Vec::new();
    sender
        .seal(&[&body], &mut Seeded(19), &mut whole)
        .expect("short");
    assert_eq!(sender.sealed_len(40_000), Ok(whole.len() as u64));
    let mut message = sender.begin(40_000, &mut Seeded(19)).expect("short");
    let mut wire = message.head().to_vec();
    let mut rest = &body[..];
    while let Some(len) = message.next_len() {
        let (plain, behind) = rest.split_at(len);
        let mut segment = [plain, &[0; GcmMessage::TAG_LEN]].concat();
        message.seal_next(&mut segment);
        wire.extend(segment);
        rest = behind;
    }
    assert!(wire == whole);
    assert_eq!(open(&mut far.opener, &[&wire]), Ok(body));
}
