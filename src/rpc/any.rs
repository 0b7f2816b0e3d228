//! Messages whose type the endpoint does not name: for routers, proxies and Spark's catch-alls.

use std::any::Any;
use std::sync::Arc;

use super::body::BodyRef;
use super::call::CallSlot;
use super::id::MessageId;
use super::message::{Message, Payload};
use super::peer::Peer;
use super::received::{Received, sender_of};
use super::shared::EnvShared;
use super::{RpcAddress, RpcError};

/// A message that the endpoint has no handler for.
pub struct AnyMessage<'a> {
    pub(crate) id: MessageId,
    pub(crate) form: AnyForm<'a>,
    pub(crate) peer: Option<&'a Arc<Peer>>,
    pub(crate) endpoint: &'a EndpointFace,
}

pub(crate) enum AnyForm<'a> {
    Archived(BodyRef<'a>),
    Local {
        value: Box<dyn Any>,
        name: &'static str,
    },
}

/// The parts of an endpoint that errors name.
pub(crate) struct EndpointFace {
    /// As a ref to it is printed.
    pub(crate) text: Arc<str>,
    /// Whether it handles any message by type.
    pub(crate) has_routes: bool,
    pub(crate) env: Arc<EnvShared>,
}

impl<'a> AnyMessage<'a> {
    /// The number of its type on the wire.
    pub fn id(&self) -> MessageId {
        self.id
    }

    /// The name of its type, or its number where the peer has not told the name.
    pub fn name(&self) -> Arc<str> {
        match (&self.form, self.peer) {
            (AnyForm::Local { name, .. }, _) => Arc::from(*name),
            (AnyForm::Archived(_), Some(peer)) => peer.message_name(self.id),
            (AnyForm::Archived(_), None) => self.id.to_string().into(),
        }
    }

    /// The sender.
    pub fn sender_address(&self) -> Option<RpcAddress> {
        sender_of(self.peer, self.endpoint.env.address())
    }

    /// Whether it is an `M`.
    pub fn is<M: Message>(&self) -> bool {
        self.id == M::ID
    }

    /// The message, as a handler of `M` would get it.
    ///
    /// # Errors
    /// It is another message, or no archive of an `M`.
    pub fn read<M: Message>(self) -> Result<Received<'a, M>, RpcError> {
        if !self.is::<M>() {
            return Err(self.unsupported());
        }
        let error = match self.form {
            AnyForm::Archived(body) => match Received::archived(body, self.peer) {
                Ok(received) => return Ok(received),
                Err(error) => error.to_string(),
            },
            AnyForm::Local { value, .. } => match value.downcast::<M>() {
                Ok(value) => return Ok(Received::local(*value)),
                Err(_) => format!("it is not a {}", std::any::type_name::<M>()),
            },
        };
        Err(RpcError::BadArchive {
            message: M::NAME.into(),
            from: sender_text(self.peer, &self.endpoint.env),
            detail: error.into(),
        })
    }

    /// "Unsupported message M from A".
    pub fn unsupported(&self) -> RpcError {
        RpcError::Unsupported {
            message: self.name(),
            from: sender_text(self.peer, &self.endpoint.env),
        }
    }

    pub(crate) fn unmatched(&self) -> RpcError {
        if self.endpoint.has_routes {
            return self.unsupported();
        }
        RpcError::NotImplemented {
            endpoint: Arc::clone(&self.endpoint.text),
        }
    }

    pub(crate) fn unanswered(&self) -> RpcError {
        if self.endpoint.has_routes {
            return self.unsupported();
        }
        RpcError::WontReply {
            endpoint: Arc::clone(&self.endpoint.text),
        }
    }
}

/// The sender of a message, in words.
pub(crate) fn sender_text(peer: Option<&Arc<Peer>>, env: &EnvShared) -> Arc<str> {
    match sender_of(peer, env.address()) {
        Some(address) => address.to_string().into(),
        None => format!("{} itself", env.name()).into(),
    }
}

debug_text!(AnyMessage<'_>, |this| "AnyMessage({})", this.name());

/// Answers an [`AnyMessage`].
#[must_use = "a call that is dropped fails its caller"]
pub struct AnyCallContext<'a> {
    pub(crate) slot: &'a dyn CallSlot,
}

impl AnyCallContext<'_> {
    /// Replies. An `R` that is not the reply type of the message fails an ask of this process; a peer
    /// finds out by its validation.
    pub fn reply<R: Payload>(self, value: R) {
        let mut value = Some(value);
        self.slot.with(&mut |reply| {
            if let Some(value) = value.take() {
                reply.reply(value);
            }
        });
    }

    /// Answers with a failure.
    pub fn send_failure(self, error: RpcError) {
        self.slot.with(&mut |reply| reply.fail(&error));
    }
}

debug_text!(AnyCallContext<'_>, |_this| "AnyCallContext");
