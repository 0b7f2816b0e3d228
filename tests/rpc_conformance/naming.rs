//! Names: taken once, looked up, not found.

use ringrail::rpc::{RpcError, VERIFIER_NAME};

use crate::actors::{Echo, echo};
use crate::ground::{Backend, block_on};

pub(crate) fn a_name_is_taken_once(backend: Backend) {
    let env = backend.env("env");
    env.setup_endpoint("one", echo()).unwrap();
    let error = env.setup_endpoint("one", echo()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "There is already an RpcEndpoint called one"
    );
    assert!(env.setup_endpoint(VERIFIER_NAME, echo()).is_err());
}

pub(crate) fn names_that_no_uri_can_hold_are_refused(backend: Backend) {
    let env = backend.env("env");
    for name in ["", "a b", "a@b", "a/b"] {
        let error = env.setup_endpoint(name, echo()).unwrap_err();
        assert!(matches!(error, RpcError::InvalidName { .. }), "{error}");
    }
}

pub(crate) fn a_lookup_of_nobody_names_the_uri(backend: Backend) {
    let (server, asker) = backend.pair();
    let uri = server.uri_of(server.address().unwrap(), "nobody");
    let wanted = format!("Cannot find endpoint: {uri}");
    for env in [&server, &asker] {
        let error = env.setup_endpoint_ref_by_uri_blocking(&uri).unwrap_err();
        assert_eq!(error.to_string(), wanted);
        let error = block_on(env.setup_endpoint_ref_by_uri(&uri)).unwrap_err();
        assert_eq!(error.to_string(), wanted);
    }
    let error = asker
        .setup_endpoint_ref_by_uri_blocking("rail://x:1")
        .unwrap_err();
    assert_eq!(error.to_string(), "Invalid rail URL: rail://x:1");
}

pub(crate) fn an_ask_of_nobody_says_could_not_find(backend: Backend) {
    let (server, asker) = backend.pair();
    let there = asker.ref_at(server.address().unwrap(), "nobody").unwrap();
    let here = server.ref_at(server.address().unwrap(), "nobody").unwrap();
    for to in [here, there] {
        let error = to.ask_blocking(Echo { n: 1 }).unwrap_err();
        assert!(
            error.to_string().contains("Could not find nobody."),
            "{error}"
        );
    }
    let error = server.endpoint_ref("nobody").unwrap_err();
    assert_eq!(error.to_string(), "Could not find nobody.");
}

pub(crate) fn lookups_find_endpoints_by_both_schemes(backend: Backend) {
    let (server, asker) = backend.pair();
    let endpoint = server.setup_endpoint("echo", echo()).unwrap();
    let uri = endpoint.uri().to_string();
    let spark = uri.replace("rail://", "spark://");
    for env in [&server, &asker] {
        for uri in [&uri, &spark] {
            let found = env.setup_endpoint_ref_by_uri_blocking(uri).unwrap();
            assert_eq!(found, endpoint);
            assert_eq!(found.ask_blocking(Echo { n: 7 }).unwrap(), 7);
        }
    }
    let address = server.address().unwrap();
    let found = asker.setup_endpoint_ref_blocking(address, "echo").unwrap();
    assert_eq!(found, endpoint);
}
