//! Replies that are remembered, so that a request which is repeated is not handled twice.
//!
//! A repeated request carries the token of the first. While that is being handled, the repetition
//! waits for its reply; afterwards it gets the remembered one. A failure is not remembered: the
//! repetition is then handled anew, which is what it is for.
//!
//! ```text
//! admit ─► OnceCall ─┬─ reply ─► remembered, sent to the call and to the repetition that waits
//!                    ├─ fail  ─► forgotten, likewise
//!                    └─ drop  ─► forgotten: the repetition that waits is failed, the next is handled
//! ```
//!
//! The [`OnceCall`] is the only way to answer a call with a token, so every exit of the message (a full inbox,
//! a retracted caller, a catch-all handler, the end of the endpoint) goes through one of the three.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ringrail_codec::archive::Encode;

use crate::rpc::body::{AlignedBytes, encode_aligned};
use crate::rpc::error::RpcError;
use crate::rpc::settings::REMEMBERED_KEY;
use crate::rpc::thread::ThreadHandle;

use super::{Reply, SendReply};

enum Entry {
    /// Being handled, or waiting for it.
    Running(Running),
    Done(Arc<AlignedBytes>),
}

#[derive(Default)]
struct Running {
    /// The latest repetition.
    waiting: Option<Reply<'static>>,
    /// Set when there has been one; for a call that is answered from another thread.
    repeated: Option<Arc<AtomicBool>>,
}

/// The remembered replies of one thread.
pub(crate) struct ReplyCache {
    /// Replies at most, and calls that are being handled at most.
    limit: usize,
    /// Bytes of replies at most.
    limit_len: usize,
    entries: RefCell<HashMap<u64, Entry>>,
    /// In the order of their replies.
    done: RefCell<VecDeque<u64>>,
    done_len: Cell<usize>,
}

impl ReplyCache {
    pub(crate) fn new(limit: usize, limit_len: usize) -> Rc<Self> {
        Rc::new(Self {
            limit,
            limit_len,
            entries: RefCell::default(),
            done: RefCell::default(),
            done_len: Cell::new(0),
        })
    }

