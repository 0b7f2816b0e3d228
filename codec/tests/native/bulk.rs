//! Slicer and assembly, send window and grant window, run against each other over a model of the network:
//! whatever the sizes and the order of events, the body arrives whole and never beyond the credit.

use std::collections::VecDeque;

use proptest::prelude::*;
use ringrail_codec::native::*;

#[derive(Clone, Copy, Debug)]
enum Body {
    Rpc,
    Chunk,
    Stream { known: bool },
    Upload { known: bool },
}

#[derive(Clone, Debug)]
struct Plan {
    body: Body,
    len: u64,
    slice_max: u32,
    credit: u64,
    /// Decides at each turn who acts, and with how much.
    dice: Vec<u8>,
}

fn plans() -> impl Strategy<Value = Plan> {
    let body = prop_oneof![
        Just(Body::Rpc),
        Just(Body::Chunk),
        any::<bool>().prop_map(|known| Body::Stream { known }),
        any::<bool>().prop_map(|known| Body::Upload { known }),
    ];
    let dice = prop::collection::vec(any::<u8>(), 1..64);
    (body, 0..5000u64, 1..700u32, 1..2000u64, dice).prop_map(
        |(body, len, slice_max, credit, dice)| Plan {
            body,
            len,
            slice_max,
            credit,
            dice,
        },
    )
}

/// Sender, receiver and the wire between them.
struct Model {
    body: Body,
    source: Vec<u8>,
    announced: u64,
    slicer: Slicer,
    assembly: Option<Assembly>,
    window: GrantWindow,
    wire: VecDeque<Slice>,
    grants: VecDeque<u64>,
    received: Vec<u8>,
    held: VecDeque<u64>,
    granted: u64,
    charged: u64,
}

impl Model {
    fn new(plan: &Plan) -> Self {
        let Plan {
            body,
            len,
            slice_max,
            credit,
            ..
        } = *plan;
        let known = !matches!(
            body,
            Body::Stream { known: false } | Body::Upload { known: false }
        );
        let announced = if known { len } else { UNKNOWN_LEN };
        let (slicer, assembly) = match body {
            Body::Rpc => (Slicer::rpc(len, slice_max, credit), None),
            Body::Chunk => (
                Slicer::chunk(len, slice_max, credit),
                Some(Assembly::chunk(len)),
            ),
            Body::Stream { .. } => (
                Slicer::stream(announced, slice_max, credit),
                Some(Assembly::stream()),
            ),
            Body::Upload { .. } => (
                Slicer::upload(announced, slice_max, credit),
                Some(Assembly::upload(announced)),
            ),
        };
        let mut window = GrantWindow::new(credit);
        if known && !matches!(body, Body::Rpc) {
            window.set_total(len);
        }
        Self {
            body,
            source: (0..len).map(|i| (i * 31 % 251) as u8).collect(),
            announced,
            slicer,
            assembly,
            window,
            wire: VecDeque::new(),
            grants: VecDeque::new(),
            received: Vec::new(),
            held: VecDeque::new(),
            granted: credit,
            charged: 0,
        }
    }

    /// The sender sends one slice, of what its source has ready. Returns whether it did anything.
    fn send(&mut self, ready: u32) -> bool {
        let left = self.source.len() as u64 - self.slicer.sent();
        match self.slicer.next(ready.min(left as u32)) {
            Next::Slice(slice) => {
                self.wire.push_back(slice);
                true
            }
            Next::Blocked if left == 0 && self.announced == UNKNOWN_LEN => {
                self.slicer.finish();
                true
            }
            Next::Blocked | Next::Done => false,
        }
    }

    /// The receiver takes one slice off the wire.
    fn receive(&mut self) -> bool {
        let Some(slice) = self.wire.pop_front() else {
            return false;
        };
        let accepted = self.accept(&slice);
        assert_eq!(accepted.offset, self.received.len() as u64);
        assert_eq!(accepted.offset, slice.offset);
        let free = matches!(self.body, Body::Rpc) && slice.seq == 0;
        if !free {
            self.charged += u64::from(slice.len);
            assert!(self.charged <= self.granted, "beyond the credit");
            self.window
                .receive(u64::from(slice.len))
                .expect("within the credit");
            self.held.push_back(u64::from(slice.len));
        }
        let from = slice.offset as usize;
        self.received
            .extend_from_slice(&self.source[from..from + slice.len as usize]);
        true
    }

