//! Keys of Spark's RPC layer.

use std::time::Duration;

use super::super::entries;
use super::global::NETWORK_TIMEOUT;
use crate::conf::alternate::Alternate;
use crate::conf::entry::{int, size, text, time};
use crate::conf::size::ByteUnit::MiB;
use crate::conf::time::TimeUnit::Seconds;

entries! {
    /// The implementation of the environment, up to Spark 1.6. Has no effect.
    RPC: Option<String> = "spark.rpc", text()
        .deprecated("2.0", "Not used any more.");

    /// How long an ask waits.
    ASK_TIMEOUT: Duration = "spark.rpc.askTimeout", time(Seconds)
        .falls_back_to(&NETWORK_TIMEOUT)
        .alternates(&[Alternate::renamed("spark.akka.askTimeout", "1.4")]);

    /// How long looking up an endpoint waits.
    LOOKUP_TIMEOUT: Duration = "spark.rpc.lookupTimeout", time(Seconds)
        .falls_back_to(&NETWORK_TIMEOUT)
        .alternates(&[Alternate::renamed("spark.akka.lookupTimeout", "1.4")]);

    /// Attempts of an ask with retries.
    NUM_RETRIES: u32 = "spark.rpc.numRetries", int()
        .default("3")
        .alternates(&[Alternate::renamed("spark.akka.num.retries", "1.4")]);

    /// The wait between two of them.
    RETRY_WAIT: Duration = "spark.rpc.retry.wait", time(Seconds)
        .default("3s")
        .alternates(&[Alternate::renamed("spark.akka.retry.wait", "1.4")]);

    /// The largest message.
    MESSAGE_MAX_SIZE: u64 = "spark.rpc.message.maxSize", size(MiB)
        .default("128m")
        .alternates(&[Alternate::renamed("spark.akka.frameSize", "1.6")]);

    /// Connections in the making at the same time.
    CONNECT_THREADS: usize = "spark.rpc.connect.threads", int()
        .default("64");

    /// Threads of the network, for clients and servers alike.
    IO_THREADS: usize = "spark.rpc.io.threads", int()
        .computed("min(processors, 8)", || processors(1, 8));

    /// Threads that call endpoints. The same key behind `spark.driver.` or `spark.executor.` means
    /// nothing here.
    DISPATCHER_NUM_THREADS: usize = "spark.rpc.netty.dispatcher.numThreads", int()
        .computed("max(2, processors)", || processors(2, usize::MAX));
}

fn processors(least: usize, most: usize) -> String {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    count.clamp(least, most).to_string()
}
