//! Replies that are remembered, so that a request which is repeated is not handled twice.
//!
//! A repeated request carries the token of the first. While that is being handled, the repetition
//! waits for its reply; afterwards it gets the remembered one. A failure is not remembered: the
//! repetition is then handled anew, which is what it is for.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use ringrail_codec::archive::Encode;

use crate::rpc::body::{AlignedBytes, encode_aligned};
use crate::rpc::error::RpcError;
use crate::rpc::reply_to::WireCall;

/// Replies that one thread remembers, at most; the oldest are forgotten first.
pub const MAX_REMEMBERED: usize = 4096;

/// Bytes of replies that one thread remembers, at most.
pub const MAX_REMEMBERED_LEN: usize = 16 << 20;

enum Entry {
    /// Being handled; the latest repetition waits.
    Running(Option<WireCall<'static>>),
    Done(Arc<AlignedBytes>),
}

/// The remembered replies of one thread.
#[derive(Default)]
pub(crate) struct Recent {
    entries: RefCell<HashMap<u64, Entry>>,
    /// In the order of their replies.
    done: RefCell<VecDeque<u64>>,
    done_len: Cell<usize>,
}

impl Recent {
    /// The call, if it is to be handled; else it is answered from here, now or later.
    pub(crate) fn admit<'r>(&self, token: u64, call: WireCall<'r>) -> Option<WireCall<'r>> {
        let mut entries = self.entries.borrow_mut();
        match entries.get_mut(&token) {
            None => {
                entries.insert(token, Entry::Running(None));
                Some(call)
            }
            Some(Entry::Running(waiting)) => {
                let before = waiting.replace(call.hold());
                drop(entries);
                if let Some(before) = before {
                    before.fail(&RpcError::other("the request was repeated"));
                }
                None
            }
            Some(Entry::Done(bytes)) => {
                let bytes = Arc::clone(bytes);
                drop(entries);
                call.reply_bytes(&bytes);
                None
            }
        }
    }

    /// Answers a call, and remembers how.
    pub(crate) fn reply(&self, token: u64, call: WireCall<'_>, value: &impl Encode) {
        let bytes = match encode_aligned(value) {
            Ok(bytes) => Arc::new(bytes),
            Err(error) => {
                let text = format!("the reply cannot be serialised: {error}");
                return self.fail(token, call, &RpcError::other(text));
            }
        };
        let entry = Entry::Done(Arc::clone(&bytes));
        let before = self.entries.borrow_mut().insert(token, entry);
        call.reply_bytes(&bytes);
        if let Some(Entry::Running(Some(waiting))) = before {
            waiting.reply_bytes(&bytes);
        }
        self.done_len.set(self.done_len.get() + bytes.len());
        self.done.borrow_mut().push_back(token);
        self.forget_old();
    }

    /// Answers a call with a failure, which is not remembered.
    pub(crate) fn fail(&self, token: u64, call: WireCall<'_>, error: &RpcError) {
        let before = self.entries.borrow_mut().remove(&token);
        call.fail(error);
        if let Some(Entry::Running(Some(waiting))) = before {
            waiting.fail(error);
        }
    }

    fn forget_old(&self) {
        loop {
            let mut done = self.done.borrow_mut();
            if done.len() <= MAX_REMEMBERED && self.done_len.get() <= MAX_REMEMBERED_LEN {
                return;
            }
            let oldest = done.pop_front();
            let forgotten = oldest.and_then(|token| self.entries.borrow_mut().remove(&token));
            if let Some(Entry::Done(bytes)) = forgotten {
                self.done_len.set(self.done_len.get() - bytes.len());
            }
        }
    }
}