    /// The slice through its frame's own header, as it would go over the wire.
    fn accept(&mut self, slice: &Slice) -> Accepted {
        let Slice {
            offset,
            len,
            seq,
            more,
        } = *slice;
        let id = 1;
        let Some(assembly) = &mut self.assembly else {
            let first = RpcRequest {
                id,
                total_len: self.announced,
                deadline_us: 0,
            };
            let first = RpcRequest::from_header(&first.header(len)).expect("a good first slice");
            let assembly = Assembly::rpc(first.total_len, len);
            self.window.set_total(self.announced - u64::from(len));
            self.assembly = Some(assembly);
            return Accepted {
                offset: 0,
                complete: assembly.is_complete(),
            };
        };
        match self.body {
            Body::Rpc => {
                let slice = RpcSlice {
                    id,
                    of: SliceOf::Request,
                    offset,
                    seq,
                    more,
                };
                let slice = RpcSlice::from_header(&slice.header(len)).expect("a good slice");
                assembly.rpc_slice(&slice, len)
            }
            Body::Chunk => {
                let slice = ChunkData {
                    id,
                    total_len: self.announced,
                    seq,
                    more,
                };
                let slice = ChunkData::from_header(&slice.header(len)).expect("a good slice");
                assembly.chunk_data(&slice, len)
            }
            Body::Stream { .. } => {
                let slice = StreamData {
                    id,
                    total_len: self.announced,
                    seq,
                };
                let slice = StreamData::from_header(&slice.header(len)).expect("a good slice");
                assembly.stream_data(&slice, len)
            }
            Body::Upload { .. } => {
                let slice = UploadData { id, offset, seq };
                let slice = UploadData::from_header(&slice.header(len)).expect("a good slice");
                assembly.upload_data(&slice, len)
            }
        }
        .expect("a slice of a correct sender fits")
    }

    /// The receiver's consumer gives the memory of one slice back.
    fn consume(&mut self) -> bool {
        let Some(len) = self.held.pop_front() else {
            return false;
        };
        if let Some(grant) = self.window.release(len) {
            self.granted += grant;
            self.grants.push_back(grant);
        }
        true
    }

    fn deliver_grant(&mut self) -> bool {
        let Some(bytes) = self.grants.pop_front() else {
            return false;
        };
        self.slicer.on_credit(&Credit {
            id: 1,
            bytes,
            by_responder: false,
        });
        true
    }

    fn step(&mut self, die: u8) -> bool {
        match die % 4 {
            0 => self.send(u32::from(die)),
            1 => self.receive(),
            2 => self.consume(),
            _ => self.deliver_grant(),
        }
    }

    fn finish(mut self, credit: u64) {
        let mut assembly = self.assembly.take().unwrap_or_else(|| Assembly::rpc(0, 0));
        let sent_len = self.slicer.sent();
        match self.body {
            Body::Stream { .. } => {
                assembly
                    .stream_end(&StreamEnd { id: 1, sent_len })
                    .expect("a good end");
            }
            Body::Upload { .. } => {
                assembly
                    .upload_end(&UploadEnd { id: 1, sent_len })
                    .expect("a good end");
            }
            Body::Rpc | Body::Chunk => {}
        }
        assert!(assembly.is_complete());
        assert_eq!(self.received, self.source);
        if self.announced != UNKNOWN_LEN {
            let most = credit.max(self.charged);
            assert!(self.granted <= most, "granted beyond the body's end");
        }
    }
}

proptest! {
    #[test]
    fn a_body_arrives_whole_and_within_its_credit(plan in plans()) {
        let mut model = Model::new(&plan);
        for &die in &plan.dice {
            model.step(die);
        }
        // Then everyone acts for as long as someone can: nobody waits for ever.
        while model.send(u32::MAX) | model.receive() | model.consume() | model.deliver_grant() {}
        model.finish(plan.credit);
    }

    #[test]
    fn a_grant_window_never_hands_out_more_than_it_has(
        window in 1..100_000u64,
        total in prop::option::of(0..500_000u64),
        steps in prop::collection::vec((any::<bool>(), 1..60_000u64), 0..200),
    ) {
        let mut grants = GrantWindow::new(window);
        if let Some(total) = total {
            grants.set_total(total);
        }
        let (mut granted, mut got, mut freed) = (window, 0u64, 0u64);
        for (receive, len) in steps {
            if receive {
                match grants.receive(len) {
                    Ok(()) => got += len,
                    Err(error) => prop_assert_eq!(error, BeyondCredit { len, granted: granted - got }),
                }
            } else {
                let len = len.min(grants.held());
                freed += len;
                if let Some(more) = grants.release(len) {
                    granted += more;
                    prop_assert!(more >= window / 4 || total.is_some());
                }
            }
            prop_assert_eq!(grants.awaited(), granted - got);
            prop_assert_eq!(grants.held(), got - freed);
            prop_assert!(granted - freed <= window, "more memory promised than there is");
            prop_assert!(total.is_none_or(|total| granted <= total.max(window)));
        }
    }
}

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
