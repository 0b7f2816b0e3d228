//! The metrics as text, as Prometheus reads it.
//!
//! Those that Spark has are named as its `PrometheusServlet` names those of the source `shuffleService`, so that
//! what watches Spark's service watches this one.

use std::fmt::{self, Display, Write as _};

use ringrail_codec::spark::shuffle::{MessageKind, PushOutcome};
use ringrail_transport::metrics::{MetricKind, MetricsSnapshot};

use super::{LatencySnapshot, Rate, ShuffleMetrics};

/// Spark's prefix of every metric name.
const SPARK: &str = "metrics_shuffleService_";

/// Formats all metrics: Spark's, the service's own, and the engine's.
pub fn prometheus(shuffle: &ShuffleMetrics, engine: &MetricsSnapshot) -> String {
    let mut text = Text(String::with_capacity(16 << 10));
    text.spark(shuffle, engine);
    text.own(shuffle);
    text.engine(engine);
    text.0
}

struct Text(String);

impl Text {
    fn line(&mut self, line: fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = self.0.write_fmt(line);
        self.0.push('\n');
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    fn spark(&mut self, shuffle: &ShuffleMetrics, engine: &MetricsSnapshot) {
        self.timer("openBlockRequestLatencyMillis", &shuffle.open_blocks);
        self.timer(
            "registerExecutorRequestLatencyMillis",
            &shuffle.register_executor,
        );
        self.timer(
            "fetchMergedBlocksMetaLatencyMillis",
            &shuffle.merged_blocks_meta,
        );
        self.timer("finalizeShuffleMergeLatencyMillis", &shuffle.finalize_merge);
        self.meter("blockTransferRate", &shuffle.block_rate);
        self.meter("blockTransferMessageRate", &shuffle.chunk_rate);
        self.meter("blockTransferRateBytes", &shuffle.byte_rate);
        let size = shuffle.byte_rate.one_minute / shuffle.chunk_rate.one_minute;
        self.gauge("blockTransferAvgSize_1min", number(size));
        self.gauge("registeredExecutorsSize", shuffle.executors);
        self.counter("numRegisteredConnections", engine.connections_active);
        let pushes = |outcome: PushOutcome| shuffle.pushes[outcome as usize];
        for (name, value) in [
            (
                "blockAppendCollisions",
                pushes(PushOutcome::BlockAppendCollisionDetected),
            ),
            ("lateBlockPushes", pushes(PushOutcome::TooLateBlockPush)),
            ("staleBlockPushes", pushes(PushOutcome::StaleBlockPush)),
            ("blockBytesWritten", shuffle.push_bytes_written),
            ("ignoredBlockBytes", shuffle.push_bytes_ignored),
        ] {
            self.counter(name, value);
        }
        self.counter("numActiveConnections", shuffle.connections);
        self.counter("numCaughtExceptions", caught(engine));
    }

    fn gauge(&mut self, name: &str, value: impl Display) {
        let name = name.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        self.line(format_args!(
            "{SPARK}{name}_Number{{type=\"gauges\"}} {value}"
        ));
        self.line(format_args!(
            "{SPARK}{name}_Value{{type=\"gauges\"}} {value}"
        ));
    }

    fn counter(&mut self, name: &str, value: u64) {
        self.line(format_args!(
            "{SPARK}{name}_Count{{type=\"counters\"}} {value}"
        ));
    }

    fn meter(&mut self, name: &str, rate: &Rate) {
        self.counter(name, rate.count);
        for (which, value) in [
            ("MeanRate", rate.mean),
            ("OneMinuteRate", rate.one_minute),
            ("FiveMinuteRate", rate.five_minutes),
            ("FifteenMinuteRate", rate.fifteen_minutes),
        ] {
            self.line(format_args!(
                "{SPARK}{name}_{which}{{type=\"counters\"}} {value}"
            ));
        }
    }

    fn timer(&mut self, name: &str, latency: &LatencySnapshot) {
        let count = latency.count();
        self.line(format_args!(
            "{SPARK}{name}_Count{{type=\"timers\"}} {count}"
        ));
        for (which, value) in [
            ("Max", latency.max_ms()),
            ("Mean", latency.mean_ms()),
            ("50thPercentile", latency.percentile_ms(0.5)),
            ("75thPercentile", latency.percentile_ms(0.75)),
            ("95thPercentile", latency.percentile_ms(0.95)),
            ("98thPercentile", latency.percentile_ms(0.98)),
            ("99thPercentile", latency.percentile_ms(0.99)),
            ("999thPercentile", latency.percentile_ms(0.999)),
        ] {
            self.line(format_args!(
                "{SPARK}{name}_{which}{{type=\"timers\"}} {value}"
            ));
        }
    }

    fn own(&mut self, shuffle: &ShuffleMetrics) {
        let name = "ringrail_shuffle_requests_total";
        self.head(name, "counter", "Messages received, by their kind");
        for kind in MessageKind::ALL {
            let count = shuffle.requests_of(kind);
            self.line(format_args!("{name}{{message=\"{kind}\"}} {count}"));
        }
        let count = shuffle.merged_block_metas;
        self.line(format_args!(
            "{name}{{message=\"MergedBlockMetaRequest\"}} {count}"
        ));
        let name = "ringrail_shuffle_pushes_total";
        self.head(
            name,
            "counter",
            "Blocks pushed to be merged, by their outcome",
        );
        for (outcome, count) in PushOutcome::ALL.iter().zip(shuffle.pushes) {
            self.line(format_args!("{name}{{outcome=\"{outcome:?}\"}} {count}"));
        }
        let by = "by chunk fetch and by stream request";
        for (name, help, chunk, stream) in [
            (
                "ringrail_shuffle_chunks_total",
                "Chunks handed out",
                shuffle.chunks_by_chunk,
                shuffle.chunks_by_stream,
            ),
            (
                "ringrail_shuffle_chunk_bytes_total",
                "Bytes of chunks handed out",
                shuffle.chunk_bytes_by_chunk,
                shuffle.chunk_bytes_by_stream,
            ),
            (
                "ringrail_shuffle_chunk_failures_total",
                "Chunks that could not be handed out",
                shuffle.chunk_failures_by_chunk,
                shuffle.chunk_failures_by_stream,
            ),
        ] {
            self.head(name, "counter", &format!("{help}, {by}"));
            self.line(format_args!("{name}{{by=\"chunk\"}} {chunk}"));
            self.line(format_args!("{name}{{by=\"stream\"}} {stream}"));
        }
        for (name, help, value) in [
            (
                "blocks_total",
                "Blocks in chunks handed out",
                shuffle.blocks,
            ),
            (
                "lookups_total",
                "Requests that waited for a file that was not in memory",
                shuffle.lookups,
            ),
            (
                "request_failures_total",
                "Messages answered by a failure",
                shuffle.failed,
            ),
            (
                "unreadable_total",
                "Bodies that were no message",
                shuffle.unreadable,
            ),
            (
                "connections_closed_for_load_total",
                "Connections closed because of spark.shuffle.maxChunksBeingTransferred",
                shuffle.connections_closed_for_load,
            ),
        ] {
            let name = format!("ringrail_shuffle_{name}");
            self.head(&name, "counter", help);
            self.line(format_args!("{name} {value}"));
        }
    }

    fn engine(&mut self, engine: &MetricsSnapshot) {
        for metric in engine.iter() {
            let (kind, end) = match metric.kind {
                MetricKind::Counter => ("counter", "_total"),
                MetricKind::Gauge | MetricKind::Peak => ("gauge", ""),
            };
            let name = format!("ringrail_{}{end}", metric.name);
            self.head(&name, kind, metric.help);
            self.line(format_args!("{name} {}", metric.value));
        }
    }
}

/// Spark counts errors that end a connection.
fn caught(engine: &MetricsSnapshot) -> u64 {
    engine.handler_panics
        + engine.errors_malformed
        + engine.errors_oversized
        + engine.errors_unexpected
        + engine.errors_foreign_protocol
        + engine.errors_io
}

/// Java's text for a value that is no number.
fn number(value: f64) -> String {
    if value.is_finite() {
        value.to_string()
    } else {
        String::from("NaN")
    }
}
