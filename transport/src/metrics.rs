//! The counters of a shard: connections, requests, bytes by path,
//! copies, pool use, queue depths, spins, parks and wake-ups.
//!
//! Each shard owns one [`ShardMetrics`] and is its only writer, so counting is a
//! plain load, add and store: no locked instruction, no shared cache line. Any
//! thread may take a [`snapshot`](ShardMetrics::snapshot), add those of all
//! shards up, and print them or walk them to export them.

use std::fmt;
use std::iter::Sum;
use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows, written by one thread and read by any.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `amount`. Only the shard that owns the counter may call it: two
    /// writers at once would lose counts.
    #[inline]
    pub fn add(&self, amount: u64) {
        let value = self.0.load(Ordering::Relaxed);
        self.0.store(value.wrapping_add(amount), Ordering::Relaxed);
    }

    /// Adds one; see [`add`](Self::add).
    #[inline]
    pub fn increment(&self) {
        self.add(1);
    }

    /// The count so far.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down, written by one thread and read by any.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Sets the value. As all writing methods, for the owning shard alone.
    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Adds `amount`.
    #[inline]
    pub fn add(&self, amount: u64) {
        self.set(self.get().saturating_add(amount));
    }

    /// Takes `amount` away, down to zero at most.
    #[inline]
    pub fn sub(&self, amount: u64) {
        self.set(self.get().saturating_sub(amount));
    }

    /// Sets the value if it is higher than the present one.
    #[inline]
    pub fn raise_to(&self, value: u64) {
        if value > self.get() {
            self.set(value);
        }
    }

    /// The present value.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How a metric behaves over time and over shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MetricKind {
    /// Only grows; shards add up.
    Counter,
    /// Goes up and down; shards add up.
    Gauge,
    /// A high-water mark; of several shards the highest counts.
    Peak,
}

impl MetricKind {
    fn merge(self, total: &mut u64, value: u64) {
        *total = match self {
            Self::Counter | Self::Gauge => total.saturating_add(value),
            Self::Peak => (*total).max(value),
        };
    }

    fn since(self, value: u64, earlier: u64) -> u64 {
        match self {
            Self::Counter => value.saturating_sub(earlier),
            Self::Gauge | Self::Peak => value,
        }
    }
}

/// One metric of a snapshot, as an exporter needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name, in `snake_case`, units last.
    pub name: &'static str,
    /// A one-line description of the metric.
    pub help: &'static str,
    /// Counter, gauge or peak.
    pub kind: MetricKind,
    /// Its value.
    pub value: u64,
}

/// Peaks are written like gauges.
type Peak = Gauge;

/// Defines the live and the plain form of the metrics from one table.
macro_rules! metrics {
    ($($kind:ident $name:ident: $help:literal;)*) => {
        /// The live metrics of one shard, which alone writes them.
        ///
        /// It fills whole cache lines, so that the shards' metrics do not share
        /// any.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub struct ShardMetrics {
            $(#[doc = $help] pub $name: $kind,)*
        }

        /// Metrics as plain numbers: of one shard, or of several added up.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct MetricsSnapshot {
            $(#[doc = $help] pub $name: u64,)*
        }

        impl ShardMetrics {
            /// Reads all metrics, from any thread. They are read one after the
            /// other while the shard goes on, so they may be a request apart.
            pub fn snapshot(&self) -> MetricsSnapshot {
                MetricsSnapshot { $($name: self.$name.get(),)* }
            }
        }

        impl MetricsSnapshot {
            /// All metrics, in the order in which they are documented.
            pub fn iter(&self) -> impl Iterator<Item = Metric> {
                [$(Metric {
                    name: stringify!($name),
                    help: $help,
                    kind: MetricKind::$kind,
                    value: self.$name,
                },)*].into_iter()
            }

            /// The counts since `earlier`, a snapshot of the same shards;
            /// gauges and peaks keep their present value.
            pub fn since(&self, earlier: &Self) -> Self {
                Self { $($name: MetricKind::$kind.since(self.$name, earlier.$name),)* }
            }
        }

        /// Adds another shard's metrics.
        impl AddAssign<&MetricsSnapshot> for MetricsSnapshot {
            fn add_assign(&mut self, other: &Self) {
                $(MetricKind::$kind.merge(&mut self.$name, other.$name);)*
            }
        }
    };
}

