//! Replies that are streams: the handler returns a [`StreamRef`], whoever asked reads its items as they come.
//!
//! ```text
//! handler ─ open_stream(items) ─► an endpoint of its own, which has the items
//!                                   ▲ Pull: so many, please         │ Batch: up to as many
//! asker ── StreamRef::read ───────► Items: one batch is read while the next one is on its way
//! ```
//!
//! Flow control is by pull: at most two batches of items are in flight or buffered at the reader. Dropping the reader closes the
//! stream; a reader whose connection ends, or that pulls nothing for [`STREAM_IDLE`], is given up.

mod items;
mod source;
mod wire;

use std::marker::PhantomData;
use std::time::Duration;

use rkyv::{Archive, Deserialize, Serialize};

use super::RpcEndpointRef;
use super::fingerprint::{Fingerprint, Schema};
use super::message::Payload;

pub use items::Items;

/// The maximum number of open streams of a process.
pub const MAX_STREAMS: usize = 4096;

/// A stream that is not read for this long is closed.
pub const STREAM_IDLE: Duration = Duration::from_secs(120);

/// The interval at which a source checks for its reader.
const LOOK: Duration = Duration::from_secs(1);

/// The size of a batch, in bytes of its items' archives, at which it is sent although the credit allows more items.
const BATCH_BYTES: usize = 256 << 10;

/// The maximum number of items of a batch.
const MAX_CREDIT: u32 = 65_536;

/// The default number of items of a batch.
const USUAL_CREDIT: u32 = 64;

/// A stream of items, in a reply or message. [`read`](Self::read) reads it; one that is never read is closed after
/// [`STREAM_IDLE`].
///
/// ```
/// use ringrail::rpc::{EndpointContext, Failure, RpcEndpoint, RpcEnv, RpcError, StreamRef};
///
/// #[ringrail::interface]
/// trait Primes {
///     fn below(&self, end: u64) -> Result<StreamRef<u64>, Failure>;
/// }
///
/// #[derive(Default)]
/// struct Sieve(Option<RpcEnv>);
///
/// impl RpcEndpoint for Sieve {
///     type Messages = PrimesMessages;
///     fn on_start(&mut self, me: &EndpointContext<Self>) -> Result<(), RpcError> {
///         self.0 = Some(me.env());
///         Ok(())
///     }
/// }
///
/// impl Primes for Sieve {
///     fn below(&self, end: u64) -> Result<StreamRef<u64>, Failure> {
///         let env = self.0.as_ref().ok_or(Failure::text("not started"))?;
///         let is_prime = |n: &u64| (2..*n).all(|by| n % by != 0);
///         Ok(env.open_stream((2..end).filter(is_prime))?) // made as they are read
///     }
/// }
///
/// let env = RpcEnv::builder("primes").backend("local").build()?;
/// let primes = PrimesClient::new(&env.setup_endpoint("primes", Sieve::default())?);
/// let below = primes.below(20).wait()?.read().collect::<Result<Vec<_>, _>>()?;
/// assert_eq!(below, [2, 3, 5, 7, 11, 13, 17, 19]);
/// # Ok::<(), RpcError>(())
/// ```
#[derive(Archive, Serialize, Deserialize)]
pub struct StreamRef<T: 'static> {
    source: RpcEndpointRef,
    items: PhantomData<fn() -> T>,
}

impl<T: Schema> Schema for StreamRef<T> {
    const FINGERPRINT: u64 = Fingerprint::new("StreamRef")
        .number(T::FINGERPRINT)
        .finish();
}

debug_text!([T] StreamRef<T>, |this| "StreamRef({})", this.source);

/// A type that streams may carry: every type that messages may.
pub trait StreamItem: Payload + Schema {
    /// The name of the message that asks for items of this type: items of other types have another one.
    #[doc(hidden)]
    const PULL: &'static str;
}

/// In front of the fingerprint.
const PREFIX: &[u8; 16] = b"rpc.stream.Pull.";

/// `rpc.stream.Pull.` and the fingerprint in hexadecimal.
const fn pull_name(fingerprint: u64) -> [u8; 32] {
    let mut name = [0; 32];
    let mut at = 0;
    while at < 16 {
        name[at] = PREFIX[at];
        let digit = (fingerprint >> (60 - 4 * at)) as usize & 15;
        name[16 + at] = b"0123456789abcdef"[digit];
        at += 1;
    }
    name
}

struct PullName<T>(PhantomData<T>);

impl<T: Schema> PullName<T> {
    const BYTES: &'static [u8; 32] = &pull_name(T::FINGERPRINT);
}

impl<T: Payload + Schema> StreamItem for T {
    const PULL: &'static str = match std::str::from_utf8(PullName::<T>::BYTES) {
        Ok(name) => name,
        Err(_) => panic!("hexadecimal digits are text"),
    };
}

impl<T: StreamItem> StreamRef<T> {
    /// Reads the items, in batches of 64.
    pub fn read(self) -> Items<T> {
        self.read_by(USUAL_CREDIT)
    }

    /// Reads the items in batches of up to so many, 1 to 65,536. A batch that has reached 256 KiB is sent with fewer.
    pub fn read_by(self, credit: u32) -> Items<T> {
        Items::new(self.source, credit.clamp(1, MAX_CREDIT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_of_other_types_are_asked_for_by_other_messages() {
        assert_eq!(u64::PULL.len(), 32);
        assert!(u64::PULL.starts_with("rpc.stream.Pull."));
        let digits = &u64::PULL[16..];
        assert_eq!(u64::from_str_radix(digits, 16), Ok(u64::FINGERPRINT));
        assert_ne!(u64::PULL, <Vec<u64>>::PULL);
    }
}
