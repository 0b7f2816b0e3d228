//! Received messages: a view of the receive buffer, or, from this process, the value itself.

use std::cell::OnceCell;
use std::fmt;
use std::sync::Arc;

use ringrail_codec::archive::{ArchiveError, access};

use super::body::{BodyBuf, BodyRef, Scratch};
use super::decode_context::DecodeContext;
use super::message::{Payload, owned, read};
use super::peer::Peer;
use super::{RpcAddress, RpcError};

/// A message or a reply of type `M`, while its handler runs.
///
/// From another process it is the validated archive in the receive buffer, and nothing has been
/// copied; from this env it is the value as it was sent, never serialised. [`view`](Self::view) gives
/// either as it is; [`take`](Self::take) always an `M`, [`access`](Self::access) always an archive.
///
/// ```
/// # use ringrail::rpc::{Payload, Received, RpcError, View};
/// fn length(text: &Received<'_, String>) -> usize {
///     match text.view() {
///         View::Archived(text) => text.len(), // in the receive buffer
///         View::Local(text) => text.len(),    // the sender's own value
///     }
/// }
/// ```
pub struct Received<'a, M: Payload> {
    form: Form<'a, M>,
    peer: Option<&'a Arc<Peer>>,
}

enum Form<'a, M: Payload> {
    Archived {
        view: &'a M::Archived,
        body: BodyRef<'a>,
    },
    Local {
        value: M,
        scratch: OnceCell<Scratch>,
    },
}

/// A received value as it is; see [`Received::view`].
#[derive(Clone, Copy, Debug)]
pub enum View<'a, M: Payload> {
    /// The archive, in the receive buffer.
    Archived(&'a M::Archived),
    /// The value.
    Local(&'a M),
}

impl<'a, M: Payload> Received<'a, M> {
    /// The archive in `body`, validated.
    #[inline]
    pub(crate) fn archived(
        body: BodyRef<'a>,
        peer: Option<&'a Arc<Peer>>,
    ) -> Result<Self, ArchiveError> {
        let view = access::<M>(body.bytes())?;
        let form = Form::Archived { view, body };
        Ok(Self { form, peer })
    }

    #[inline]
    pub(crate) fn local(value: M) -> Self {
        let scratch = OnceCell::new();
        let form = Form::Local { value, scratch };
        Self { form, peer: None }
    }

    /// The value as it is, at no cost.
    #[inline]
    pub fn view(&self) -> View<'_, M> {
        match &self.form {
            Form::Archived { view, .. } => View::Archived(*view),
            Form::Local { value, .. } => View::Local(value),
        }
    }

    /// The archive. A local value is serialised for it, once.
    ///
    /// # Errors
    /// A local value that cannot be serialised.
    pub fn access(&self) -> Result<&M::Archived, RpcError> {
        let (value, scratch) = match &self.form {
            Form::Archived { view, .. } => return Ok(view),
            Form::Local { value, scratch } => (value, scratch),
        };
        let bytes = match scratch.get() {
            Some(bytes) => bytes,
            None => {
                let fresh = Scratch::encode(value).map_err(|error| {
                    RpcError::unserialisable(std::any::type_name::<M>(), &error)
                })?;
                scratch.get_or_init(|| fresh)
            }
        };
        access::<M>(bytes.bytes()).map_err(|error| unreadable::<M>(None, &error))
    }

    /// The value: moved out where it is local, deserialised where it is not.
    ///
    /// # Errors
    /// It cannot be deserialised.
    #[inline]
    pub fn take(self) -> Result<M, RpcError> {
        match self.form {
            Form::Local { value, .. } => Ok(value),
            Form::Archived { view, .. } => scoped::<M, _>(self.peer, || owned::<M>(view)),
        }
    }

    /// An owned value of one field of the [archive](View::Archived): a `T` of `view`, which is part of it. For handlers that
    /// read the rest in place.
    ///
    /// # Errors
    /// It cannot be deserialised.
    pub fn field<T: Payload>(&self, view: &T::Archived) -> Result<T, RpcError> {
        scoped::<T, _>(self.peer, || owned::<T>(view))
    }

    /// Keeps it beyond the handler's return: holds the receive buffer, copies nothing.
    pub fn keep(self) -> Owned<M> {
        match self.form {
            Form::Local { value, .. } => Owned::local(value),
            Form::Archived { body, .. } => Owned {
                form: OwnedForm::Archived(body.keep()),
                peer: self.peer.cloned(),
            },
        }
    }

    /// Whether it came from another env.
    pub fn is_remote(&self) -> bool {
        matches!(self.form, Form::Archived { .. })
    }
}

