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
