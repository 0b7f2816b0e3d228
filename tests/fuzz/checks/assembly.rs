//! A receiver against any sender at all: what it accepts lies where it must and within what was granted.

use ringrail_codec::native::*;

struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    /// A number of any size, small ones and the extremes being likely.
    fn number(&mut self) -> Option<u64> {
        let byte = self.byte()?;
        Some(match byte {
            0xff => u64::MAX,
            0xfe => u64::from(self.byte()?) << 56,
            0xfd => u64::from(self.byte()?) << 28,
            0xfc => (u64::from(self.byte()?) << 8) | u64::from(self.byte()?),
            small => u64::from(small),
        })
    }
}

/// The same counters as the machines keep, kept in the plainest way.
struct Receiver {
    assembly: Assembly,
    window: GrantWindow,
    most: u64,
    received: u128,
    granted: u128,
    over: bool,
}

impl Receiver {
    fn accept(&mut self, result: Result<Accepted, AssemblyError>, len: u32) {
        let Ok(accepted) = result else {
            assert_eq!(u128::from(self.assembly.received()), self.received);
            return;
        };
        assert!(!self.over, "accepted behind the end");
        assert_eq!(u128::from(accepted.offset), self.received);
        self.received += u128::from(len);
        assert!(self.received <= u128::from(self.most));
        self.over = accepted.complete;
        assert_eq!(self.assembly.is_complete(), self.over);
    }

    fn end(&mut self, result: Result<(), AssemblyError>, sent: u64) {
        if result.is_ok() {
            assert!(!self.over && u128::from(sent) == self.received);
            self.over = true;
        }
    }

    fn credit(&mut self, len: u64) {
        let awaited = u128::from(self.window.awaited());
        let held = u128::from(self.window.held());
        match self.window.receive(len) {
            Ok(()) => assert!(u128::from(len) <= awaited),
            Err(error) => assert_eq!((error.len, u128::from(error.granted)), (len, awaited)),
        }
        assert!(u128::from(self.window.held()) <= held + u128::from(len));
    }

    fn release(&mut self, len: u64) {
        let len = len.min(self.window.held());
        if let Some(grant) = self.window.release(len) {
            assert!(grant > 0);
            self.granted += u128::from(grant);
        }
    }
}

/// Takes `data` for what a sender does.
pub(crate) fn check(data: &[u8]) {
    let _ = run(&mut Input(data));
}

fn run(input: &mut Input<'_>) -> Option<()> {
    let total_len = input.number()?;
    let first_len = input.number()?.min(total_len).min(1 << 20) as u32;
    let (assembly, received) = match input.byte()? % 4 {
        0 => (Assembly::rpc(total_len, first_len), first_len),
        1 => (Assembly::chunk(total_len), 0),
        2 => (Assembly::stream(), 0),
        _ => (Assembly::upload(total_len), 0),
    };
    let mut receiver = Receiver {
        assembly,
        window: GrantWindow::new(input.number()?),
        most: if assembly == Assembly::stream() {
            u64::MAX
        } else {
            total_len
        },
        received: u128::from(received),
        granted: 0,
        over: assembly.is_complete(),
    };
    loop {
        step(&mut receiver, input)?;
    }
}

fn step(receiver: &mut Receiver, input: &mut Input<'_>) -> Option<()> {
    let action = input.byte()?;
    let (id, more, of) = (1, action & 0x80 != 0, SliceOf::Request);
    let (len, seq) = (input.number()?, input.number()?);
    let short = len.min(u64::from(u32::MAX)) as u32;
    let seq = seq as u32;
    match action % 8 {
        0 => {
            let slice = RpcSlice {
                id,
                of,
                offset: input.number()?,
                seq,
                more,
            };
            let result = receiver.assembly.rpc_slice(&slice, short);
            receiver.accept(result, short);
        }
        1 => {
            let slice = ChunkData {
                id,
                total_len: input.number()?,
                seq,
                more,
            };
            let result = receiver.assembly.chunk_data(&slice, short);
            receiver.accept(result, short);
        }
        2 => {
            let slice = StreamData {
                id,
                total_len: input.number()?,
                seq,
            };
            let result = receiver.assembly.stream_data(&slice, short);
            receiver.accept(result, short);
        }
        3 => {
            let slice = UploadData {
                id,
                offset: input.number()?,
                seq,
            };
            let result = receiver.assembly.upload_data(&slice, short);
            receiver.accept(result, short);
        }
        4 => {
            let result = receiver
                .assembly
                .stream_end(&StreamEnd { id, sent_len: len });
            receiver.end(result, len);
        }
        5 => receiver.credit(len),
        6 => receiver.release(len),
        _ => {
            if receiver.window.widen(len).is_some_and(|grant| grant == 0) {
                panic!("a grant of nothing");
            }
        }
    }
    Some(())
}
