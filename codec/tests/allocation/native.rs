//! The native protocol.

use ringrail_codec::archive::{FailureBody, Phase, access, encode_into};
use ringrail_codec::native::*;
use rkyv::util::AlignedVec;

use crate::any_frame::Frame;
use crate::{Numbers, allocations};

#[test]
fn frames_good_and_bad_are_read_without_an_allocation() {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let limits = Limits::DEFAULT;
    let (mut good, mut bad) = (0, 0);
    for _ in 0..20_000 {
        let mut frame = [0; 96];
        for word in frame.chunks_mut(8) {
            word.copy_from_slice(&numbers.next().to_le_bytes());
        }
        frame[0] = Kind::ALL[(numbers.next() % 20) as usize] as u8;
        if numbers.next().is_multiple_of(2) {
            // Small lengths and no flags, so that some are good.
            frame[1..8].copy_from_slice(&[0, 0, 0, (numbers.next() % 65) as u8, 0, 0, 0]);
            frame[24..32].fill(0);
        }
        let (count, _, ok) = allocations(|| match decode_frame(&frame, &limits) {
            Ok(Step::Frame { header, body, .. }) => {
                let _ = header.check_body(body);
                Frame::parse(&header, body).is_ok()
            }
            Ok(Step::NeedMore { at_least }) => at_least <= limits.max_frame_len(),
            Err(_) => false,
        });
        assert_eq!(count, 0);
        if ok { good += 1 } else { bad += 1 }
    }
    assert!(good > 100 && bad > 100, "{good} good, {bad} bad");
}

#[test]
fn the_handshake_trusts_no_length() {
    let mut hello = [0; 64];
    let terms = Terms::new(&Limits::DEFAULT);
    Hello { terms, ext: b"" }.encode(&mut hello).expect("room");
    let (count, _, good) = allocations(|| Hello::decode(&hello, 1 << 14).is_ok());
    assert_eq!((count, good), (0, true));
    hello[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
    let (count, _, bad) = allocations(|| Hello::decode(&hello, 1 << 14).is_err());
    assert_eq!((count, bad), (0, true));
    let mut refusal = [0; 32];
    Refusal::new(RefusalCode::Busy, "")
        .encode(&mut refusal)
        .expect("room");
    refusal[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
    let (count, _, bad) = allocations(|| Refusal::decode(&refusal, 1024).is_err());
    assert_eq!((count, bad), (0, true));
}

#[test]
fn an_archive_is_written_and_read_without_an_allocation() {
    let value = ("a name that is not inlined".to_owned(), vec![1u64, 2, 3]);
    let mut out = AlignedVec::<16>::with_capacity(256);
    out.resize(256, 0);
    let first = encode_into(&value, &mut out).expect("room");
    for _ in 0..100 {
        let (count, _, len) = allocations(|| encode_into(&value, &mut out).expect("room"));
        assert_eq!((count, len), (0, first));
    }
    let (count, _, sum) = allocations(|| {
        let view = access::<(String, Vec<u64>)>(&out[..first]).expect("valid");
        view.1.iter().map(|item| item.to_native()).sum::<u64>()
    });
    assert_eq!((count, sum), (0, 6));
}

#[test]
fn a_failure_body_allocates_in_proportion_to_its_bytes() {
    let mut failure = FailureBody::new(FailureCode::Internal, Phase::Handle, "x".repeat(100));
    failure.causes = vec!["y".repeat(20); 5];
    let mut bytes = Vec::new();
    ringrail_codec::archive::encode_to_vec(&failure, &mut bytes).expect("serialises");
    // Every byte set to every extreme: lengths inside the archive are numbers of the peer too.
    for at in 0..bytes.len() {
        for with in [0, 0x7f, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[at] = with;
            let decode = || FailureBody::decode(FailureCode::Internal, false, &changed).is_ok();
            let (_, allocated, _) = allocations(decode);
            assert!(
                allocated <= 16 * bytes.len() + 4096,
                "{allocated} bytes, {at} = {with:#x}"
            );
        }
    }
}

#[test]
fn the_bulk_machines_allocate_nothing() {
    let (count, _, received) = allocations(|| {
        let mut slicer = Slicer::chunk(1 << 20, 4096, 8192);
        let mut assembly = Assembly::chunk(u64::MAX);
        let mut window = GrantWindow::new(8192);
        while let Next::Slice(slice) = slicer.next(u32::MAX) {
            let Slice { len, seq, more, .. } = slice;
            let data = ChunkData {
                id: 1,
                total_len: 1 << 20,
                seq,
                more,
            };
            assembly.chunk_data(&data, len).expect("in step");
            window.receive(u64::from(len)).expect("granted");
            if let Some(bytes) = window.release(u64::from(len)) {
                slicer.grant(bytes);
            }
        }
        assembly.received()
    });
    assert_eq!((count, received), (0, 1 << 20));
}
