//! The nodes that live on this thread.

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use crate::rpc::RpcError;

use super::{HostHandle, Node};

type Nodes = RefCell<Vec<(u64, Weak<Node>)>>;

#[cfg(not(shuttle))]
thread_local! {
    static NODES: Nodes = const { RefCell::new(Vec::new()) };
}

// Shuttle's threads are not the system's.
#[cfg(shuttle)]
shuttle::thread_local! {
    static NODES: Nodes = RefCell::new(Vec::new());
}

/// The node of an env on this thread, if it has one here.
pub(crate) fn node_of(env: u64) -> Option<Rc<Node>> {
    NODES.with(|nodes| {
        let nodes = nodes.borrow();
        let (_, node) = nodes.iter().find(|(id, _)| *id == env)?;
        node.upgrade()
    })
}

/// The node begins to live on this thread.
pub(super) fn enter(env: u64, node: &Rc<Node>) {
    NODES.with(|nodes| nodes.borrow_mut().push((env, Rc::downgrade(node))));
}

/// It ends.
pub(super) fn leave(node: &Rc<Node>) {
    NODES.with(|nodes| {
        let here = Rc::downgrade(node);
        nodes
            .borrow_mut()
            .retain(|(_, other)| !Weak::ptr_eq(other, &here));
    });
}

/// Refuses what would block a thread whose endpoints must not.
///
/// # Errors
/// This is such a thread. One of an isolated endpoint is not: it is the endpoint's own.
pub(crate) fn may_block(what: &'static str) -> Result<(), RpcError> {
    let shared = |node: &Weak<Node>| {
        let node = node.upgrade();
        node.is_some_and(|node| !node.handle().may_block())
    };
    match NODES.with(|nodes| nodes.borrow().iter().any(|(_, node)| shared(node))) {
        true => Err(RpcError::WouldBlock { what }),
        false => Ok(()),
    }
}

/// Refuses to wait for something that `host` is to do.
///
/// # Errors
/// This is a thread whose endpoints must not block, or `host`'s own.
pub(crate) fn may_wait_for(
    host: Option<&Arc<HostHandle>>,
    what: &'static str,
) -> Result<(), RpcError> {
    may_block(what)?;
    let is_its = |node: &Weak<Node>| {
        let (node, host) = (node.upgrade(), host);
        node.is_some_and(|node| host.is_some_and(|host| Arc::ptr_eq(node.handle(), host)))
    };
    match NODES.with(|nodes| nodes.borrow().iter().any(|(_, node)| is_its(node))) {
        true => Err(RpcError::WouldBlock { what }),
        false => Ok(()),
    }
}

/// Whether endpoints run on this thread.
pub(crate) fn is_host_thread() -> bool {
    NODES.with(|nodes| !nodes.borrow().is_empty())
}
