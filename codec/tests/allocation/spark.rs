//! Spark's protocol.

use ringrail_codec::spark::*;

use crate::{Numbers, allocations};

#[test]
fn heads_good_and_bad_are_read_without_an_allocation() {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let (mut good, mut bad) = (0, 0);
    for _ in 0..20_000 {
        let mut frame = [0; 96];
        for word in frame.chunks_mut(8) {
            word.copy_from_slice(&numbers.next().to_le_bytes());
        }
        if numbers.next().is_multiple_of(2) {
            // Small lengths and short texts, so that some are good.
            frame[..8].copy_from_slice(&(9 + numbers.next() % 30).to_be_bytes());
            frame[8] = (numbers.next() % 13) as u8;
            frame[9..12].fill(0);
        }
        let (count, _, ok) = allocations(|| decode_head(&frame, &Limits::DEFAULT).is_ok());
        assert_eq!(count, 0);
        if ok { good += 1 } else { bad += 1 }
    }
    assert!(good > 100 && bad > 100, "{good} good, {bad} bad");
}

#[test]
fn a_reader_keeps_what_has_come_and_nothing_for_what_is_announced() {
    let mut reader = FrameReader::new(Limits::DEFAULT);
    let name = "x".repeat(4 << 10);
    let request = StreamRequest { stream_id: &name };
    let mut wire = vec![0; request.encoded_len()];
    request.encode(&mut wire).expect("room");
    let (_, bytes, _) = allocations(|| reader.read(&wire[..13]).is_ok());
    assert!(bytes <= 64, "{bytes} bytes for 13");
    // Bodies take nothing at all, neither announced nor received.
    let mut reader = FrameReader::new(Limits::DEFAULT);
    let head = ChunkFetchSuccess {
        stream_id: 1,
        chunk_index: 0,
    };
    let head = head.head(u64::from(Limits::MAX_BODY_LEN)).expect("fits");
    let (count, _, left) = allocations(|| {
        reader.read(&head).expect("good");
        for _ in 0..100 {
            reader.read(&wire).expect("good");
        }
        reader.body_left()
    });
    let came = 100 * wire.len() as u64;
    assert_eq!((count, left), (0, u64::from(Limits::MAX_BODY_LEN) - came));
}

#[test]
fn frames_are_written_without_an_allocation() {
    let mut out = [0; 64];
    let (count, ..) = allocations(|| {
        let response = RpcResponse { request_id: -1 }.head(100).expect("fits");
        let chunk = ChunkFetchRequest {
            stream_id: 1,
            chunk_index: 2,
        }
        .encode();
        RpcFailure {
            request_id: 3,
            error: "no",
        }
        .encode(&mut out)
        .expect("room");
        (response, chunk)
    });
    assert_eq!(count, 0);
}

#[test]
fn shuffle_messages_good_and_bad_are_read_without_an_allocation() {
    let mut numbers = Numbers(0x2545_f491_4f6c_dd1d);
    let (mut good, mut bad) = (0, 0);
    for _ in 0..20_000 {
        // Mostly zeros, so that some of it is good.
        let mut body = [0; 64];
        body[0] = (numbers.next() % 21) as u8;
        for _ in 0..numbers.next() % 4 {
            body[(numbers.next() % 64) as usize] = numbers.next() as u8;
        }
        let (count, _, ok) = allocations(|| match shuffle::Message::decode(&body) {
            Ok(shuffle::Message::OpenBlocks(open)) => open.block_ids.iter().all(|id| id.len() < 64),
            Ok(shuffle::Message::FetchShuffleBlocks(fetch)) => {
                fetch.reduce_ids.iter().all(|ids| ids.len() < 64)
            }
            message => message.is_ok(),
        });
        assert_eq!(count, 0);
        if ok { good += 1 } else { bad += 1 }
    }
    assert!(good > 100 && bad > 100, "{good} good, {bad} bad");
}

#[test]
fn a_bitmap_is_not_larger_than_its_bytes_allow() {
    // 65,536 containers are announced, and not there.
    let mut body = vec![0x3b, 0x30, 0xff, 0xff];
    body.resize(1000, 0);
    let (count, _, bad) = allocations(|| shuffle::Bitmaps::of_chunks(&body).is_err());
    assert_eq!((count, bad), (0, true));
    // A run of a whole container in 15 bytes stays a run.
    let body = [
        0x3b, 0x30, 0, 0, 1, 0, 0, 0xff, 0xff, 1, 0, 0, 0, 0xff, 0xff,
    ];
    let (_, bytes, bitmaps) = allocations(|| {
        let bitmaps = shuffle::Bitmaps::of_chunks(&body).expect("good");
        bitmaps.to_roaring().expect("good")
    });
    assert_eq!(bitmaps[0].len(), 65_536);
    assert!(bytes < 1000, "{bytes} bytes");
}

#[test]
fn records_take_no_memory_for_what_is_announced() {
    use ringrail_codec::spark::auth::*;
    let engine = AuthEngine {
        version: EngineVersion::V1,
        cipher: Cipher::AesGcm,
    };
    let sasl_fallback = false;
    let (secret, mut random) = (Secret::from("s3cret"), |out: &mut [u8]| out.fill(7));
    let mode = ClientMode::Engine {
        engine,
        sasl_fallback,
    };
    let mut client = ClientAuth::new(mode, "app", secret.clone());
    let (mut asked, mut reply) = (Vec::new(), Vec::new());
    client.start(&mut random, &mut asked).expect("starts");
    let mut server = ServerAuth::new(ServerMode::Engine {
        engine,
        sasl_fallback,
    });
    let secrets = |_: &str| Some(secret.clone());
    let step = server.receive(&asked, &secrets, &mut random, &mut reply);
    let Ok(ServerStep::Done(Authenticated {
        records: Some(mut records),
        ..
    })) = step
    else {
        panic!("{step:?}");
    };
    // A message of 128 TiB, of which 100 bytes come.
    let mut wire = [0; 148];
    wire[..8].copy_from_slice(&(48u64 + (1 << 47) - 32_768).to_be_bytes());
    wire[8] = 40;
    let (_, bytes, _) = allocations(|| {
        let used = records.opener.open(&mut wire).expect("good").used;
        assert_eq!(used, 48);
        let opened = records.opener.open(&mut wire[used..]).expect("incomplete");
        assert!(opened.plaintext.is_empty() && opened.used == 100);
    });
    assert!(bytes < 4096, "{bytes} bytes for 148");
}
