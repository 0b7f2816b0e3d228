//! Backends that programs register, beside those that are there.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ringrail::rpc::{
    LocalFactory, RingFactory, RpcEnv, RpcEnvConfig, RpcEnvFactory, RpcError, register_factory,
};

use crate::actors::{Echo, echo};
use crate::ground::Backend;

/// Makes envs over another backend, under names of its own.
struct Foreign {
    over: Backend,
    made: AtomicUsize,
}

impl RpcEnvFactory for Foreign {
    fn create(&self, mut config: RpcEnvConfig) -> Result<RpcEnv, RpcError> {
        self.made.fetch_add(1, Ordering::SeqCst);
        config.name = format!("foreign {}", config.name);
        match self.over {
            Backend::Local => LocalFactory.create(config),
            Backend::Ring => RingFactory.create(config),
        }
    }
}

pub(crate) fn a_registered_backend_makes_envs_that_find_each_other(backend: Backend) {
    let name = format!("foreign-{backend:?}");
    let foreign = || {
        Arc::new(Foreign {
            over: backend,
            made: AtomicUsize::new(0),
        })
    };
    let (first, second) = (foreign(), foreign());
    let unknown = backend.builder("server").backend(&*name).build();
    let text = unknown.unwrap_err().to_string();
    assert!(text.contains(&name) && text.contains("ring"), "{text}");
    assert!(register_factory(&*name, first.clone()).is_none());
    let server = backend.builder("server").backend(&*name).build().unwrap();
    assert_eq!(server.name(), "foreign server");
    server.setup_endpoint("echo", echo()).unwrap();
    let client = backend.builder("client").client_mode().backend(&*name);
    let client = client.build().unwrap();
    let there = client.ref_at(server.address().unwrap(), "echo").unwrap();
    assert_eq!(there.ask_blocking(Echo { n: 7 }).unwrap(), 7);
    assert_eq!(first.made.load(Ordering::SeqCst), 2);
    // Another takes its name; the envs that it made go on.
    assert!(register_factory(&*name, second.clone()).is_some());
    let third = backend.builder("third").backend(&*name).build().unwrap();
    assert_eq!(second.made.load(Ordering::SeqCst), 1);
    let here = third.ref_at(server.address().unwrap(), "echo").unwrap();
    assert_eq!(here.ask_blocking(Echo { n: 8 }).unwrap(), 8);
    assert_eq!(there.ask_blocking(Echo { n: 9 }).unwrap(), 9);
}
