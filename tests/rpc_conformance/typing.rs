//! Types of messages and replies, and forms of their handlers.

use ringrail::rpc::{
    Async, FnEndpoint, HandleAsync, HeldCall, Owned, RpcEndpoint, RpcError, Slice, Text, View,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;

use crate::actors::{Echo, echo, message};
use crate::ground::{Backend, eventually};

message! { Bytes { bytes: Vec<u8> } -> Vec<u8>, "guarantees.Bytes" }
message! { Words { text: String } -> String, "guarantees.Words" }

pub(crate) fn replies_may_borrow_what_was_received(backend: Backend) {
    let (server, asker) = backend.pair();
    let endpoint = FnEndpoint::new()
        .on::<Bytes>(|bytes, call| {
            call.reply_as(match bytes.view() {
                View::Archived(it) => Slice(&it.bytes),
                View::Local(it) => Slice(&it.bytes),
            });
            Ok(())
        })
        .on::<Words>(|words, call| {
            call.reply_as(match words.view() {
                View::Archived(it) => Text(&it.text),
                View::Local(it) => Text(&it.text),
            });
            Ok(())
        });
    let here = server.setup_endpoint("echo", endpoint).unwrap().any();
    let there = asker.ref_at(server.address().unwrap(), "echo").unwrap();
    for to in [here, there] {
        let bytes: Vec<u8> = (0..200).collect();
        let reply = to
            .ask_blocking(Bytes {
                bytes: bytes.clone(),
            })
            .unwrap();
        assert_eq!(reply, bytes);
        let text = String::from("a text that is no short string");
        assert_eq!(to.ask_blocking(Words { text: text.clone() }).unwrap(), text);
    }
}

message! { Mine { n: u64 } -> u64, "guarantees.Shared" }
message! { Yours { n: u64 } -> u64, "guarantees.Shared" }

pub(crate) fn one_name_for_two_messages_is_refused(backend: Backend) {
    let env = backend.env("env");
    let mine = FnEndpoint::new().on::<Mine>(|_, _| Ok(()));
    env.setup_endpoint("mine", mine).unwrap();
    let yours = FnEndpoint::new().on::<Yours>(|_, _| Ok(()));
    let text = env.setup_endpoint("yours", yours).unwrap_err().to_string();
    for part in ["guarantees.Shared", "Mine", "Yours"] {
        assert!(text.contains(part), "{text}");
    }
    env.setup_endpoint("yours", echo()).unwrap();
}

/// Two programs' definitions of one message: the reader's, and a sender's with another field.
mod theirs {
    use ringrail::rpc::Message;
    use rkyv::{Archive, Deserialize, Serialize};

    #[derive(Archive, Serialize, Deserialize)]
    pub(super) struct Order {
        pub(super) n: u64,
    }

    impl Message for Order {
        type Reply = u64;
        const NAME: &'static str = "guarantees.Order";
    }

    #[derive(Archive, Serialize, Deserialize)]
    pub(super) struct OldOrder {
        pub(super) n: u64,
        pub(super) m: u64,
    }

    impl Message for OldOrder {
        type Reply = u64;
        const NAME: &'static str = "guarantees.Order";
    }
}

pub(crate) fn a_message_that_is_another_type_to_its_sender_is_refused(backend: Backend) {
    let (server, asker) = backend.pair();
    let orders = FnEndpoint::new().on::<theirs::Order>(|order, call| {
        call.reply(order.take()?.n);
        Ok(())
    });
    server.setup_endpoint("orders", orders).unwrap();
    let there = asker.ref_at(server.address().unwrap(), "orders").unwrap();
    let error = there
        .ask_blocking(theirs::OldOrder { n: 1, m: 2 })
        .unwrap_err();
    let text = error.to_string();
    assert!(text.contains("guarantees.Order"), "{text}");
    assert!(text.contains("is another type there than here"), "{text}");
    // Another sender's of the right type are read.
    let other = backend.env("other");
    let there = other.ref_at(server.address().unwrap(), "orders").unwrap();
    assert_eq!(there.ask_blocking(theirs::Order { n: 3 }).unwrap(), 3);
}

/// Counts how often the future of its handler is polled until it is let go.
struct Polled(Arc<AtomicU64>, Option<oneshot::Receiver<()>>);

impl RpcEndpoint for Polled {
    type Messages = (Async<Echo>,);
}

impl HandleAsync<Echo> for Polled {
    async fn handle(&mut self, echo: Owned<Echo>, call: HeldCall<u64>) -> Result<(), RpcError> {
        let (polls, mut wait) = (Arc::clone(&self.0), self.1.take());
        std::future::poll_fn(|cx| {
            polls.fetch_add(1, Ordering::SeqCst);
            match &mut wait {
                Some(wait) => std::pin::Pin::new(wait).poll(cx).map(drop),
                None => std::task::Poll::Ready(()),
            }
        })
        .await;
        call.reply(echo.take()?.n);
        Ok(())
    }
}

pub(crate) fn a_handlers_future_is_polled_when_it_is_woken_and_not_before(backend: Backend) {
    let env = backend.env("env");
    let polls = Arc::new(AtomicU64::new(0));
    let (go, wait) = oneshot::channel();
    let endpoint = Polled(Arc::clone(&polls), Some(wait));
    let polled = env.setup_endpoint("polled", endpoint).unwrap();
    // Queued while the endpoint starts, so it goes through the inbox.
    let ask = polled.ask(Echo { n: 1 });
    eventually("it is polled", || polls.load(Ordering::SeqCst) > 0);
    let others: Vec<_> = (0..3).map(|n| polled.send(Echo { n })).collect();
    assert!(others.iter().all(Result::is_ok));
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(polls.load(Ordering::SeqCst), 1);
    go.send(()).unwrap();
    assert_eq!(ask.wait().unwrap(), 1);
}
