//! Keys of endpoints: asking, inboxes, outboxes.

use std::time::Duration;

use super::{entries, network, transport};
use crate::conf::alternate::Alternate;
use crate::conf::entry::{int, size, time};
use crate::conf::size::ByteUnit::{Byte, MiB};
use crate::conf::time::TimeUnit::Seconds;

entries! {
    /// How long an ask waits for its reply, if the caller names no time.
    ASK_TIMEOUT: Duration = "ringrail.rpc.askTimeout", time(Seconds)
        .falls_back_to(&network::TIMEOUT)
        .range("1ms", "365d")
        .alternates(&[Alternate::same("spark.rpc.askTimeout")]);

    /// How long looking up an endpoint at another address may take.
    LOOKUP_TIMEOUT: Duration = "ringrail.rpc.lookupTimeout", time(Seconds)
        .falls_back_to(&network::TIMEOUT)
        .range("1ms", "365d")
        .alternates(&[Alternate::same("spark.rpc.lookupTimeout")]);

    /// Attempts of an ask with retries, the first included.
    NUM_RETRIES: u32 = "ringrail.rpc.numRetries", int()
        .default("3")
        .range("1", "1000")
        .alternates(&[Alternate::same("spark.rpc.numRetries")]);

    /// The wait between two of them.
    RETRY_WAIT: Duration = "ringrail.rpc.retry.wait", time(Seconds)
        .default("3s")
        .alternates(&[Alternate::same("spark.rpc.retry.wait")]);

    /// Replies to asks with retries that each thread remembers, so that a repetition is not handled twice; the
    /// oldest are forgotten first. As many such asks may be in handling at a time; further ones are refused as
    /// busy.
    RETRY_REMEMBERED: usize = "ringrail.rpc.retry.remembered", int()
        .default("4096")
        .range("1", "1048576");

    /// Bytes of these replies.
    RETRY_REMEMBERED_SIZE: usize = "ringrail.rpc.retry.rememberedSize", size(Byte)
        .default("16m")
        .range("0", "1t");

    /// The largest message, in its serialised form. Spark refuses more than 2047 MiB here; its bodies
    /// lie in one array.
    MESSAGE_MAX_SIZE: u64 = "ringrail.rpc.message.maxSize", size(MiB)
        .default("128m")
        .range("32k", "1t")
        .alternates(&[Alternate::same("spark.rpc.message.maxSize")]);

    /// Messages that may wait in the inbox of one endpoint. A further ask fails as busy, a further one-way
    /// message of this process is refused; one of a peer waits, and with it what its connection carries.
    INBOX_CAPACITY: usize = "ringrail.rpc.inbox.capacity", int()
        .default("16384")
        .range("1", "16777216");

    /// How long a peer's one-way message may wait for room in an inbox, with everything behind it. Then it is
    /// lost, which both sides count and tell.
    INBOX_MAX_STALL: Duration = "ringrail.rpc.inbox.maxStall", time(Seconds)
        .default("10s")
        .range("0s", "1h");

    /// Messages that one endpoint handles before others of its shard have their turn.
    INBOX_BUDGET: usize = "ringrail.rpc.inbox.budget", int()
        .default("64")
        .range("1", "65536");

    /// Messages that may wait for a connection to one address. Further ones are refused as busy.
    OUTBOX_CAPACITY: usize = "ringrail.rpc.outbox.capacity", int()
        .default("16384")
        .range("1", "16777216");

    /// Connections that may be in the making at the same time, to all addresses together.
    CONNECT_CONCURRENCY: usize = "ringrail.rpc.connect.concurrency", int()
        .default("64")
        .range("1", "65536")
        .alternates(&[Alternate::same("spark.rpc.connect.threads")]);

    /// Shards of an environment: threads with a ring each, on which its endpoints live; 0 for one per
    /// processor, up to 8.
    SHARDS: usize = "ringrail.rpc.shards", int()
        .falls_back_to(&transport::SHARDS)
        .range("0", "1024")
        .alternates(&[
            Alternate::same("spark.rpc.netty.dispatcher.numThreads"),
            Alternate::same("spark.rpc.io.serverThreads"),
            Alternate::same("spark.rpc.io.threads"),
        ]);
}
