//! Refs: identity, and what becomes of them inside messages.

use std::collections::HashSet;

use ringrail::codec::archive::{decode, encode_to_vec};
use ringrail::rpc::{FnEndpoint, RpcEndpointRef, RpcEnv};

use crate::actors::{CallBack, Echo, caller, echo, message};
use crate::ground::Backend;

#[expect(
    clippy::mutable_key_type,
    reason = "hash and equality are of address and name, which do not change"
)]
pub(crate) fn refs_are_equal_by_address_and_name(backend: Backend) {
    let (server, asker) = backend.pair();
    let here = server.setup_endpoint("echo", echo()).unwrap();
    let address = server.address().unwrap();
    let there = asker.ref_at(address, "echo").unwrap();
    assert_eq!(here, there, "whoever holds it");
    assert_eq!(here.name(), "echo");
    assert_eq!(here.address(), Some(address));
    assert_eq!(
        here.to_string(),
        format!("RpcEndpointRef(rail://echo@{address})")
    );
    assert_ne!(there, asker.ref_at(address, "other").unwrap());
    let elsewhere = asker.ref_at(asker.address().unwrap(), "echo").unwrap();
    assert_ne!(there, elsewhere);
    let set: HashSet<RpcEndpointRef> = [here.any(), there, elsewhere].into_iter().collect();
    assert_eq!(set.len(), 2);
}

pub(crate) fn a_ref_in_a_message_reaches_its_endpoint(backend: Backend) {
    let (server, asker) = backend.pair();
    server.setup_endpoint("caller", caller()).unwrap();
    let to = asker.setup_endpoint("echo", echo()).unwrap().any();
    let there = asker.ref_at(server.address().unwrap(), "caller").unwrap();
    assert_eq!(there.ask_blocking(CallBack { to, n: 5 }).unwrap(), 5);
}

pub(crate) fn a_ref_of_a_client_mode_peer_leads_back_over_its_connection(backend: Backend) {
    let server = backend.env("server");
    server.setup_endpoint("caller", caller()).unwrap();
    let client = backend.client("client");
    assert!(client.address().is_none());
    let to = client.setup_endpoint("echo", echo()).unwrap();
    assert_eq!(to.to_string(), "RpcEndpointRef(rail-client://echo)");
    assert_eq!(to.ask_blocking(Echo { n: 1 }).unwrap(), 1, "usable at home");
    let there = client.ref_at(server.address().unwrap(), "caller").unwrap();
    for n in 0..10 {
        let to = to.any();
        assert_eq!(there.ask_blocking(CallBack { to, n }).unwrap(), n);
    }
}

message! { PassOn { to: RpcEndpointRef, next: RpcEndpointRef } -> u64, "test.PassOn" }

/// An endpoint that passes a ref on to another, to be called back there.
fn passer() -> FnEndpoint {
    FnEndpoint::new().on::<PassOn>(|message, call| {
        let PassOn { to, next } = message.take()?;
        let call = call.defer();
        std::thread::spawn(move || match next.ask_blocking(CallBack { to, n: 3 }) {
            Ok(reply) => call.reply(reply),
            Err(error) => call.send_failure(error),
        });
        Ok(())
    })
}

fn passed_on(backend: Backend, third: &RpcEnv, client: &RpcEnv) -> String {
    let second = backend.env("second");
    second.setup_endpoint("passer", passer()).unwrap();
    third.setup_endpoint("caller", caller()).unwrap();
    let next = client.ref_at(third.address().unwrap(), "caller").unwrap();
    let to = client.setup_endpoint("echo", echo()).unwrap().any();
    let passer = client.ref_at(second.address().unwrap(), "passer").unwrap();
    match passer.ask_blocking(PassOn { to, next }) {
        Ok(reply) => format!("reply {reply}"),
        Err(error) => error.to_string(),
    }
}

pub(crate) fn a_client_mode_ref_passed_to_a_third_party_fails_clearly(backend: Backend) {
    let third = backend.env("third");
    let text = passed_on(backend, &third, &backend.client("client"));
    let wanted = "Cannot send message to client endpoint with no listen address.";
    assert!(text.contains(wanted), "{text}");
    // That of a peer that listens works.
    let third = backend.env("third");
    let text = passed_on(backend, &third, &backend.env("listening"));
    assert_eq!(text, "reply 3");
}

message! { GiveBack { to: RpcEndpointRef } -> RpcEndpointRef, "test.GiveBack" }

pub(crate) fn a_ref_that_comes_home_is_local(backend: Backend) {
    let server = backend.env("server");
    let endpoint = FnEndpoint::new().on::<GiveBack>(|message, call| {
        call.reply(message.take()?.to);
        Ok(())
    });
    server.setup_endpoint("mirror", endpoint).unwrap();
    for client in [backend.env("listening"), backend.client("client")] {
        let to = client.setup_endpoint("echo", echo()).unwrap().any();
        let mirror = client.ref_at(server.address().unwrap(), "mirror").unwrap();
        let back = mirror.ask_blocking(GiveBack { to: to.clone() }).unwrap();
        assert_eq!(back, to);
        drop(server.metrics());
        assert_eq!(back.ask_blocking(Echo { n: 8 }).unwrap(), 8);
    }
}

pub(crate) fn refs_in_other_bytes_need_a_scope(backend: Backend) {
    let (server, asker) = backend.pair();
    let here = server.setup_endpoint("echo", echo()).unwrap().any();
    let mut bytes = Vec::new();
    encode_to_vec(&here, &mut bytes).unwrap();
    let error = decode::<RpcEndpointRef>(&bytes).unwrap_err().to_string();
    assert!(error.contains("RpcEnv::deserialize"), "{error}");
    let there = asker.deserialize(|| decode::<RpcEndpointRef>(&bytes).unwrap());
    assert_eq!(there, here);
    assert_eq!(there.ask_blocking(Echo { n: 2 }).unwrap(), 2);
}