    /// The call, if it is to be handled; else it is answered from here, now or later.
    pub(crate) fn admit<'r>(self: &Rc<Self>, token: u64, call: Reply<'r>) -> Option<Reply<'r>> {
        let mut entries = self.entries.borrow_mut();
        let (known, done) = (entries.len(), self.done.borrow().len());
        assert!(
            done <= known,
            "every reply that is remembered has its entry"
        );
        let running = known - done;
        match entries.get_mut(&token) {
            None if running >= self.limit => {
                drop(entries);
                call.fail(&RpcError::busy(
                    "the table of repeatable requests that are being handled",
                    self.limit,
                    REMEMBERED_KEY,
                ));
                None
            }
            None => {
                entries.insert(token, Entry::Running(Running::default()));
                Some(Reply::Once(Box::new(OnceCall::new(
                    self,
                    token,
                    call.hold(),
                ))))
            }
            Some(Entry::Running(running)) => {
                if let Some(repeated) = &running.repeated {
                    repeated.store(true, Ordering::Release);
                }
                let before = running.waiting.replace(call.hold());
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
    pub(crate) fn reply(&self, token: u64, call: Reply<'_>, value: &impl Encode) {
        let bytes = match encode_aligned(value) {
            Ok(bytes) => Arc::new(bytes),
            Err(error) => {
                let text = format!("the reply cannot be serialised: {error}");
                return self.fail(token, call, &RpcError::other(text));
            }
        };
        self.reply_bytes(token, call, &bytes);
    }

    fn reply_bytes(&self, token: u64, call: Reply<'_>, bytes: &Arc<AlignedBytes>) {
        let entry = Entry::Done(Arc::clone(bytes));
        let before = self.entries.borrow_mut().insert(token, entry);
        call.reply_bytes(bytes);
        match before {
            Some(Entry::Running(running)) => {
                if let Some(waiting) = running.waiting {
                    waiting.reply_bytes(bytes);
                }
            }
            // Only the one call of a token is answered through here.
            Some(Entry::Done(_)) => debug_assert!(false, "a request was answered twice"),
            None => {}
        }
        self.done_len.set(self.done_len.get() + bytes.len());
        self.done.borrow_mut().push_back(token);
        self.forget_old();
    }

    /// Answers a call with a failure, which is not remembered.
    pub(crate) fn fail(&self, token: u64, call: Reply<'_>, error: &RpcError) {
        let waiting = self.forget(token);
        call.fail(error);
        if let Some(waiting) = waiting {
            waiting.fail(error);
        }
    }

    /// The call of this token is over without a reply; the repetition that waits for it.
    fn forget(&self, token: u64) -> Option<Reply<'static>> {
        let before = self.entries.borrow_mut().remove(&token);
        match before {
            Some(Entry::Running(running)) => running.waiting,
            Some(Entry::Done(_)) | None => None,
        }
    }

    /// The result of `of` for the repetition that waits for this token's call, if one does.
    fn of_waiting<T>(&self, token: u64, of: impl FnOnce(&Reply<'static>) -> T) -> Option<T> {
        match self.entries.borrow().get(&token) {
            Some(Entry::Running(running)) => running.waiting.as_ref().map(of),
            Some(Entry::Done(_)) | None => None,
        }
    }

    /// A flag that is set when the call of this token is repeated.
    fn repeated(&self, token: u64) -> Arc<AtomicBool> {
        match self.entries.borrow_mut().get_mut(&token) {
            Some(Entry::Running(running)) => {
                let before = running.waiting.is_some();
                let flag = running.repeated.get_or_insert_with(Arc::default);
                flag.store(before, Ordering::Release);
                Arc::clone(flag)
            }
            Some(Entry::Done(_)) | None => Arc::default(),
        }
    }

    fn forget_old(&self) {
        loop {
            let mut done = self.done.borrow_mut();
            if done.len() <= self.limit && self.done_len.get() <= self.limit_len {
                return;
            }
            let oldest = done.pop_front();
            let forgotten = oldest.and_then(|token| self.entries.borrow_mut().remove(&token));
            if let Some(Entry::Done(bytes)) = forgotten {
                let known = self.done_len.get();
                assert!(bytes.len() <= known, "remembered bytes are counted");
                self.done_len.set(known - bytes.len());
            }
        }
    }
}

/// The right to answer a call that may be repeated, on the thread that remembers it.
///
/// Dropped unanswered, it clears the token: the next repetition is handled anew.
pub(crate) struct OnceCall {
    cache: Rc<ReplyCache>,
    token: u64,
    /// `None` once it is answered.
    call: Option<Reply<'static>>,
}

impl OnceCall {
    pub(crate) fn new(cache: &Rc<ReplyCache>, token: u64, call: Reply<'static>) -> Self {
        Self {
            cache: Rc::clone(cache),
            token,
            call: Some(call),
        }
    }

    pub(crate) fn reply(mut self, value: &impl Encode) {
        if let Some(call) = self.call.take() {
            self.cache.reply(self.token, call, value);
        }
    }

    pub(crate) fn reply_bytes(mut self, bytes: &Arc<AlignedBytes>) {
        if let Some(call) = self.call.take() {
            self.cache.reply_bytes(self.token, call, bytes);
        }
    }

    pub(crate) fn fail(mut self, error: &RpcError) {
        if let Some(call) = self.call.take() {
            self.cache.fail(self.token, call, error);
        }
    }

    /// The latest time at which somebody still waits.
    pub(crate) fn deadline_ns(&self) -> u64 {
        let own = self.call.as_ref().map_or(0, Reply::deadline_ns);
        let waiting = self.cache.of_waiting(self.token, Reply::deadline_ns);
        own.max(waiting.unwrap_or(0))
    }

    /// Neither the caller nor a repetition waits.
    pub(crate) fn is_retracted(&self) -> bool {
        let own = self.call.as_ref().is_none_or(Reply::is_retracted);
        let waiting = self.cache.of_waiting(self.token, Reply::is_retracted);
        own && waiting.unwrap_or(true)
    }

    /// Whether the caller or a repetition waits at this time.
    pub(crate) fn is_wanted(&self, now_ns: u64) -> bool {
        let wanted = |call: &Reply<'static>| call.is_wanted(now_ns);
        self.call.as_ref().is_some_and(wanted)
            || self.cache.of_waiting(self.token, wanted).unwrap_or(false)
    }

    /// For an answer from any thread.
    pub(crate) fn send(mut self, host: &Arc<ThreadHandle>) -> SendReply {
        let call = self.call.take().unwrap_or_default();
        SendReply::Once {
            host: Arc::clone(host),
            token: self.token,
            repeated: self.cache.repeated(self.token),
            reply: Box::new(call.send(host)),
        }
    }
}

impl Drop for OnceCall {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            let error = RpcError::other("the request was dropped before it was handled");
            self.cache.fail(self.token, call, &error);
        }
    }
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests {
    use super::super::Answer;
    use super::*;
    use crate::rpc::thread::{Job, ThreadWaker};

    struct Silent;

    impl ThreadWaker for Silent {
        fn wake(&self) {}
    }

    /// A thread that asks, and that nobody runs.
    struct Asker(Arc<ThreadHandle>);

    impl Default for Asker {
        fn default() -> Self {
            Self(Arc::new(ThreadHandle::new(
                "asker".into(),
                8,
                false,
                Box::new(Silent),
            )))
        }
    }

    impl Asker {
        /// The calls that were answered, and whether by a reply.
        fn answers(&self) -> Vec<(u64, bool)> {
            let posts = std::iter::from_fn(|| self.0.take());
            let answers = posts.map(|job| match job {
                Job::Answer(id, outcome) => (id, outcome.is_ok()),
                other => panic!("no answer: {other:?}"),
            });
            answers.collect()
        }
    }

    fn reply_cache(limit: usize, limit_len: usize) -> Rc<ReplyCache> {
        ReplyCache::new(limit, limit_len)
    }

    fn call(asker: &Asker, id: u64) -> Reply<'static> {
        call_until(asker, id, &Arc::default())
    }

    fn call_until(asker: &Asker, id: u64, retracted: &Arc<AtomicBool>) -> Reply<'static> {
        let answer = Answer::new(&asker.0, (id, 100, Arc::clone(retracted)));
        Reply::Memory(Box::new(answer))
    }

    #[test]
    fn a_call_that_is_dropped_unanswered_clears_its_token() {
        let (cache, answers) = (reply_cache(8, 1 << 20), Asker::default());
        let first = cache.admit(7, call(&answers, 1)).unwrap();
        assert!(cache.admit(7, call(&answers, 2)).is_none(), "it waits");
        drop(first);
        assert_eq!(cache.entries.borrow().len(), 0);
        assert_eq!(answers.answers(), [(1, false), (2, false)]);
        assert!(cache.admit(7, call(&answers, 3)).is_some(), "handled anew");
    }

    #[test]
    fn a_call_is_wanted_as_long_as_its_repetition_is() {
        let (cache, answers) = (reply_cache(8, 1 << 20), Asker::default());
        let retracted = Arc::default();
        let first = call_until(&answers, 1, &retracted);
        let first = cache.admit(7, first).unwrap();
        retracted.store(true, Ordering::Release);
        assert!(first.is_retracted() && !first.is_wanted(50));
        assert!(cache.admit(7, call(&answers, 2)).is_none());
        assert!(!first.is_retracted() && first.is_wanted(50));
        first.reply(5u64);
        assert_eq!(answers.answers().last(), Some(&(2, true)));
    }

    #[test]
    fn replies_and_running_calls_are_bounded() {
        let (cache, answers) = (reply_cache(2, 1 << 20), Asker::default());
        for token in 0..10 {
            cache
                .admit(token, call(&answers, token))
                .unwrap()
                .reply(token);
        }
        assert_eq!(cache.entries.borrow().len(), 2, "the oldest are forgotten");
        let running = (20..22).map(|token| cache.admit(token, call(&answers, token)));
        let running: Vec<_> = running.map(Option::unwrap).collect();
        assert!(cache.admit(22, call(&answers, 22)).is_none());
        assert_eq!(answers.answers().last(), Some(&(22, false)), "refused");
        drop(running);
        assert!(cache.admit(22, call(&answers, 22)).is_some());
    }

    #[test]
    fn bytes_of_replies_are_bounded() {
        let (cache, answers) = (reply_cache(100, 64), Asker::default());
        for token in 0..10 {
            let call = cache.admit(token, call(&answers, token)).unwrap();
            call.reply([token; 4]);
        }
        assert_eq!(cache.entries.borrow().len(), 2, "32 bytes each");
    }
}
