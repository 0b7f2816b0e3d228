//! A panic on a shard, from any source, leaves no waiter without an answer.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use ringrail_transport::{
    Addr, Connection, Engine, ParkMode, ReceivedBytes, RequestError, Responder, RpcHandler,
    TransportConf, TransportContext,
};

/// Never answers.
struct Silent;

impl RpcHandler for Silent {
    fn receive(&self, _: &Connection, _: ReceivedBytes<'_>, reply: Responder<'_>) {
        std::mem::forget(reply.defer());
    }
}

fn engine(park: ParkMode) -> Engine {
    Engine::builder(TransportConf::default())
        .shards(1)
        .unpinned()
        .park(park)
        .start()
        .unwrap()
}

/// Memory of the embedder's whose release panics.
struct Explosive([u8; 64]);

impl AsRef<[u8]> for Explosive {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Explosive {
    fn drop(&mut self) {
        panic!("on purpose");
    }
}

fn every_request_of_a_shard_that_panics_fails(park: ParkMode) {
    let server_side = TransportContext::new(engine(ParkMode::Bare), || Rc::new(Silent));
    let server = server_side
        .create_server("127.0.0.1:0".parse::<Addr>().unwrap())
        .unwrap();
    let client_side = TransportContext::client_only(engine(park));
    let clients = client_side.create_client_factory(Vec::new());
    let address = server.local_addr().to_string();
    let client = clients.create_client_blocking(&address).unwrap();
    let other = clients.create_unmanaged_client_blocking(&address).unwrap();
    let hour = Some(Duration::from_secs(3600));
    let waiting = [
        client.send_rpc_timeout("a", hour),
        other.send_rpc_timeout("b", hour),
    ];
    let stream = client.stream_blocking("never", 0);
    let bomb = client.send_rpc_timeout(Bytes::from_owner(Explosive([0; 64])), hour);
    for request in waiting.into_iter().chain([bomb]) {
        let error = request.wait().unwrap_err();
        let over = matches!(
            error,
            RequestError::Closed { .. } | RequestError::ShardStopped
        );
        assert!(over, "{error}");
    }
    if let Ok(mut stream) = stream {
        while let Some(event) = stream.blocking_next() {
            assert!(event.is_err());
        }
    }
    let late = client.send_rpc_timeout("late", hour).wait().unwrap_err();
    assert!(matches!(late, RequestError::ShardStopped), "{late}");
    assert!(clients.create_unmanaged_client_blocking(&address).is_err());
}

#[test]
fn every_request_of_a_bare_shard_that_panics_fails() {
    every_request_of_a_shard_that_panics_fails(ParkMode::Bare);
}

#[test]
fn every_request_of_a_hosted_shard_that_panics_fails() {
    every_request_of_a_shard_that_panics_fails(ParkMode::Hosted);
}

#[test]
fn what_is_run_on_a_shard_may_panic_alone() {
    let engine = engine(ParkMode::Bare);
    let outcome = engine.run_on(0, |_| panic!("on purpose"));
    assert!(outcome.is_err());
    assert_eq!(engine.run_on(0, |shard| shard.index()).unwrap(), 0);
}
