//! Which nodes live on this thread.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use crate::rpc::RpcError;

use super::Node;

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

/// Refuses what would block a thread that runs endpoints.
///
/// # Errors
/// This is such a thread.
pub(crate) fn may_block(what: &'static str) -> Result<(), RpcError> {
    let hosts = NODES.with(|nodes| !nodes.borrow().is_empty());
    if hosts {
        return Err(RpcError::WouldBlock { what });
    }
    Ok(())
}

/// Whether endpoints run on this thread.
pub(crate) fn is_host_thread() -> bool {
    NODES.with(|nodes| !nodes.borrow().is_empty())
}
