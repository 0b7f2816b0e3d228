//! Keys that exist once per module: `spark.<module>.io.…`.
//!
//! The engine has one set of settings for all modules, so where several modules' keys mean the same
//! here, those of `rpc` come before those of `shuffle`, and those of `files` mean nothing.

/// The keys of one module.
macro_rules! module {
    ($(#[$doc:meta])* $module:ident, $prefix:literal) => {
        $(#[$doc])*
        pub mod $module {
            use std::time::Duration;

            use super::super::super::entries;
            use super::super::global::{IO_MODE_DEFAULT, NETWORK_TIMEOUT};
            use crate::conf::entry::{choice, flag, int, size, time, time_or_zero};
            use crate::conf::size::ByteUnit::Byte;
            use crate::conf::time::TimeUnit::Seconds;

            entries! {
                /// The event loop that Netty uses. Has no effect: see `ringrail.transport.driver`.
                MODE: String = concat!($prefix, ".io.mode"),
                    choice(&["NIO", "EPOLL", "KQUEUE", "AUTO"]).falls_back_to(&IO_MODE_DEFAULT);

                /// Off-heap memory for buffers. Has no effect: there is no heap.
                PREFER_DIRECT_BUFS: bool = concat!($prefix, ".io.preferDirectBufs"), flag()
                    .default("true");

                /// Silence after which a connection is given up; a negative one counts as 0, for never.
                CONNECTION_TIMEOUT: Duration = concat!($prefix, ".io.connectionTimeout"),
                    time_or_zero(Seconds).falls_back_to(&NETWORK_TIMEOUT);

                /// Time for connecting; 0 or less for any time.
                CONNECTION_CREATION_TIMEOUT: Duration =
                    concat!($prefix, ".io.connectionCreationTimeout"),
                    time_or_zero(Seconds).falls_back_to(&CONNECTION_TIMEOUT);

                /// Connections that wait to be accepted. Has no effect: a listener
                /// asks for 4096.
                BACK_LOG: Option<u32> = concat!($prefix, ".io.backLog"), int();

                /// Connections of a pool to one address; Spark forces 1 for `rpc`.
                NUM_CONNECTIONS_PER_PEER: u32 = concat!($prefix, ".io.numConnectionsPerPeer"), int()
                    .default("1");

                /// Threads of a server; 0 for Spark's own rule.
                SERVER_THREADS: u32 = concat!($prefix, ".io.serverThreads"), int()
                    .default("0");

                /// Threads of a client; 0 for Spark's own rule. Has no effect: a shard is client
                /// and server at once.
                CLIENT_THREADS: u32 = concat!($prefix, ".io.clientThreads"), int()
                    .default("0");

                /// `SO_RCVBUF`; −1 leaves it to the kernel.
                RECEIVE_BUFFER: Option<usize> = concat!($prefix, ".io.receiveBuffer"), size(Byte);

                /// `SO_SNDBUF`; −1 leaves it to the kernel.
                SEND_BUFFER: Option<usize> = concat!($prefix, ".io.sendBuffer"), size(Byte);

                /// Time for a round trip of authentication. Has no effect: the whole handshake has
                /// `ringrail.transport.handshakeTimeout`.
                SASL_TIMEOUT: Duration = concat!($prefix, ".sasl.timeout"), time(Seconds)
                    .default("30s");

                /// How often a fetch is tried again; 0 for never.
                MAX_RETRIES: u32 = concat!($prefix, ".io.maxRetries"), int()
                    .default("3");

                /// The wait before that.
                RETRY_WAIT: Duration = concat!($prefix, ".io.retryWait"), time(Seconds)
                    .default("5s");

                /// Whether a file is opened only when its first byte is sent. Has no effect: the
                /// files of a store are opened when they are asked for, and kept open within
                /// `ringrail.block.maxOpenFiles`.
                LAZY_FD: bool = concat!($prefix, ".io.lazyFD"), flag()
                    .default("true");

                /// Metrics of each arena. Has no effect: the pool of a shard is always counted.
                ENABLE_VERBOSE_METRICS: bool = concat!($prefix, ".io.enableVerboseMetrics"), flag()
                    .default("false");

                /// `SO_KEEPALIVE` on a server's sockets.
                ENABLE_TCP_KEEP_ALIVE: bool = concat!($prefix, ".io.enableTcpKeepAlive"), flag()
                    .default("false");
            }
        }
    };
}

module! {
    /// Module `rpc`: endpoints.
    rpc, "spark.rpc"
}

module! {
    /// Module `shuffle`: shuffle servers and those who fetch from them.
    shuffle, "spark.shuffle"
}

module! {
    /// Module `files`: files that a driver hands to its executors.
    files, "spark.files"
}
