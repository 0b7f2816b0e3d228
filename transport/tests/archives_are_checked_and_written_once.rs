//! Archives: what a peer sends is checked before it is read, what is sent is serialised once.

mod support;

use std::rc::Rc;

use ringrail_codec::native::FailureCode;
use ringrail_transport::{
    Connection, ReceivedBytes, RequestError, Responder, RpcFailure, RpcHandler, TransportConf,
    TransportContext, TransportServer,
};
use support::engine;

/// Adds one to a number.
struct Successor;

impl RpcHandler for Successor {
    fn receive(&self, _: &Connection, body: ReceivedBytes<'_>, reply: Responder<'_>) {
        match body.access::<u64>() {
            Ok(number) => reply.reply_archive(&(number.to_native() + 1)),
            Err(error) => {
                let failure = RpcFailure::new(FailureCode::BadArchive, error.to_string());
                reply.fail(&failure);
            }
        }
    }
}

fn serving() -> (TransportContext, TransportServer) {
    let context = TransportContext::new(engine(TransportConf::default()), || Rc::new(Successor));
    let server = context.create_server("127.0.0.1:0".parse().expect("an address"));
    (context, server.expect("a free port"))
}

#[test]
fn an_archive_that_is_none_is_an_error_for_its_reader_and_counted() {
    let (served, server) = serving();
    let asking = TransportContext::client_only(engine(TransportConf::default()));
    let clients = asking.create_client_factory(Vec::new());
    let client = clients
        .create_client_blocking(&server.local_addr().to_string())
        .expect("a connection");
    let reply = client.send_archive(&41_u64, None).wait().expect("a reply");
    assert_eq!(reply.access::<u64>().expect("a number").to_native(), 42);
    assert_eq!(served.engine().metrics().errors_archive, 0);
    for _ in 0..3 {
        let error = client.send_rpc("seven b").wait().expect_err("no number");
        let RequestError::Remote { failure, .. } = error else {
            panic!("{error:?}");
        };
        assert_eq!(failure.code(), FailureCode::BadArchive);
    }
    assert_eq!(served.engine().metrics().errors_archive, 3);
    assert!(reply.access::<[u64; 9]>().is_err(), "here as well");
    assert_eq!(
        asking.engine().metrics().errors_archive,
        0,
        "not on a shard"
    );
}