metrics! {
    Counter connections_opened: "Connections established, in either direction";
    Counter connections_closed: "Connections ended, for whatever reason";
    Gauge connections_active: "Connections open now";
    Counter connections_accepted: "Connections that a listener accepted";
    Counter connections_refused: "Connections turned away: by a limit, or in the handshake";

    Counter requests_in_rpc: "RPC requests received";
    Counter requests_in_one_way: "One-way messages received";
    Counter requests_in_chunk: "Chunk requests received";
    Counter requests_in_stream: "Stream requests received";
    Counter requests_in_upload: "Uploads received";
    Counter requests_out_rpc: "RPC requests sent";
    Counter requests_out_one_way: "One-way messages sent";
    Counter requests_out_chunk: "Chunk requests sent";
    Counter requests_out_stream: "Stream requests sent";
    Counter requests_out_upload: "Uploads sent";
    Counter requests_cancelled: "Requests retracted before they were answered";
    Counter requests_timed_out: "Requests that ran into their deadline";

    Counter bytes_in: "Bytes received from sockets";
    Counter bytes_in_exact: "Body bytes received straight into their own lease by an exact receive";
    Counter bytes_in_multishot: "Bytes received by multishot into provided buffers";
    Counter bytes_in_portions: "Bytes received by portions, from peers that send faster than they are handled";
    Counter bytes_out: "Bytes sent to sockets";
    Counter bytes_out_gathered: "Bytes sent from memory by gathered sends";
    Counter bytes_out_sendfile: "Body bytes sent from the page cache by sendfile or splice";
    Counter bytes_out_file_read: "Body bytes read from a file into a lease and sent from there";
    Counter bytes_out_mapped: "Body bytes sent from a mapped file";
    Counter bytes_out_summed: "Body bytes sent whose CRC32C was computed";
    Counter bytes_out_sum_known: "Body bytes sent whose CRC32C was known from an earlier send";
    Counter bytes_in_summed: "Body bytes received whose CRC32C was checked";

    Counter copies_straddle: "Frames copied because they straddled two receive buffers";
    Counter copies_straddle_bytes: "Bytes of frames copied because they straddled";
    Counter copies_misaligned: "Frames copied because they did not start aligned";
    Counter copies_misaligned_bytes: "Bytes of frames copied because of alignment";
    Counter copies_prefix: "Bodies whose first bytes came with the header and were copied into their lease";
    Counter copies_prefix_bytes: "Bytes of bodies copied because they came with the header";
    Counter copies_coalesced: "Small bodies copied into the send buffer to leave in one piece";
    Counter copies_coalesced_bytes: "Bytes of bodies copied into the send buffer";
    Counter copies_sealed: "Sends copied to be encrypted";
    Counter copies_sealed_bytes: "Bytes copied to be encrypted";
    Counter copies_grown: "Archives and bodies copied because the memory that they were begun in was too small";
    Counter copies_grown_bytes: "Bytes of archives and bodies copied because they outgrew their memory";
    Counter copies_kept: "Small bodies copied out of receive buffers because memory was short";
    Counter copies_kept_bytes: "Bytes of bodies copied out of receive buffers";

    Counter frames_in: "Frames received";
    Counter frames_out: "Frames sent";
    Counter sends: "Send operations posted";
    Counter recvs: "Receive operations posted; a multishot receive counts once";
    Counter enters: "System calls that entered the ring";
    Counter cq_overflows: "Times the completion queue overflowed into the kernel's backlog";
    Counter enobufs: "Receives that stopped because the provided buffers ran out";

    Counter spins: "Idle spells that the shard spent spinning";
    Counter spin_hits: "Idle spells in which work came while the shard spun";
    Counter parks: "Times the shard slept in the kernel";
    Counter parks_coalescing: "Sleeps that were to last some time, for requests to gather";
    Counter coalesce_trials: "Trials of whether requests should gather for longer";
    Counter wakeups: "Times another thread woke the shard";
    Counter timers_fired: "Timers that fired";

    Gauge pool_bytes_used: "Bytes of pooled buffers in use";
    Gauge pool_bytes_high_water: "The most bytes of pooled buffers that were in use at once";
    Gauge pool_bytes_budget: "Bytes of pooled buffers that may be in use";
    Counter pool_misses: "Leases that needed fresh memory because no free slab was at hand";
    Counter pool_exhausted: "Leases refused because the budget was spent";

    Counter inbox_messages: "Messages that other threads posted to the shard";
    Counter inbox_full: "Messages given back because the shard's inbox was full";
    Peak inbox_depth_max: "The most messages found waiting in the shard's inbox";

    Counter handler_panics: "Handlers that panicked; the connection was failed, not the shard";
    Counter errors_foreign_protocol: "Peers that spoke another protocol (HTTP, TLS, ...)";
    Counter errors_version: "Peers of another protocol version or archive format";
    Counter errors_auth: "Requests refused because their peer may not make them";
    Counter errors_handshake_timeout: "Peers that did not finish the handshake in time";
    Counter errors_malformed: "Connections ended by a malformed frame";
    Counter errors_oversized: "Connections ended by a frame beyond its limit";
    Counter errors_checksum: "Slices whose checksum did not match";
    Counter errors_archive: "Messages whose archive failed validation on the shard";
    Counter errors_flow_control: "Connections ended because the peer sent more than it was granted";
    Counter errors_unexpected: "Connections ended by a frame that has no place in their state";
    Counter errors_io: "Connections ended by an error of the socket";
}

