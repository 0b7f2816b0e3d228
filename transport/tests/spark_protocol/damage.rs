//! Bytes that are almost Spark's frames.

use proptest::prelude::*;

use crate::raw::{Got, Raw, chunk, frame, one_way, rpc, stream, text, upload};
use crate::server::server;

/// Frames of every kind: requests, and answers without a request.
fn script() -> Vec<u8> {
    [
        rpc(1, b"abc"),
        one_way(&[1; 300]),
        chunk(1000, 0),
        stream("70"),
        upload(2, b"meta", &[5; 500]),
        frame(4, &[0; 12], b"an answer"),
        frame(1, &[0; 12], &[7; 900]),
        frame(7, &[&text("s")[..], &5i64.to_be_bytes()].concat(), &[]),
        b"12345".to_vec(),
        frame(8, &[text("s"), text("why")].concat(), &[]),
        rpc(3, &[6; 20_000]),
    ]
    .concat()
}

#[derive(Clone, Debug)]
enum Damage {
    Change { at: usize, to: u8 },
    Cut { at: usize },
    Drop { at: usize, len: usize },
    Repeat { at: usize, len: usize },
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = 0..21_000usize;
    prop_oneof![
        4 => (0..2500usize, any::<u8>()).prop_map(|(at, to)| Damage::Change { at, to }),
        1 => at.clone().prop_map(|at| Damage::Cut { at }),
        2 => (at.clone(), 1..40usize).prop_map(|(at, len)| Damage::Drop { at, len }),
        2 => (at, 1..400usize).prop_map(|(at, len)| Damage::Repeat { at, len }),
    ]
}

fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
    let part = |at: usize, len: usize, all: usize| {
        let from = at.min(all);
        from..(from + len).min(all)
    };
    match *damage {
        Damage::Change { at, to } => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = to;
            }
        }
        Damage::Cut { at } => bytes.truncate(at),
        Damage::Drop { at, len } => drop(bytes.drain(part(at, len, bytes.len()))),
        Damage::Repeat { at, len } => {
            let again = bytes[part(at, len, bytes.len())].to_vec();
            let at = at.min(bytes.len());
            bytes.splice(at..at, again);
        }
    }
}

#[test]
fn what_is_damaged_on_the_way_hurts_its_own_connection_at_most() {
    let server = server();
    let mut good = Raw::connect(server.port());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(300));
    let good = std::cell::RefCell::new(&mut good);
    let damages = proptest::collection::vec(damage(), 1..5);
    let checked = runner.run(&damages, |damages| {
        let mut bytes = script();
        damages.iter().for_each(|damage| apply(&mut bytes, damage));
        let mut peer = Raw::connect(server.port());
        // The server may have closed already: what counts is what becomes of the others.
        let _ = std::io::Write::write_all(&mut peer.socket, &bytes);
        drop(peer);
        let answer = good.borrow_mut().ask(&rpc(7, b"well"));
        prop_assert_eq!(answer, Got::rpc_reply(7, b"well"));
        Ok(())
    });
    checked.expect("the good connection lives");
    assert_eq!(server.context.engine().metrics().handler_panics, 0);
}
