//! Turns: what a node does, and in which order.

use std::rc::Rc;

use crate::rpc::inbox::AnyInbox;

use super::{Errand, Mail, Node};

/// Turns of inboxes that are run in one go, before the thread looks at anything else.
const RUN_TURNS: usize = 64;

/// Mail that is delivered before anything of it is handled.
const MAIL_BATCH: usize = 256;

impl Node {
    /// One turn: futures that wait for replies, mail, errands, inboxes, overdue asks.
    pub(crate) fn turn(self: &Rc<Self>) {
        self.handle.wake_all();
        self.take_all_mail();
        self.do_errands();
        self.run_now();
        if self.next_due_ns.get() <= self.now_ns() {
            self.expire();
        }
    }

    /// Delivers the mail that is here now. What has piled up goes to the inboxes first, where urgent
    /// messages overtake others, and is handled then; a single message is handled at once.
    fn take_all_mail(self: &Rc<Self>) {
        let mut left = self.handle.mail_len();
        while left > 0 {
            let batch = left.min(MAIL_BATCH);
            left -= batch;
            let entered = batch > 1 && self.enter();
            for _ in 0..batch {
                if let Some(mail) = self.handle.take_mail() {
                    self.take(mail);
                }
            }
            if entered {
                self.leave();
            }
        }
    }

    fn take(self: &Rc<Self>, mail: Mail) {
        match mail {
            Mail::Parcel(parcel) => parcel.deliver(self),
            Mail::Order(run) => {
                self.set_up_ordered();
                run(self);
            }
            Mail::Forwarded(forwarded) => self.receive_forwarded(*forwarded),
            Mail::Carried { link, frame } => self.receive_carried(link, frame),
        }
    }

    /// Does what has been ordered.
    fn do_errands(self: &Rc<Self>) {
        loop {
            let postponed = self.postponed.borrow_mut().pop_front();
            let Some(errand) = postponed.or_else(|| self.handle.take_errand()) else {
                return;
            };
            self.do_errand(errand);
        }
    }

    fn do_errand(self: &Rc<Self>, errand: Errand) {
        match errand {
            Errand::Run(run) => run(self),
            Errand::RunAfterMail(run) => {
                self.take_all_mail();
                self.handle.release();
                run(self);
            }
            Errand::Wake(serial) => {
                let inbox = self.flying.borrow().get(&serial).cloned();
                if let Some(inbox) = inbox {
                    inbox.wake(self);
                }
            }
            Errand::Cancel(key) => {
                self.cancel(key);
                self.purge_outboxes();
            }
        }
    }

    /// What `find` finds, also where it has only been ordered. What must wait for the mail that is
    /// being delivered right now is put off.
    pub(super) fn find_ordered<T>(self: &Rc<Self>, find: impl Fn(&Self) -> Option<T>) -> Option<T> {
        loop {
            if let Some(found) = find(self) {
                return Some(found);
            }
            match self.handle.take_errand()? {
                after @ Errand::RunAfterMail(_) => self.postponed.borrow_mut().push_back(after),
                errand => self.do_errand(errand),
            }
        }
    }

    /// Does what has been ordered, but for what waits for mail: the thing that an order among the mail is about may
    /// only have been ordered itself.
    fn set_up_ordered(self: &Rc<Self>) {
        let _: Option<()> = self.find_ordered(|_| None);
    }

    /// Takes note of everything that other threads have posted.
    pub(crate) fn catch_up(self: &Rc<Self>) {
        self.take_all_mail();
        self.set_up_ordered();
    }

    /// Makes the node busy; false where it is.
    #[inline]
    pub(crate) fn enter(&self) -> bool {
        !self.busy.replace(true)
    }

    /// Works off what was queued meanwhile, and lets go.
    #[inline]
    pub(crate) fn leave(self: &Rc<Self>) {
        if self.runnable.borrow().is_empty() {
            self.busy.set(false);
            return;
        }
        self.work_off();
    }

    fn work_off(self: &Rc<Self>) {
        let budget = self.env.settings().inbox_budget;
        for _ in 0..RUN_TURNS {
            let next = self.runnable.borrow_mut().pop_front();
            let Some(inbox) = next else {
                break;
            };
            if inbox.run(self, budget) {
                self.runnable.borrow_mut().push_back(inbox);
            }
        }
        self.busy.set(false);
        if !self.runnable.borrow().is_empty() {
            self.host.rouse();
        }
    }

    /// Works off what is queued, unless somebody further down the stack will.
    pub(crate) fn run_now(self: &Rc<Self>) {
        if self.enter() {
            self.leave();
        }
    }

    /// Has an inbox run.
    pub(crate) fn schedule(&self, inbox: Rc<dyn AnyInbox>) {
        self.runnable.borrow_mut().push_back(inbox);
        if !self.busy.get() {
            self.host.rouse();
        }
    }
}
