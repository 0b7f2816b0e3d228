//! The env and the connection that refs belong to while they are read from bytes.
//!
//! A ref travels as (address, name). Reading one needs to know the env that it is to belong to and,
//! for a peer that does not listen, the connection that leads to it: Spark's `currentEnv` and
//! `currentClient`. Both are the thread's while a [`DecodeContext`] lives.

use std::cell::RefCell;
use std::sync::Arc;

use super::peer::Peer;
use super::shared::EnvShared;

#[derive(Clone)]
struct Current {
    env: Arc<EnvShared>,
    peer: Option<Arc<Peer>>,
}

thread_local! {
    static CURRENT: RefCell<Option<Current>> = const { RefCell::new(None) };
}

/// While it lives, refs that this thread reads belong here.
pub(crate) struct DecodeContext {
    before: Option<Current>,
}

impl DecodeContext {
    /// Refs came over the connection to this peer.
    pub(crate) fn of_peer(peer: &Arc<Peer>) -> Self {
        Self::enter(Current {
            env: Arc::clone(peer.env()),
            peer: Some(Arc::clone(peer)),
        })
    }

    /// Refs came from somewhere else.
    pub(crate) fn of_env(env: &Arc<EnvShared>) -> Self {
        Self::enter(Current {
            env: Arc::clone(env),
            peer: None,
        })
    }

    fn enter(current: Current) -> Self {
        let before = CURRENT.with(|now| now.replace(Some(current)));
        Self { before }
    }

    /// The env and the peer of the innermost scope.
    pub(crate) fn current() -> Option<(Arc<EnvShared>, Option<Arc<Peer>>)> {
        CURRENT.with(|now| {
            let now = now.borrow();
            let now = now.as_ref()?;
            Some((Arc::clone(&now.env), now.peer.clone()))
        })
    }
}

impl Drop for DecodeContext {
    fn drop(&mut self) {
        let before = self.before.take();
        CURRENT.with(|now| *now.borrow_mut() = before);
    }
}
