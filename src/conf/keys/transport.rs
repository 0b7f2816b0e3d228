//! Keys of the transport: every field of `TransportConf`, of its `Limits` and of its `SocketSpec`.

use std::time::Duration;

use ringrail_transport::{Checksum, IoDriver, ParkMode, Pin};

use super::{entries, network, rpc};
use crate::conf::alternate::Alternate;
use crate::conf::entry::{choice, flag, int, size, text, time, time_or_zero};
use crate::conf::size::ByteUnit::Byte;
use crate::conf::time::TimeUnit::{Micros, Seconds};

/// The text of the rule for slice lengths.
const SLICES: &str = "a multiple of 16";

/// Every key of an engine.
pub fn all() -> &'static [&'static dyn crate::conf::AnyEntry] {
    ENTRIES
}

entries! {
    /// Threads with a ring each; 0 for one per processor.
    SHARDS: usize = "ringrail.transport.shards", int()
        .default("0")
        .range("0", "1024")
        .alternates(&[Alternate::same("spark.shuffle.io.serverThreads")]);

    /// Whether each shard stays on a processor of its own. `auto`: where it spins. A shard that is not
    /// pinned is placed by the kernel and does not spin.
    PIN: Pin = "ringrail.transport.pin", choice(&["auto", "true", "false"])
        .default("auto");

    /// The first processor that shards are pinned to, counted among those that the process may use. Two
    /// processes that pin their shards on one host need different ones.
    FIRST_CPU: usize = "ringrail.transport.firstCpu", int()
        .default("0")
        .range("0", "65535");

    /// How shards reach the kernel: `io_uring`, `epoll`, or `auto`, which is io_uring unless this system lacks or forbids
    /// it (containers do by default).
    DRIVER: IoDriver = "ringrail.transport.driver", choice(&["auto", "io_uring", "epoll"])
        .default("auto");

    /// How an idle shard waits: `bare` in its ring, by one system call; `hosted` in a tokio runtime, for
    /// programs whose futures on the shard use tokio's timers or tokio-uring's files, by about eight.
    PARK_MODE: ParkMode = "ringrail.transport.parkMode", choice(&["bare", "hosted"])
        .default("bare");

    /// Bytes of a body per frame.
    SLICE_LEN: u32 = "ringrail.transport.sliceLen", size(Byte)
        .default("1m")
        .range("4k", "1g")
        .rule(|len: &u32| len.is_multiple_of(16), SLICES);

    /// Bytes of a body per frame, and of bodies in one send, while RPCs travel on the same connection:
    /// what an RPC waits behind. More than `sliceLen` counts as that.
    MIXED_SLICE_LEN: u32 = "ringrail.transport.mixedSliceLen", size(Byte)
        .default("256k")
        .range("4k", "1g")
        .rule(|len: &u32| len.is_multiple_of(16), SLICES);

    /// Bytes of bodies in one vectored send at most, and fewer where the link would take more than some
    /// milliseconds for them; the rest goes with the next.
    SEND_BATCH: usize = "ringrail.transport.sendBatch", size(Byte)
        .default("4m")
        .range("0b", "1g");

    /// Bodies from here on are received straight into their own lease.
    EXACT_MIN: usize = "ringrail.transport.exactMin", size(Byte)
        .default("16k");

    /// Bodies up to here are copied behind their header; larger ones go by reference.
    INLINE_MAX: usize = "ringrail.transport.inlineMax", size(Byte)
        .default("4k")
        .range("0b", "32k");

    /// File ranges from here on go out by `sendfile`, where they are in memory and their checksum, if they have one, is known.
    SENDFILE_MIN: usize = "ringrail.transport.sendfileMin", size(Byte)
        .default("256k");

    /// The same for ranges of files that are not mapped, which would otherwise be read into memory first, as the
    /// shuffle service's; where it is less.
    SENDFILE_UNMAPPED_MIN: usize = "ringrail.transport.sendfileUnmappedMin", size(Byte)
        .default("64k");

    /// Answers that wait on one connection before its further requests are held, then not read, or
    /// refused as busy; 16 KiB from half of the pool in use, 2 KiB from three quarters.
    SEND_QUEUE: usize = "ringrail.transport.sendQueue", size(Byte)
        .default("256k");

    /// Frames that wait to be sent on one connection; a further request fails as busy.
    REQUEST_QUEUE: usize = "ringrail.transport.requestQueue", size(Byte)
        .default("8m");

    /// Bodies that a shard has on their way out; one connection may have as many as are free. Beyond it
    /// chunks, streams and large replies fail as busy; a connection of Spark's protocol ends.
    MAX_TRANSFERS: usize = "ringrail.transport.maxTransfers", int()
        .default("65536")
        .range("2", "16777216");

    /// Connections of a shard; a further one is closed and logged, an own one fails as busy.
    MAX_CONNECTIONS: usize = "ringrail.transport.maxConnections", int()
        .default("65536")
        .range("1", "16777216");

    /// Memory of a shard's buffers. Beyond it chunks wait, requests fail as busy, receives pause.
    POOL_BUDGET: usize = "ringrail.transport.poolBudget", size(Byte)
        .default("256m");

    /// The part of it for control traffic: at least `recvBuffers` × `recvBufferLen`, less than
    /// `poolBudget`. If the reserve is exhausted too, the connection that needs more is closed.
    POOL_RESERVE: usize = "ringrail.transport.poolReserve", size(Byte)
        .default("64m");

    /// Memory that the unfinished requests of one connection may hold together; two thirds of `poolBudget`
    /// less `poolReserve` at most. A request beyond it is refused as busy, or as too large where it never fits.
    CONNECTION_SHARE: usize = "ringrail.transport.connectionShare", size(Byte)
        .default("128m")
        .range("64k", "1t");

    /// Buffers of a shard for multishot receives; where none is left, receives pause.
    RECV_BUFFERS: u16 = "ringrail.transport.recvBuffers", int()
        .default("64")
        .range("1", "32768")
        .rule(|count: &u16| count.is_power_of_two(), "a power of two");

    /// Bytes of each.
    RECV_BUFFER_LEN: usize = "ringrail.transport.recvBufferLen", size(Byte)
        .default("64k")
        .range("4k", "1m");

    /// Messages of other threads that wait for a shard; a further request fails as busy, answers and
    /// cancels wait.
    INBOX: usize = "ringrail.transport.inbox", int()
        .default("65536")
        .range("1", "16777216");

    /// Futures that run on a shard at most; a further one is refused.
    MAX_FUTURES: usize = "ringrail.transport.maxFutures", int()
        .default("65536")
        .range("1", "16777216");

    /// Checksums (CRC32C) on slices of chunks and other bulk bodies, if either side wants them. `auto`: on
    /// connections that leave this host, not on loopback and Unix sockets. A part of a file is read into memory
    /// the first time that it is sent with one; its checksums are kept, and then it leaves by `sendfile`.
    CHECKSUM: Checksum = "ringrail.transport.checksum", choice(&["auto", "true", "false"])
        .default("auto");

    /// Memory of a shard for the checksums of files: 8 bytes for 64 KiB of a file. Files that are not asked for
    /// make room for others; 0 keeps none.
    CHECKSUM_CACHE: usize = "ringrail.transport.checksumCache", size(Byte)
        .default("4m");

    /// How long an idle shard spins before it sleeps; 0 for not at all.
    SPIN: Duration = "ringrail.transport.spinUs", time(Micros)
        .default("0")
        .range("0", "1h");

    /// How long a shard that sleeps in its ring lets pipelined requests gather at most; it tries what helps,
    /// and does not where calls come one at a time or beside bulk. 0 for not at all; needs Linux 6.12.
    COALESCE: Duration = "ringrail.transport.coalesceUs", time(Micros)
        .default("200")
        .range("0", "10ms");

    /// Time for a connection to be established; 0 or less for any time.
    CONNECTION_CREATION_TIMEOUT: Duration = "ringrail.transport.connectionCreationTimeout",
        time_or_zero(Seconds)
        .falls_back_to(&CONNECTION_TIMEOUT)
        .range("0", "365d")
        .alternates(&[
            Alternate::same("spark.rpc.io.connectionCreationTimeout"),
            Alternate::same("spark.shuffle.io.connectionCreationTimeout"),
        ]);

    /// Time for the handshake after that, on both sides; then the connection ends.
    HANDSHAKE_TIMEOUT: Duration = "ringrail.transport.handshakeTimeout", time(Seconds)
        .default("10s")
        .range("1ms", "365d");

    /// Time for a request that names none; then it fails, telling how far it came, and the peer gets a
    /// Cancel.
    REQUEST_TIMEOUT: Duration = "ringrail.transport.requestTimeout", time(Seconds)
        .falls_back_to(&network::TIMEOUT)
        .range("1ms", "365d");

    /// Time after which a body that has begun to arrive and does not grow is given up, though its connection
    /// lives: its request fails, and in the middle of a frame the connection ends.
    PROGRESS_TIMEOUT: Duration = "ringrail.transport.progressTimeout", time(Seconds)
        .default("60s")
        .range("1ms", "365d");

    /// Silence after which a connection ends and its requests fail; half of it sends a Ping. Also the time
    /// for which a peer may read nothing of what is sent to it. 0 or less for never.
    CONNECTION_TIMEOUT: Duration = "ringrail.transport.connectionTimeout", time_or_zero(Seconds)
        .falls_back_to(&network::TIMEOUT)
        .range("0", "365d")
        .alternates(&[
            Alternate::same("spark.rpc.io.connectionTimeout"),
            Alternate::same("spark.shuffle.io.connectionTimeout"),
        ]);

    /// Whether a connection without requests for that long is closed.
    CLOSE_IDLE_CONNECTIONS: bool = "ringrail.transport.closeIdleConnections", flag()
        .default("false");

    /// Host names of a client factory that wait to be looked up; a further connection fails as busy.
    RESOLVE_QUEUE: usize = "ringrail.transport.resolveQueue", int()
        .default("1024")
        .range("1", "1048576");

    /// Connections of a client pool to one address, taken in turn. An environment of endpoints has one per peer,
    /// or messages would not keep their order, and refuses more.
    NUM_CONNECTIONS_PER_PEER: usize = "ringrail.transport.numConnectionsPerPeer", int()
        .default("1")
        .range("1", "1024")
        .alternates(&[Alternate::same("spark.shuffle.io.numConnectionsPerPeer")]);

    /// With fast-fail, a peer that failed is not tried again for 0.95 of it.
    RETRY_WAIT: Duration = "ringrail.transport.retryWait", time(Seconds)
        .default("5s")
        .range("0", "365d")
        .alternates(&[
            Alternate::same("spark.rpc.io.retryWait"),
            Alternate::same("spark.shuffle.io.retryWait"),
        ]);

    /// Time for a drain, and for what is still to be sent on a connection that ends; then the rest is
    /// cut off.
    DRAIN_TIMEOUT: Duration = "ringrail.transport.drainTimeout", time(Seconds)
        .default("10s")
        .range("0", "365d");

    /// The largest body of one frame. A peer learns it; a longer frame ends its connection.
    MAX_BODY_LEN: u32 = "ringrail.transport.maxBodyLen", size(Byte)
        .default("1m")
        .range("32k", "1g");

    /// The largest RPC body over all its slices. A peer learns it, and its request fails before
    /// anything is sent.
    MAX_RPC_LEN: u64 = "ringrail.transport.maxRpcLen", size(Byte)
        .falls_back_to(&rpc::MESSAGE_MAX_SIZE)
        .range("32k", "1t");

    /// The longest name of a stream. May be raised, not lowered.
    MAX_STREAM_NAME_LEN: u32 = "ringrail.transport.maxStreamNameLen", size(Byte)
        .default("4k")
        .range("4k", "2147483647");

    /// The largest metadata of an upload. May be raised, not lowered.
    MAX_META_LEN: u32 = "ringrail.transport.maxMetaLen", size(Byte)
        .default("32k")
        .range("32k", "2147483647");

    /// The largest body of a failure; longer texts are shortened. May be raised, not lowered.
    MAX_FAILURE_LEN: u32 = "ringrail.transport.maxFailureLen", size(Byte)
        .default("32k")
        .range("32k", "2147483647");

    /// The longest reason of a drain. May be raised, not lowered.
    MAX_DRAIN_TEXT_LEN: u32 = "ringrail.transport.maxDrainTextLen", size(Byte)
        .default("1k")
        .range("1k", "2147483647");

    /// The largest extension (authentication) of a Hello.
    MAX_HELLO_EXT_LEN: u32 = "ringrail.transport.maxHelloExtLen", size(Byte)
        .default("16k")
        .range("0b", "2147483647");

    /// The longest text of a refusal. May be raised, not lowered.
    MAX_REFUSAL_TEXT_LEN: u32 = "ringrail.transport.maxRefusalTextLen", size(Byte)
        .default("1k")
        .range("1k", "2147483647");

    /// Requests that a peer may have outstanding here. A peer learns it; requests beyond it are refused as
    /// busy, and what a peer of Spark's protocol sends, which cannot learn it, is not read.
    MAX_OUTSTANDING: u32 = "ringrail.transport.maxOutstanding", int()
        .default("16384")
        .range("1", "4294967295");

    /// Bytes of an upload or a sliced body that a peer may send before more are granted. A peer
    /// learns it.
    INITIAL_CREDIT: u64 = "ringrail.transport.initialCredit", size(Byte)
        .default("1m")
        .range("1b", "1t");

    /// `TCP_NODELAY`: small frames leave at once.
    TCP_NO_DELAY: bool = "ringrail.transport.tcpNoDelay", flag()
        .default("true");

    /// `SO_KEEPALIVE`: a peer that vanished is noticed in the end.
    TCP_KEEP_ALIVE: bool = "ringrail.transport.tcpKeepAlive", flag()
        .default("true")
        .alternates(&[
            Alternate::same("spark.rpc.io.enableTcpKeepAlive"),
            Alternate::same("spark.shuffle.io.enableTcpKeepAlive"),
        ]);

    /// `SO_SNDBUF`, which ends the kernel's own tuning; −1 leaves it to the kernel.
    SEND_BUFFER: Option<usize> = "ringrail.transport.sendBuffer", size(Byte)
        .range("1k", "1g")
        .alternates(&[
            Alternate::same("spark.rpc.io.sendBuffer"),
            Alternate::same("spark.shuffle.io.sendBuffer"),
        ]);

    /// `SO_RCVBUF`, likewise.
    RECEIVE_BUFFER: Option<usize> = "ringrail.transport.receiveBuffer", size(Byte)
        .range("1k", "1g")
        .alternates(&[
            Alternate::same("spark.rpc.io.receiveBuffer"),
            Alternate::same("spark.shuffle.io.receiveBuffer"),
        ]);

    /// `TCP_CONGESTION` by name, such as `cubic`; the system's own where it is not set.
    CONGESTION: Option<String> = "ringrail.transport.congestion", text();

    /// `TCP_NOTSENT_LOWAT`: unsent data from which on a socket does not count as writable; −1 for no
    /// such bound.
    NOT_SENT_LOWAT: Option<u32> = "ringrail.transport.notSentLowat", size(Byte);
}
