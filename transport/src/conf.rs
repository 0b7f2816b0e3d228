//! The settings of the transport, with their keys, units and defaults.
//!
//! Plain values: the facade fills them from named keys (`ringrail.transport.…`), tests and
//! embedders set fields. The limits of the protocol live in [`Limits`].

use std::time::Duration;

use ringrail_codec::native::Limits;

use crate::error::EngineError;
use crate::sys::socket::{Addr, SocketSpec};

pub use crate::sys::driver::IoDriver;

/// How a shard waits when it has nothing to do. `ringrail.transport.parkMode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ParkMode {
    /// In its ring: one system call submits and waits. Futures run on the shard's own executor
    /// ([`ShardHandle::spawn`](crate::ShardHandle::spawn)).
    #[default]
    Bare,
    /// In a `tokio_uring` runtime, so that futures on the shard can also use tokio's timers and
    /// `tokio_uring`'s files. Costs about eight system calls per request where `Bare` costs one.
    Hosted,
}

/// Whether shards stay on a processor of their own. `ringrail.transport.pin`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pin {
    /// Pinned if the shard spins, for a spinning thread that migrates delays itself; otherwise the
    /// kernel places it, so that two processes do not share one processor and leave another idle.
    #[default]
    Auto,
    /// Always: shard `i` on the `first_cpu + i`-th processor that the process may use.
    Always,
    /// Never. Shards do not spin then.
    Never,
}

/// Whether bodies in slices carry a CRC32C. `ringrail.transport.checksum`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// On connections that leave this host. Loopback and Unix sockets move bytes by copies within the
    /// kernel's memory, where a CRC detects nothing that it could not detect in the application too.
    #[default]
    Auto,
    /// On every connection.
    Always,
    /// Never: nothing is sent with a checksum, whatever the peer asks for. Received checksums are
    /// still verified.
    Never,
}

impl Checksum {
    /// Whether this side asks for checksums on a connection to `peer`.
    pub(crate) fn is_wanted(self, peer: &Addr) -> bool {
        match self {
            Checksum::Auto => !peer.is_this_host(),
            Checksum::Always => true,
            Checksum::Never => false,
        }
    }
}

