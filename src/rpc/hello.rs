//! Messages between two envs themselves: their identities, and the names of their ids.
//!
//! One-way messages to endpoints whose names no user can register. *Hello* is the first message of
//! either side; *names* and *schemas* precede the first message that uses them; *lost* tells that a message which wanted no
//! reply was not handled. A link sends them ([`Link::tell`](super::link::Link::tell)), a dispatcher receives them.

use rkyv::{Archive, Deserialize, Serialize};

use super::id::EndpointId;
use super::message::Message;

/// A message of an env to another.
pub(crate) trait Notice: Message {
    /// The endpoint that takes it.
    const TO: EndpointId;
}

macro_rules! notices {
    ($($(#[$doc:meta])* $name:ident = $wire:literal to $endpoint:literal { $($field:ident: $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Archive, Serialize, Deserialize)]
            pub(crate) struct $name {
                $(pub(crate) $field: $type,)*
            }

            impl Message for $name {
                type Reply = ();
                const NAME: &'static str = $wire;
            }

            impl Notice for $name {
                const TO: EndpointId = EndpointId::of($endpoint);
            }
        )*

        /// Whether messages to this endpoint are the envs' own.
        pub(crate) fn is_reserved(endpoint: EndpointId) -> bool {
            [$($name::TO),*].contains(&endpoint)
        }
    };
}

notices! {
    /// The identity of the sender.
    Hello = "rpc.Hello" to "/hello" {
        env: u64,
        name: String,
        address: Option<(String, u16)>,
    }
    /// The endpoints that ids stand for.
    Names = "rpc.Names" to "/names" {
        names: Vec<(u64, String)>,
    }
    /// Ids of messages, and the fingerprints of their types.
    Schemas = "rpc.Schemas" to "/schemas" {
        schemas: Vec<(u64, u64)>,
    }
    /// A message of the receiver's came, and was not handled.
    Lost = "rpc.Lost" to "/lost" {
        endpoint: String,
        message: String,
        cause: String,
        code: u16,
    }
}
