//! The end of a shard is the end of its connections: its peers see it, however it came about.

mod support;

use std::io::{Read, Write};
use std::rc::Rc;
use std::time::Duration;

use ringrail_codec::native::{Hello, Limits, Terms};
use ringrail_transport::TransportConf;
use ringrail_transport::shard::ShardTask;
use support::serve;

/// Takes the loop of its shard down.
struct Bomb;

impl ShardTask for Bomb {
    fn has_work(&self) -> bool {
        panic!("on purpose: not inside a handler, which the shard would survive");
    }

    fn run(&self) {}
}

#[test]
fn a_shard_that_panics_closes_its_sockets() {
    let side = serve(TransportConf::default());
    let mut hello = [0; 4096];
    let terms = Terms::new(&Limits::DEFAULT);
    let len = Hello { terms, ext: &[] }.encode(&mut hello).unwrap();
    let mut open = side.raw();
    open.write_all(&hello[..len]).unwrap();
    open.read_exact(&mut [0; 4096][..len]).unwrap();
    let mut greeting = side.raw();
    for stream in [&open, &greeting] {
        let patience = Some(Duration::from_secs(30));
        stream.set_read_timeout(patience).unwrap();
    }
    let engine = side.context.engine().clone();
    // The shard ends before it can confirm that it has taken the task.
    let _ = engine.run_on(0, |shard| shard.add_task(Rc::new(Bomb)).is_some());
    // The engine lives on, and so does this process: no other code closes the sockets.
    for stream in [&mut open, &mut greeting] {
        let end = loop {
            match stream.read(&mut [0; 1]) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                end => break end,
            }
        };
        let over = match &end {
            Ok(count) => *count == 0,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        };
        assert!(over, "the peer sees the end: {end:?}");
    }
    let again = std::net::TcpStream::connect(side.address());
    assert!(again.is_err(), "and nobody listens any more");
    drop(engine);
}