/// The kind of a request; selects the metrics that count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestKind {
    /// An RPC that expects a reply.
    Rpc,
    /// A message that expects none.
    OneWay,
    /// A chunk of a registered stream.
    Chunk,
    /// A whole stream by name.
    Stream,
    /// A stream that the requester sends.
    Upload,
}

/// Why a connection was failed; selects the metric that counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Another protocol.
    ForeignProtocol,
    /// Another version or archive format.
    Version,
    /// A request that its peer may not make.
    Auth,
    /// A handshake that took too long.
    HandshakeTimeout,
    /// A malformed frame.
    Malformed,
    /// A frame beyond its limit.
    Oversized,
    /// A slice whose checksum does not match.
    Checksum,
    /// An archive that fails validation.
    Archive,
    /// More bytes than were granted.
    FlowControl,
    /// A frame out of place.
    Unexpected,
    /// An error of the socket.
    Io,
}

impl ShardMetrics {
    /// The counter of received requests of this kind.
    pub fn requests_in(&self, kind: RequestKind) -> &Counter {
        match kind {
            RequestKind::Rpc => &self.requests_in_rpc,
            RequestKind::OneWay => &self.requests_in_one_way,
            RequestKind::Chunk => &self.requests_in_chunk,
            RequestKind::Stream => &self.requests_in_stream,
            RequestKind::Upload => &self.requests_in_upload,
        }
    }

    /// The counter of sent requests of this kind.
    pub fn requests_out(&self, kind: RequestKind) -> &Counter {
        match kind {
            RequestKind::Rpc => &self.requests_out_rpc,
            RequestKind::OneWay => &self.requests_out_one_way,
            RequestKind::Chunk => &self.requests_out_chunk,
            RequestKind::Stream => &self.requests_out_stream,
            RequestKind::Upload => &self.requests_out_upload,
        }
    }

    /// The counter of errors of this kind.
    pub fn errors(&self, kind: ErrorKind) -> &Counter {
        match kind {
            ErrorKind::ForeignProtocol => &self.errors_foreign_protocol,
            ErrorKind::Version => &self.errors_version,
            ErrorKind::Auth => &self.errors_auth,
            ErrorKind::HandshakeTimeout => &self.errors_handshake_timeout,
            ErrorKind::Malformed => &self.errors_malformed,
            ErrorKind::Oversized => &self.errors_oversized,
            ErrorKind::Checksum => &self.errors_checksum,
            ErrorKind::Archive => &self.errors_archive,
            ErrorKind::FlowControl => &self.errors_flow_control,
            ErrorKind::Unexpected => &self.errors_unexpected,
            ErrorKind::Io => &self.errors_io,
        }
    }

    /// Counts a connection that was established.
    pub fn connection_opened(&self) {
        self.connections_opened.increment();
        self.connections_active.add(1);
    }

    /// Counts a connection that has ended.
    pub fn connection_closed(&self) {
        self.connections_closed.increment();
        self.connections_active.sub(1);
    }
}

/// Adds the metrics of several shards up.
impl<'a> Sum<&'a MetricsSnapshot> for MetricsSnapshot {
    fn sum<I: Iterator<Item = &'a MetricsSnapshot>>(shards: I) -> Self {
        shards.fold(Self::default(), |mut total, shard| {
            total += shard;
            total
        })
    }
}

impl Sum for MetricsSnapshot {
    fn sum<I: Iterator<Item = Self>>(shards: I) -> Self {
        shards.fold(Self::default(), |mut total, shard| {
            total += &shard;
            total
        })
    }
}

/// One line per metric that is not zero: its name and its value.
impl fmt::Display for MetricsSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = || self.iter().filter(|metric| metric.value != 0);
        let width = shown().map(|metric| metric.name.len()).max().unwrap_or(0);
        for (line, Metric { name, value, .. }) in shown().enumerate() {
            if line > 0 {
                writeln!(f)?;
            }
            write!(f, "{name:width$}  {value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
