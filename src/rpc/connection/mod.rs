//! A connection as this layer sees it: one of the engine's, or one in memory. What differs between the two
//! is here; everything above sends, cancels, pauses and closes by [`Connection`] alone.

mod memory;

use std::rc::Rc;
use std::time::Duration;

use ringrail_codec::archive::Encode;
use ringrail_transport::server::Pause;
use ringrail_transport::{self as transport, ResponseHandler};

use super::body::{AlignedBytes, encode_aligned};
use super::error::RpcError;
use super::message::Payload;
use super::replies::{AnyReplies, Replies, SentRequest};

pub(crate) use memory::{Channel, End};

/// A connection.
#[derive(Clone, Debug)]
pub(crate) enum Connection {
    /// Of the engine.
    Ring(transport::Connection),
    /// In memory.
    Memory(End),
}

/// As long as it lives, its connection hands out no messages.
#[derive(Debug)]
pub(crate) enum Paused {
    Ring { _pause: Pause },
    Memory(End),
}

impl Drop for Paused {
    fn drop(&mut self) {
        if let Paused::Memory(end) = self {
            end.refuse(false);
        }
    }
}

impl Connection {
    /// The engine's connection, if it is one.
    #[inline]
    pub(crate) fn of_engine(&self) -> Option<&transport::Connection> {
        match self {
            Connection::Ring(connection) => Some(connection),
            Connection::Memory(_) => None,
        }
    }

    /// Sends a request, with its deadline in ns and what is left until then; the reply to `key` goes to `replies`.
    ///
    /// # Errors
    /// It was not sent.
    #[inline]
    pub(crate) fn request<R: Payload>(
        &self,
        body: &impl Encode,
        (key, deadline_ns, left): (u64, u64, Duration),
        replies: &Rc<Replies<R>>,
    ) -> Result<SentRequest, RpcError> {
        match self {
            Connection::Ring(connection) => {
                let handler = Rc::clone(replies) as Rc<dyn ResponseHandler>;
                let number = connection.send_archive_with(body, Some(left), &handler, key)?;
                let timed = true;
                Ok(SentRequest { number, timed })
            }
            Connection::Memory(end) => {
                let answer = (key, deadline_ns, replies.retraction(key));
                end.send(encode(body)?, Some(answer))?;
                let (number, timed) = (key, false);
                Ok(SentRequest { number, timed })
            }
        }
    }

    /// Sends a message that wants no reply.
    ///
    /// # Errors
    /// It was not sent.
    pub(crate) fn send(&self, body: &impl Encode) -> Result<(), RpcError> {
        match self {
            Connection::Ring(connection) => Ok(connection.send_archive_one_way(body)?),
            Connection::Memory(end) => end.send(encode(body)?, None),
        }
    }

    /// Retracts a request by its number.
    pub(crate) fn cancel(&self, number: u64) {
        match self {
            Connection::Ring(connection) => connection.cancel(number),
            // Both sides have the flag of its entry.
            Connection::Memory(_) => {}
        }
    }

    /// Hands out no messages of the peer until the pause is dropped.
    pub(crate) fn pause(&self) -> Paused {
        match self {
            Connection::Ring(connection) => Paused::Ring {
                _pause: connection.pause(),
            },
            Connection::Memory(end) => {
                end.refuse(true);
                Paused::Memory(end.clone())
            }
        }
    }

    /// Ends it; what is outstanding fails.
    pub(crate) fn close(&self) {
        match self {
            Connection::Ring(connection) => connection.close(),
            Connection::Memory(end) => end.close(),
        }
    }
}

fn encode(body: &impl Encode) -> Result<AlignedBytes, RpcError> {
    encode_aligned(body).map_err(|error| RpcError::unserialisable("the message", &error))
}
