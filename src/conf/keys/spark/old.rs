//! Spark's keys that were given up or renamed: the tables of its `SparkConf`.
//!
//! Setting a renamed key warns, and reading the new one finds it. If several old keys of one new
//! key are set, the first in the table wins. Keys that have an entry list their old names there.

use crate::conf::alternate::Alternate;
use crate::conf::deprecation::Deprecated;
use crate::conf::value::ValueError;

/// Keys that were given up without one that takes their place.
pub(in crate::conf) static DEPRECATED: &[Deprecated] = &[
    Deprecated::new(
        "spark.cache.class",
        "0.8",
        "It is no longer used. Choose storage levels with RDD.persist() instead.",
    ),
    Deprecated::new(
        "spark.yarn.user.classpath.first",
        "1.3",
        "Please use spark.{driver,executor}.userClassPathFirst instead.",
    ),
    Deprecated::new(
        "spark.kryoserializer.buffer.mb",
        "1.4",
        "Please use spark.kryoserializer.buffer instead, without a fraction: '64k' for what was \
         '0.064'.",
    ),
    Deprecated::new(
        "spark.scheduler.executorTaskBlacklistTime",
        "2.1.0",
        "Please use spark.blacklist.* instead.",
    ),
    Deprecated::new("spark.yarn.am.port", "2.0.0", "Not used any more."),
    Deprecated::new("spark.executor.port", "2.0.0", "Not used any more."),
    Deprecated::new(
        "spark.shuffle.service.index.cache.entries",
        "2.3.0",
        "Not used any more. Please use spark.shuffle.service.index.cache.size instead.",
    ),
    Deprecated::new(
        "spark.yarn.credentials.file.retention.count",
        "2.4.0",
        "Not used any more.",
    ),
    Deprecated::new(
        "spark.yarn.credentials.file.retention.days",
        "2.4.0",
        "Not used any more.",
    ),
];

/// New keys, and the old ones that are looked at in their place.
pub(in crate::conf) static RENAMED: &[(&str, &[Alternate])] = &[
    (
        "spark.executor.userClassPathFirst",
        &[Alternate::renamed("spark.files.userClassPathFirst", "1.3")],
    ),
    (
        "spark.history.fs.update.interval",
        &[
            Alternate::renamed("spark.history.fs.update.interval.seconds", "1.4"),
            Alternate::renamed("spark.history.fs.updateInterval", "1.3"),
            Alternate::renamed("spark.history.updateInterval", "1.3"),
        ],
    ),
    (
        "spark.history.fs.cleaner.interval",
        &[Alternate::renamed(
            "spark.history.fs.cleaner.interval.seconds",
            "1.4",
        )],
    ),
    (
        "spark.history.fs.cleaner.maxAge",
        &[Alternate::renamed(
            "spark.history.fs.cleaner.maxAge.seconds",
            "1.4",
        )],
    ),
    (
        "spark.yarn.am.waitTime",
        &[
            Alternate::renamed("spark.yarn.applicationMaster.waitTries", "1.3")
                .translated(ten_seconds_each),
        ],
    ),
    (
        "spark.kryoserializer.buffer",
        &[Alternate::renamed("spark.kryoserializer.buffer.mb", "1.4").translated(thousand_k_each)],
    ),
    (
        "spark.kryoserializer.buffer.max",
        &[Alternate::renamed(
            "spark.kryoserializer.buffer.max.mb",
            "1.4",
        )],
    ),
    (
        "spark.shuffle.file.buffer",
        &[Alternate::renamed("spark.shuffle.file.buffer.kb", "1.4")],
    ),
    (
        "spark.executor.logs.rolling.maxSize",
        &[Alternate::renamed(
            "spark.executor.logs.rolling.size.maxBytes",
            "1.4",
        )],
    ),
    (
        "spark.io.compression.snappy.blockSize",
        &[Alternate::renamed(
            "spark.io.compression.snappy.block.size",
            "1.4",
        )],
    ),
    (
        "spark.io.compression.lz4.blockSize",
        &[Alternate::renamed(
            "spark.io.compression.lz4.block.size",
            "1.4",
        )],
    ),
    (
        "spark.streaming.fileStream.minRememberDuration",
        &[Alternate::renamed(
            "spark.streaming.minRememberDuration",
            "1.5",
        )],
    ),
    (
        "spark.yarn.max.executor.failures",
        &[Alternate::renamed("spark.yarn.max.worker.failures", "1.5")],
    ),
    (
        "spark.memory.offHeap.enabled",
        &[Alternate::renamed("spark.unsafe.offHeap", "1.6")],
    ),
    (
        "spark.yarn.jars",
        &[Alternate::renamed("spark.yarn.jar", "2.0")],
    ),
    (
        "spark.yarn.access.hadoopFileSystems",
        &[Alternate::renamed("spark.yarn.access.namenodes", "2.2")],
    ),
    (
        "spark.scheduler.listenerbus.eventqueue.capacity",
        &[Alternate::renamed(
            "spark.scheduler.listenerbus.eventqueue.size",
            "2.3",
        )],
    ),
    (
        "spark.driver.memoryOverhead",
        &[Alternate::renamed(
            "spark.yarn.driver.memoryOverhead",
            "2.3",
        )],
    ),
    (
        "spark.executor.memoryOverhead",
        &[Alternate::renamed(
            "spark.yarn.executor.memoryOverhead",
            "2.3",
        )],
    ),
];

/// Tries of ten seconds each.
fn ten_seconds_each(tries: &str) -> Result<String, ValueError> {
    let number = tries.parse::<i64>().ok();
    let seconds = number.and_then(|tries| tries.checked_mul(10));
    seconds
        .map(|seconds| format!("{seconds}s"))
        .ok_or_else(|| for_input(tries))
}

/// Megabytes with a fraction, of a thousand k each.
fn thousand_k_each(megabytes: &str) -> Result<String, ValueError> {
    let number: f64 = megabytes.trim().parse().map_err(|_| for_input(megabytes))?;
    Ok(format!("{}k", (number * 1000.0) as i32))
}

fn for_input(text: &str) -> ValueError {
    ValueError::new(format!("For input string: \"{text}\""))
}
