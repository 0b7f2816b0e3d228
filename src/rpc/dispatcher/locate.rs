//! Location of endpoints: on this thread, or on another one of the env.

use std::rc::Rc;
use std::sync::Arc;

use crate::rpc::id::{EndpointId, IdMap};
use crate::rpc::thread::ThreadHandle;

use super::{AnyInbox, Dispatcher};

/// The place that an endpoint lives at.
#[derive(Clone)]
pub(super) enum Located {
    Here,
    Elsewhere(Arc<ThreadHandle>),
}

/// Cached answers of the registry, so that messages do not take its lock: one entry per endpoint.
#[derive(Default)]
pub(super) struct Locations {
    /// Of the registry when it was asked.
    version: u64,
    hosts: IdMap<Located>,
}

impl Dispatcher {
    /// The endpoint with this id, also where its set-up has been posted and not done. Not for what was posted
    /// itself, which would be overtaken by what was posted after it.
    #[inline]
    pub(crate) fn find_inbox(self: &Rc<Self>, id: EndpointId) -> Option<Rc<dyn AnyInbox>> {
        match self.inbox(id) {
            None => self.find_posted_inbox(id),
            found => found,
        }
    }

    #[cold]
    fn find_posted_inbox(self: &Rc<Self>, id: EndpointId) -> Option<Rc<dyn AnyInbox>> {
        if !self.handle.has_jobs() || !matches!(self.locate(id), Some(Located::Here)) {
            return None;
        }
        self.catch_up();
        self.inbox(id)
    }

    /// The location of an endpoint, by the env's registry.
    fn locate(&self, id: EndpointId) -> Option<Located> {
        let registry = &self.env.registry;
        let version = registry.version();
        let mut located = self.located.borrow_mut();
        if located.version != version {
            located.hosts.clear();
            located.version = version;
        }
        if let Some(known) = located.hosts.get(&id.to_wire()) {
            return Some(known.clone());
        }
        let hosts = registry.hosts_of(id)?;
        let here = hosts.iter().any(|host| Arc::ptr_eq(host, &self.handle));
        let found = match here {
            true => Located::Here,
            false => Located::Elsewhere(Arc::clone(hosts.first()?)),
        };
        located.hosts.insert(id.to_wire(), found.clone());
        Some(found)
    }

    /// The host of an endpoint that lives on another thread.
    pub(crate) fn elsewhere(&self, id: EndpointId) -> Option<Arc<ThreadHandle>> {
        match self.locate(id)? {
            Located::Here => None,
            Located::Elsewhere(host) => Some(host),
        }
    }
}
