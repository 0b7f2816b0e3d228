//! The endpoints of a thread by the ids of their names.

use std::cell::RefCell;
use std::collections::hash_map::Entry;
use std::rc::Rc;

use crate::rpc::id::EndpointId;
use crate::rpc::inbox::AnyInbox;

use super::IdMap;

/// By the id of the endpoint's name.
#[derive(Default)]
pub(super) struct Inboxes {
    by_id: RefCell<IdMap<Rc<dyn AnyInbox>>>,
    /// The one that was found last, for messages come in batches to the same endpoint.
    last: RefCell<Option<Of>>,
    /// Those whose names others have that are still to take note of their end.
    successors: RefCell<Vec<Of>>,
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

    /// Adds an endpoint. Where another of its name is still to take note of its end, which waits for the mail that
    /// came before, it follows that one.
    pub(super) fn insert(&self, id: EndpointId, inbox: Rc<dyn AnyInbox>) {
        match self.by_id.borrow_mut().entry(id.to_wire()) {
            Entry::Vacant(place) => {
                place.insert(inbox);
            }
            Entry::Occupied(_) => self.successors.borrow_mut().push((id, inbox)),
        }
    }

    /// Forgets the inbox of this id with this serial number: the next of its name takes its place.
    pub(super) fn remove(&self, id: EndpointId, serial: u64) {
        let gone = if self.get(id).is_some_and(|inbox| inbox.serial() == serial) {
            let last = self.last.take();
            let next = self.take_successor(|(of, _)| *of == id);
            let mut by_id = self.by_id.borrow_mut();
            let gone = match next {
                Some((_, next)) => by_id.insert(id.to_wire(), next),
                None => by_id.remove(&id.to_wire()),
            };
            (last, gone.map(|gone| (id, gone)))
        } else {
            let of_serial = |(_, inbox): &Of| inbox.serial() == serial;
            (None, self.take_successor(of_serial))
        };
        // Outside of all borrows: what its endpoint's drop does is its own.
        drop(gone);
    }

    fn take_successor(&self, is_it: impl FnMut(&Of) -> bool) -> Option<Of> {
        let mut successors = self.successors.borrow_mut();
        let at = successors.iter().position(is_it)?;
        Some(successors.remove(at))
    }

    pub(super) fn all(&self) -> Vec<Rc<dyn AnyInbox>> {
        self.by_id.borrow().values().cloned().collect()
    }

    pub(super) fn clear(&self) {
        let gone = (self.last.take(), self.by_id.take(), self.successors.take());
        drop(gone);
    }
}