impl<M: Payload> fmt::Debug for Received<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = std::any::type_name::<M>();
        write!(f, "Received({name}, remote: {})", self.is_remote())
    }
}

/// A received value that lasts, for any thread: holds the receive buffer, or the value.
///
/// The whole receive buffer (64 KiB as a rule) stays in use as long as one of these is alive: take
/// out what is small and kept for long.
pub struct Owned<M: Payload> {
    form: OwnedForm<M>,
    peer: Option<Arc<Peer>>,
}

enum OwnedForm<M> {
    Archived(BodyBuf),
    Local(M),
}

impl<M: Payload> Owned<M> {
    pub(crate) fn local(value: M) -> Self {
        Self {
            form: OwnedForm::Local(value),
            peer: None,
        }
    }

    /// As a handler gets it; validates the archive.
    ///
    /// # Errors
    /// The bytes are no archive of an `M`.
    pub fn borrow(&self) -> Result<View<'_, M>, RpcError> {
        match &self.form {
            OwnedForm::Local(value) => Ok(View::Local(value)),
            OwnedForm::Archived(body) => access::<M>(body.bytes())
                .map(View::Archived)
                .map_err(|error| unreadable::<M>(self.peer.as_ref(), &error)),
        }
    }

    /// An owned value of one field of the archive; see [`Received::field`].
    ///
    /// # Errors
    /// It cannot be deserialised.
    pub fn field<T: Payload>(&self, view: &T::Archived) -> Result<T, RpcError> {
        scoped::<T, _>(self.peer.as_ref(), || owned::<T>(view))
    }

    /// The value: moved out where it is local, deserialised where it is not.
    ///
    /// # Errors
    /// The bytes are no archive of an `M`.
    pub fn take(self) -> Result<M, RpcError> {
        match self.form {
            OwnedForm::Local(value) => Ok(value),
            OwnedForm::Archived(body) => {
                scoped::<M, _>(self.peer.as_ref(), || read::<M>(body.bytes()))
            }
        }
    }

    /// Whether it came from another env.
    pub fn is_remote(&self) -> bool {
        matches!(self.form, OwnedForm::Archived(_))
    }
}

impl<M: Payload> fmt::Debug for Owned<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = std::any::type_name::<M>();
        write!(f, "Owned({name}, remote: {})", self.is_remote())
    }
}

/// Reads a value; refs in it belong to the peer's connection.
#[inline]
fn scoped<M, E: fmt::Display>(
    peer: Option<&Arc<Peer>>,
    read: impl FnOnce() -> Result<M, E>,
) -> Result<M, RpcError> {
    let read = match peer {
        // A type that needs no drop holds no refs.
        Some(peer) if std::mem::needs_drop::<M>() => {
            let _scope = DecodeContext::of_peer(peer);
            read()
        }
        _ => read(),
    };
    read.map_err(|error| unreadable::<M>(peer, &error))
}

#[cold]
fn unreadable<M>(peer: Option<&Arc<Peer>>, error: &impl fmt::Display) -> RpcError {
    let from = peer.map_or_else(|| "this env".to_owned(), |peer| peer.address().to_string());
    RpcError::BadArchive {
        message: std::any::type_name::<M>().into(),
        from: from.into(),
        detail: error.to_string().into(),
    }
}

/// The sender of a message; `None` where its env does not listen and it is this env.
pub(crate) fn sender_of(peer: Option<&Arc<Peer>>, own: Option<&RpcAddress>) -> Option<RpcAddress> {
    match peer {
        Some(peer) => Some(peer.address().clone()),
        None => own.cloned(),
    }
}