/// How the engine runs and what bounds it: the one place of every setting of an engine but the number of
/// its shards, and whether it raises the limit of open files, which
/// [`EngineBuilder`](crate::shard::EngineBuilder) has.
///
/// Every field names the key that fills it where a program reads its settings by name. The builder's
/// `park`, `pin_from` and `unpinned` are short forms: each sets the field that it names, and the
/// last one to be set counts. An engine's settings do not change once it has started.
#[derive(Clone, Debug)]
pub struct TransportConf {
    /// Limits on what a peer may send: `ringrail.transport.max…`.
    pub limits: Limits,
    /// Limits on what a peer may send that speaks Spark's protocol: `ringrail.spark.max…`.
    pub spark_limits: ringrail_codec::spark::Limits,
    /// Bytes of a body per frame, so that control frames wait for one slice at most; a multiple
    /// of 16. `ringrail.transport.sliceLen`, 1 MiB.
    pub slice_len: u32,
    /// Bytes of a body per frame, and of bodies in one vectored send, while RPCs travel on the same
    /// connection: what an RPC waits for at most. `ringrail.transport.mixedSliceLen`, 256 KiB.
    pub mixed_slice_len: u32,
    /// Bytes of bodies in one vectored send at most; fewer where the link would take more than some
    /// milliseconds for them. `ringrail.transport.sendBatch`, 4 MiB.
    pub send_batch: usize,
    /// Bodies of at least this size are received straight into their own lease.
    /// `ringrail.transport.exactMin`, 16 KiB.
    pub exact_min: usize,
    /// Bodies up to this size are copied behind their header to leave in one piece.
    /// `ringrail.transport.inlineMax`, 4 KiB.
    pub inline_max: usize,
    /// File ranges of at least this size go out by `sendfile` when they are in memory.
    /// `ringrail.transport.sendfileMin`, 256 KiB.
    pub sendfile_min: usize,
    /// The same for files that are not mapped, which would have to be read first.
    /// `ringrail.transport.sendfileUnmappedMin`, 64 KiB.
    pub sendfile_unmapped_min: usize,
    /// Answers waiting to be sent on one connection before its requests are no longer read.
    /// `ringrail.transport.sendQueue`, 256 KiB.
    pub send_queue: usize,
    /// Requests waiting to be sent on one connection before further ones are refused.
    /// `ringrail.transport.requestQueue`, 8 MiB.
    pub request_queue: usize,
    /// Bodies that one shard may have on their way out; one connection may have as many as are
    /// free. Beyond it chunks, streams and large replies are refused as busy, and a connection of
    /// Spark's protocol ends. `ringrail.transport.maxTransfers`, 65 536.
    pub max_transfers: usize,
    /// Connections of one shard. `ringrail.transport.maxConnections`, 65 536.
    pub max_connections: usize,
    /// Memory of one shard's buffers in bytes. `ringrail.transport.poolBudget`, 256 MiB.
    pub pool_budget: usize,
    /// Part of the budget kept for control traffic. `ringrail.transport.poolReserve`, 64 MiB.
    pub pool_reserve: usize,
    /// Memory that the unfinished requests of one connection may hold, in bytes; two thirds of
    /// `pool_budget` less `pool_reserve` at most. `ringrail.transport.connectionShare`, 128 MiB.
    pub connection_share: usize,
    /// Places in the receive group; a power of two. `ringrail.transport.recvBuffers`, 64.
    pub recv_buffers: u16,
    /// Bytes of each receive buffer. `ringrail.transport.recvBufferLen`, 64 KiB.
    pub recv_buffer_len: usize,
    /// Messages that may wait for a shard. `ringrail.transport.inbox`, 65 536.
    pub inbox: usize,
    /// Futures that run on one shard. `ringrail.transport.maxFutures`, 65 536.
    pub max_futures: usize,
    /// Checksums (CRC32C) on bodies in slices, if either side wants them. On a connection that has them a part
    /// of a file is read the first time that it is sent; its sums are kept (`checksum_cache`). `docs/security.md`
    /// says what they protect, and when something else does. `ringrail.transport.checksum`, on connections that
    /// leave this host.
    pub checksum: Checksum,
    /// Memory of one shard for the checksums of files, in bytes: 8 bytes for each 64 KiB of a file, and some 200
    /// for the file. Files that are not asked for make room for others; 0 keeps none, and files are read
    /// each time. `ringrail.transport.checksumCache`, 4 MiB.
    pub checksum_cache: usize,
    /// How shards reach the kernel. `ringrail.transport.driver`, by io_uring where that is there.
    pub driver: IoDriver,
    /// How idle shards wait. `ringrail.transport.parkMode`, in their ring.
    pub park: ParkMode,
    /// Whether shards are pinned. `ringrail.transport.pin`, if they spin.
    pub pin: Pin,
    /// The first processor that shards are pinned to, counted among those that the process may use;
    /// two processes that pin their shards on one host need different ones.
    /// `ringrail.transport.firstCpu`, 0.
    pub first_cpu: usize,
    /// How long an idle shard spins before it sleeps, in µs; 0 never spins.
    /// `ringrail.transport.spinUs`, 0.
    pub spin_us: u32,
    /// How long a shard that sleeps in its ring lets requests gather at most, in µs, where they come one
    /// after the other faster than it sleeps and wakes; it tries what helps. Never where calls come one at a
    /// time, beside bulk, or while it spins; 0 for not at all. `ringrail.transport.coalesceUs`, 200.
    pub coalesce_us: u32,
    /// Time for a connection to be established. `ringrail.transport.connectionCreationTimeout`,
    /// 120 s, as in Spark.
    pub connect_timeout: Duration,
    /// Time for the handshake once connected. `ringrail.transport.handshakeTimeout`, 10 s.
    pub handshake_timeout: Duration,
    /// Time for a request that names none. `ringrail.transport.requestTimeout`, 120 s.
    pub request_timeout: Duration,
    /// Time after which a body that has begun and does not grow is given up, though its connection lives.
    /// `ringrail.transport.progressTimeout`, 60 s.
    pub progress_timeout: Duration,
    /// Silence after which a connection with outstanding requests is given up, or an idle one
    /// closed if `close_idle` says so. `ringrail.transport.connectionTimeout`, 120 s.
    pub connection_timeout: Duration,
    /// Close idle connections. `ringrail.transport.closeIdleConnections`, off.
    pub close_idle: bool,
    /// Host names of a client factory that wait to be looked up; a further connection fails as busy.
    /// `ringrail.transport.resolveQueue`, 1024.
    pub resolve_queue: usize,
    /// Connections per peer in a client pool. `ringrail.transport.numConnectionsPerPeer`, 1.
    pub connections_per_peer: usize,
    /// Wait between attempts; a peer that failed is not tried for 0.95 of it with fast-fail.
    /// `ringrail.transport.retryWait`, 5 s.
    pub retry_wait: Duration,
    /// Time that a drain leaves for what is under way. `ringrail.transport.drainTimeout`, 10 s.
    pub drain_timeout: Duration,
    /// Socket options: `ringrail.transport.{sendBuffer,receiveBuffer,congestion,…}`.
    pub socket: SocketSpec,
}

