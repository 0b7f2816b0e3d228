//! The dispatchers that live on this thread.

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use crate::rpc::RpcError;
use crate::rpc::thread::ThreadHandle;

use super::Dispatcher;

type Dispatchers = RefCell<Vec<(u64, Weak<Dispatcher>)>>;

#[cfg(not(shuttle))]
thread_local! {
    static DISPATCHERS: Dispatchers = const { RefCell::new(Vec::new()) };
}

// Shuttle's threads are not the system's.
#[cfg(shuttle)]
shuttle::thread_local! {
    static DISPATCHERS: Dispatchers = RefCell::new(Vec::new());
}

/// The dispatcher of an env on this thread, if it has one here.
pub(crate) fn dispatcher_of(env: u64) -> Option<Rc<Dispatcher>> {
    DISPATCHERS.with(|dispatchers| {
        let dispatchers = dispatchers.borrow();
        let (_, dispatcher) = dispatchers.iter().find(|(id, _)| *id == env)?;
        dispatcher.upgrade()
    })
}

/// The dispatcher begins to live on this thread.
pub(super) fn enter(env: u64, dispatcher: &Rc<Dispatcher>) {
    DISPATCHERS.with(|dispatchers| {
        dispatchers
            .borrow_mut()
            .push((env, Rc::downgrade(dispatcher)))
    });
}

/// It ends.
pub(super) fn leave(dispatcher: &Rc<Dispatcher>) {
    DISPATCHERS.with(|dispatchers| {
        let here = Rc::downgrade(dispatcher);
        dispatchers
            .borrow_mut()
            .retain(|(_, other)| !Weak::ptr_eq(other, &here));
    });
}

/// Whether this thread may block.
///
/// # Errors
/// It runs endpoints that share it.
pub(crate) fn may_block(what: &'static str) -> Result<(), RpcError> {
    may_wait_for(None, what)
}

/// Whether this thread may wait for something that happens on `host`.
///
/// # Errors
/// It runs endpoints that share it, or is that one.
pub(crate) fn may_wait_for(
    host: Option<&Arc<ThreadHandle>>,
    what: &'static str,
) -> Result<(), RpcError> {
    let must_not = |dispatcher: Rc<Dispatcher>| {
        let here = dispatcher.handle();
        !here.may_block() || host.is_some_and(|host| Arc::ptr_eq(here, host))
    };
    match DISPATCHERS.with(|dispatchers| {
        let dispatchers = dispatchers.borrow();
        let mut all = dispatchers.iter().filter_map(|(_, it)| it.upgrade());
        all.any(must_not)
    }) {
        true => Err(RpcError::WouldBlock { what }),
        false => Ok(()),
    }
}

/// Whether endpoints run on this thread.
pub(crate) fn is_host_thread() -> bool {
    DISPATCHERS.with(|dispatchers| !dispatchers.borrow().is_empty())
}
