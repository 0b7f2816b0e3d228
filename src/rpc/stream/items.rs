//! The reader of a stream.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::rpc::ask::block_on;
use crate::rpc::{Ask, RpcEndpointRef, RpcError};

use super::StreamItem;
use super::wire::{Batch, Close, Pull};

/// The items of a stream, as they come: by [`next_item`](Self::next_item) in any runtime, or as an iterator, which blocks its
/// thread. Ends after the last item, or after an error.
///
/// Dropping it closes the stream.
pub struct Items<T: StreamItem> {
    source: RpcEndpointRef,
    ready: VecDeque<T>,
    /// The pull of the next batch.
    asked: Option<Ask<Batch<T>>>,
    is_over: bool,
    credit: u32,
}

impl<T: StreamItem> Items<T> {
    pub(super) fn new(source: RpcEndpointRef, credit: u32) -> Self {
        let mut items = Self {
            source,
            ready: VecDeque::new(),
            asked: None,
            is_over: false,
            credit,
        };
        items.pull();
        items
    }

    /// The next item; `None` after the last, and after an error.
    ///
    /// # Cancel safety
    /// Dropping the future loses no item.
    pub async fn next_item(&mut self) -> Option<Result<T, RpcError>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`next_item`](Self::next_item), for those that poll.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, RpcError>>> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(item)));
            }
            let Some(asked) = &mut self.asked else {
                return Poll::Ready(None);
            };
            let batch = std::task::ready!(Pin::new(asked).poll(cx));
            self.asked = None;
            match batch {
                Ok(batch) => {
                    self.ready.extend(batch.items);
                    self.is_over = batch.is_last;
                    self.pull();
                }
                Err(error) => {
                    self.close();
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }

    /// Asks for the next batch, while this one is read.
    fn pull(&mut self) {
        if !self.is_over {
            self.asked = Some(self.source.ask(Pull {
                credit: self.credit,
                items: PhantomData,
            }));
        }
    }

    fn close(&mut self) {
        self.asked = None;
        if !std::mem::replace(&mut self.is_over, true)
            && let Err(error) = self.source.send(Close)
        {
            tracing::debug!(target: "ringrail::rpc", %error, "a stream is closed later, by itself");
        }
    }
}

impl<T: StreamItem> Drop for Items<T> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<T: StreamItem> Iterator for Items<T> {
    type Item = Result<T, RpcError>;

    /// The next item. [`RpcError::WouldBlock`] on a thread that runs endpoints.
    fn next(&mut self) -> Option<Self::Item> {
        if let Some(item) = self.ready.pop_front() {
            return Some(Ok(item));
        }
        match crate::rpc::dispatcher::may_wait_for(None, "the next item of a stream") {
            Ok(()) => block_on(self.next_item()),
            Err(error) => {
                self.close();
                Some(Err(error))
            }
        }
    }
}

debug_text!([T: StreamItem] Items<T>, |this| "Items(of {}, {} ready)", this.source, this.ready.len());