impl Default for TransportConf {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            spark_limits: ringrail_codec::spark::Limits::DEFAULT,
            slice_len: 1 << 20,
            mixed_slice_len: 256 << 10,
            send_batch: 4 << 20,
            exact_min: 16 << 10,
            inline_max: 4 << 10,
            sendfile_min: 256 << 10,
            sendfile_unmapped_min: 64 << 10,
            send_queue: 256 << 10,
            request_queue: 8 << 20,
            max_transfers: 65_536,
            max_connections: 65_536,
            pool_budget: 256 << 20,
            pool_reserve: 64 << 20,
            connection_share: 128 << 20,
            recv_buffers: 64,
            recv_buffer_len: 64 << 10,
            inbox: 65_536,
            max_futures: 65_536,
            checksum: Checksum::Auto,
            checksum_cache: 4 << 20,
            driver: IoDriver::Auto,
            park: ParkMode::Bare,
            pin: Pin::Auto,
            first_cpu: 0,
            spin_us: 0,
            coalesce_us: 200,
            connect_timeout: Duration::from_secs(120),
            handshake_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(120),
            progress_timeout: Duration::from_secs(60),
            connection_timeout: Duration::from_secs(120),
            close_idle: false,
            resolve_queue: 1024,
            connections_per_peer: 1,
            retry_wait: Duration::from_secs(5),
            drain_timeout: Duration::from_secs(10),
            socket: SocketSpec::default(),
        }
    }
}

impl TransportConf {
    /// Checks that the settings fit together.
    ///
    /// # Errors
    /// Names the key, its value and what it must be.
    pub fn check(&self) -> Result<(), EngineError> {
        self.limits
            .check()
            .map_err(|error| EngineError::Config(error.to_string()))?;
        self.spark_limits
            .check()
            .map_err(|error| EngineError::Config(error.to_string()))?;
        let rules: [(bool, &str); 9] = [
            (
                self.connection_share >= 64 << 10 && !self.progress_timeout.is_zero(),
                "ringrail.transport.connectionShare must be 64 KiB at least, and \
              ringrail.transport.progressTimeout more than 0",
            ),
            (
                self.mixed_slice_len >= 4096 && self.mixed_slice_len.is_multiple_of(16),
                "ringrail.transport.mixedSliceLen must be a multiple of 16 and at least 4 KiB",
            ),
            (
                self.slice_len >= 4096 && self.slice_len.is_multiple_of(16),
                "ringrail.transport.sliceLen must be a multiple of 16 and at least 4 KiB",
            ),
            (
                self.slice_len <= self.limits.max_body_len,
                "ringrail.transport.sliceLen must not pass ringrail.transport.maxBodyLen",
            ),
            (
                self.recv_buffers.is_power_of_two() && self.recv_buffers <= 1 << 15,
                "ringrail.transport.recvBuffers must be a power of two up to 32 768",
            ),
            (
                (4096..=1 << 20).contains(&self.recv_buffer_len),
                "ringrail.transport.recvBufferLen must be 4 KiB to 1 MiB",
            ),
            (
                self.inline_max <= 32 << 10,
                "ringrail.transport.inlineMax must be 32 KiB at most",
            ),
            (
                self.pool_reserve < self.pool_budget
                    && self.pool_reserve >= usize::from(self.recv_buffers) * self.recv_buffer_len,
                "ringrail.transport.poolReserve must hold all receive buffers (recvBuffers × \
              recvBufferLen) and leave something of ringrail.transport.poolBudget",
            ),
            (
                self.connections_per_peer > 0
                    && self.max_connections > 0
                    && self.max_transfers > 1
                    && self.inbox > 0,
                "ringrail.transport.{numConnectionsPerPeer, maxConnections, inbox} must be positive, \
                 maxTransfers at least 2",
            ),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            None => Ok(()),
            Some((_, text)) => Err(EngineError::Config((*text).to_owned())),
        }
    }
}
