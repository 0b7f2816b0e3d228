//! Slices, credit and ends, one rule at a time; `bulk.rs` runs them against each other.

use ringrail_codec::native::*;

#[test]
fn credit_comes_in_quarters_of_the_window() {
    let mut grants = GrantWindow::new(1000);
    grants.receive(1000).expect("granted");
    assert_eq!(grants.release(249), None);
    assert_eq!(grants.release(1), Some(250));
    assert_eq!(grants.release(750), Some(750));
}

#[test]
fn the_extremes_of_credit_do_not_overflow() {
    let mut sender = SendWindow::new(u64::MAX - 1);
    sender.grant(u64::MAX);
    assert_eq!((sender.available(), sender.take(5)), (u64::MAX, 5));
    let mut receiver = GrantWindow::new(u64::MAX);
    receiver.receive(u64::MAX).expect("granted");
    assert_eq!(
        receiver.release(u64::MAX),
        None,
        "there is nothing left to grant"
    );
    let mut narrow = GrantWindow::new(0);
    assert_eq!(narrow.widen(4096), Some(4096));
    assert_eq!(narrow.widen(u64::MAX), Some((u64::MAX >> 1) - 4096));
    assert_eq!(narrow.widen(1), None);
}

#[test]
#[should_panic(expected = "more bytes released")]
fn memory_is_released_once() {
    let mut grants = GrantWindow::new(10);
    grants.receive(5).expect("granted");
    grants.release(6);
}

#[test]
fn a_chunk_without_credit_announces_its_length() {
    let mut slicer = Slicer::chunk(4096, 1024, 0);
    let announcement = Slice {
        offset: 0,
        len: 0,
        seq: 0,
        more: true,
    };
    assert_eq!(slicer.next(u32::MAX), Next::Slice(announcement));
    assert_eq!(slicer.next(u32::MAX), Next::Blocked);
    slicer.grant(4096);
    let first = Slice {
        offset: 0,
        len: 1024,
        seq: 1,
        more: true,
    };
    assert_eq!(slicer.next(u32::MAX), Next::Slice(first));
}

#[test]
fn a_stream_without_credit_announces_its_length_and_an_upload_does_not() {
    let mut stream = Slicer::stream(4096, 1024, 0);
    assert!(matches!(
        stream.next(u32::MAX),
        Next::Slice(Slice { len: 0, seq: 0, .. })
    ));
    assert_eq!(stream.next(u32::MAX), Next::Blocked);
    assert_eq!(Slicer::upload(4096, 1024, 0).next(u32::MAX), Next::Blocked);
    assert_eq!(Slicer::stream(0, 1024, 0).next(u32::MAX), Next::Done);
    assert_eq!(Slicer::upload(0, 1024, 10).next(u32::MAX), Next::Done);
}

#[test]
fn what_the_source_has_not_ready_is_not_sent() {
    let mut slicer = Slicer::chunk(100, 64, 1000);
    assert_eq!(slicer.next(0), Next::Blocked);
    assert!(matches!(
        slicer.next(10),
        Next::Slice(Slice {
            len: 10,
            seq: 0,
            ..
        })
    ));
    assert_eq!(
        (slicer.sent(), slicer.remaining(), slicer.credit()),
        (10, Some(90), 990)
    );
}

#[test]
fn slices_out_of_step_are_refused() {
    use AssemblyError::*;
    let chunk = |total_len, seq, more| ChunkData {
        id: 1,
        total_len,
        seq,
        more,
    };
    let mut assembly = Assembly::chunk(100);
    assert_eq!(
        assembly.chunk_data(&chunk(101, 0, true), 10),
        Err(TooLong {
            got: 101,
            limit: 100
        })
    );
    assert_eq!(
        assembly.chunk_data(&chunk(50, 1, true), 10),
        Err(Sequence {
            expected: 0,
            got: 1
        })
    );
    assert_eq!(assembly.total_len(), None, "an error changes nothing");
    assert!(assembly.chunk_data(&chunk(50, 0, true), 10).is_ok());
    assert_eq!(
        assembly.chunk_data(&chunk(60, 1, true), 10),
        Err(TotalChanged { first: 50, now: 60 })
    );
    assert_eq!(
        assembly.chunk_data(&chunk(50, 1, true), 41),
        Err(TooLong { got: 51, limit: 50 })
    );
    let early = More {
        received: 20,
        total_len: 50,
        more: false,
    };
    assert_eq!(assembly.chunk_data(&chunk(50, 1, false), 10), Err(early));
    let last = Accepted {
        offset: 10,
        complete: true,
    };
    assert_eq!(assembly.chunk_data(&chunk(50, 1, false), 40), Ok(last));
    assert_eq!(assembly.chunk_data(&chunk(50, 2, false), 0), Err(AfterEnd));
}

#[test]
fn offsets_and_ends_must_fit() {
    use AssemblyError::*;
    let mut upload = Assembly::upload(UNKNOWN_LEN);
    let part = |offset, seq| UploadData { id: 1, offset, seq };
    assert!(upload.upload_data(&part(0, 0), 5).is_ok());
    assert_eq!(
        upload.upload_data(&part(6, 1), 5),
        Err(Offset {
            expected: 5,
            got: 6
        })
    );
    let early = EarlyEnd {
        sent: 4,
        received: 5,
        total_len: UNKNOWN_LEN,
    };
    assert_eq!(
        upload.upload_end(&UploadEnd { id: 1, sent_len: 4 }),
        Err(early)
    );
    assert_eq!(upload.upload_end(&UploadEnd { id: 1, sent_len: 5 }), Ok(()));
    assert_eq!(
        upload.upload_end(&UploadEnd { id: 1, sent_len: 5 }),
        Err(AfterEnd)
    );
    let mut short = Assembly::upload(9);
    assert!(short.upload_data(&part(0, 0), 5).is_ok());
    assert!(short.upload_end(&UploadEnd { id: 1, sent_len: 5 }).is_err());
    let mut rpc = Assembly::rpc(10, 4);
    let slice = RpcSlice {
        id: 1,
        of: SliceOf::Reply,
        offset: 4,
        seq: 1,
        more: true,
    };
    let wrong = More {
        received: 10,
        total_len: 10,
        more: true,
    };
    assert_eq!(rpc.rpc_slice(&slice, 6), Err(wrong));
    assert!(
        rpc.rpc_slice(
            &RpcSlice {
                more: false,
                ..slice
            },
            6
        )
        .is_ok_and(|done| done.complete)
    );
}
