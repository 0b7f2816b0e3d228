//! The messages that an endpoint takes, as the compiler checks them.

use super::message::Message;

/// In place of an endpoint's type: any. A ref to it may be asked everything, and the endpoint decides
/// at run time.
#[derive(Clone, Copy, Debug)]
pub enum Any {}

/// An endpoint that takes messages of type `M`; `How` tells the ways apart and is inferred.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle `{M}`",
    label = "not one of the messages of `{Self}`",
    note = "write `impl Handler<{M}> for {Self}`, and name `{M}` in its `Messages`"
)]
pub trait Accepts<M: Message, How> {}

/// By [`Handle`](super::Handle).
#[derive(Clone, Copy, Debug)]
pub enum ViaHandle {}

/// By [`HandleAsync`](super::HandleAsync).
#[derive(Clone, Copy, Debug)]
pub enum ViaHandleAsync {}

/// At run time.
#[derive(Clone, Copy, Debug)]
pub enum Dynamic {}

impl<M: Message> Accepts<M, Dynamic> for Any {}
