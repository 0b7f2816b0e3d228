//! This program's types by the names of messages, so that two types of one name are noticed.
//!
//! Within the program: endpoints declare their messages when they are set up, connections when they first send one;
//! a second type of the same name is refused or logged. Between programs: a connection tells a fingerprint of
//! each message beside its name, and messages whose fingerprints differ are refused.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, OnceLock};

use rkyv::Archive;

use super::error::RpcError;
use super::id::{MessageId, SPARE_BIT, fnv1a};
use super::message::Message;
use super::sync::Unpoisoned;

/// Names that one program declares, at most; more are not compared.
const MAX_DECLARED: usize = 65_536;

/// One type of message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schema {
    pub(crate) id: MessageId,
    pub(crate) name: &'static str,
    pub(crate) fingerprint: u64,
    of: TypeId,
    pub(crate) type_name: &'static str,
}

impl Schema {
    pub(crate) fn of<M: Message>() -> Self {
        Self {
            id: M::ID,
            name: M::NAME,
            fingerprint: fingerprint::<M>(),
            of: TypeId::of::<M>(),
            type_name: std::any::type_name::<M>(),
        }
    }

    fn clash(&self, other: &Self) -> RpcError {
        RpcError::MessageClash {
            name: self.name,
            types: format!("{} and {}", other.type_name, self.type_name).into(),
        }
    }
}

/// Differs where two programs' types of one name have archives of different sizes or alignments, or replies that
/// do, or other numbers in [`Message::SCHEMA`]. Types in different crates may be the same message, so their paths
/// do not count.
fn fingerprint<M: Message>() -> u64 {
    fn layout<T: Archive>() -> [u64; 2] {
        [
            size_of::<T::Archived>() as u64,
            align_of::<T::Archived>() as u64,
        ]
    }
    let ([message, align], [reply, reply_align]) = (layout::<M>(), layout::<M::Reply>());
    let mut bytes = [0u8; 40];
    let numbers = [message, align, reply, reply_align, M::SCHEMA];
    for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    fnv1a(&bytes) & !SPARE_BIT
}

type Declared = HashMap<u64, Schema>;

fn declared() -> MutexGuard<'static, Declared> {
    static DECLARED: OnceLock<Mutex<Declared>> = OnceLock::new();
    let declared = DECLARED.get_or_init(Mutex::default);
    declared.lock().unpoisoned()
}

/// This program means that type by that name.
///
/// # Errors
/// It means another one as well.
pub(crate) fn declare(schema: Schema) -> Result<(), RpcError> {
    let mut declared = declared();
    let key = schema.id.to_wire();
    match declared.get(&key) {
        Some(known) if known.of == schema.of => Ok(()),
        Some(known) => Err(schema.clash(known)),
        None => {
            if declared.len() < MAX_DECLARED {
                declared.insert(key, schema);
            }
            Ok(())
        }
    }
}

/// The fingerprint of a message that this program knows.
pub(crate) fn known(id: u64) -> Option<Schema> {
    declared().get(&id).copied()
}

/// # Errors
/// Two types among them have one name, or this program means another type by one.
pub(crate) fn declare_all(schemas: &[Schema]) -> Result<(), RpcError> {
    schemas.iter().try_for_each(|schema| declare(*schema))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rkyv::{Deserialize, Serialize};

    macro_rules! messages {
        ($($name:ident($field:ty) -> $reply:ty, $text:literal, $schema:literal;)+) => {
            $(#[derive(Archive, Serialize, Deserialize)]
            struct $name($field);
            impl Message for $name {
                type Reply = $reply;
                const NAME: &'static str = $text;
                const SCHEMA: u64 = $schema;
            })+
        };
    }

    messages! {
        One(u64) -> u64, "schema.One", 0;
        Other(u64) -> u64, "schema.One", 0;
        Wider(u128) -> u64, "schema.Wider", 0;
        Replies(u64) -> (u64, u64), "schema.Replies", 0;
        Numbered(u64) -> u64, "schema.Numbered", 7;
    }

    #[test]
    fn two_types_of_one_name_are_noticed() {
        declare(Schema::of::<One>()).unwrap();
        declare(Schema::of::<One>()).unwrap();
        let error = declare(Schema::of::<Other>()).unwrap_err().to_string();
        for part in ["schema.One", "::One", "::Other"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn fingerprints_tell_layouts_replies_and_numbers_apart() {
        let one = fingerprint::<One>();
        assert_eq!(one, fingerprint::<Other>());
        for other in [
            fingerprint::<Wider>(),
            fingerprint::<Replies>(),
            fingerprint::<Numbered>(),
        ] {
            assert_ne!(one, other);
        }
    }
}
