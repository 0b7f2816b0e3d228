//! The endpoints of a thread by the ids of their names.

use std::cell::RefCell;
use std::rc::Rc;

use crate::rpc::id::{EndpointId, IdMap};

use super::AnyInbox;

/// By the id of the endpoint's name.
#[derive(Default)]
pub(super) struct Inboxes {
    by_id: RefCell<IdMap<Rc<dyn AnyInbox>>>,
    /// The one that was found last, for messages come in batches to the same endpoint.
    last: RefCell<Option<Of>>,
}

type Of = (EndpointId, Rc<dyn AnyInbox>);

impl Inboxes {
    #[inline]
    pub(super) fn get(&self, id: EndpointId) -> Option<Rc<dyn AnyInbox>> {
        match &*self.last.borrow() {
            Some((last, inbox)) if *last == id => return Some(Rc::clone(inbox)),
            _ => {}
        }
        self.look_up(id)
    }

    #[inline(never)]
    fn look_up(&self, id: EndpointId) -> Option<Rc<dyn AnyInbox>> {
        let inbox = self.by_id.borrow().get(&id.to_wire()).cloned()?;
        let before = self.last.replace(Some((id, Rc::clone(&inbox))));
        drop(before);
        Some(inbox)
    }

    /// Adds an endpoint. Its predecessor of that name was stopped before, for both were posted in that order.
    pub(super) fn insert(&self, id: EndpointId, inbox: Rc<dyn AnyInbox>) {
        let last = self.last.take();
        let before = self.by_id.borrow_mut().insert(id.to_wire(), inbox);
        assert!(
            before.is_none(),
            "an endpoint was set up before the one of its name was stopped"
        );
        drop(last);
    }

    /// Forgets the inbox of this id with this serial number.
    pub(super) fn remove(&self, id: EndpointId, serial: u64) {
        if self.get(id).is_none_or(|inbox| inbox.serial() != serial) {
            return;
        }
        let last = self.last.take();
        let gone = self.by_id.borrow_mut().remove(&id.to_wire());
        // Outside of all borrows: what its endpoint's drop does is its own.
        drop((last, gone));
    }

    pub(super) fn all(&self) -> Vec<Rc<dyn AnyInbox>> {
        self.by_id.borrow().values().cloned().collect()
    }

    pub(super) fn clear(&self) {
        let gone = (self.last.take(), self.by_id.take());
        drop(gone);
    }
}
