//! Keys of Spark's external shuffle service.

use super::super::entries;
use crate::conf::entry::{choice, flag, int, list, size};
use crate::conf::size::ByteUnit::Byte;

entries! {
    /// Whether applications use the service. Set on the applications; has no effect here.
    ENABLED: bool = "spark.shuffle.service.enabled", flag()
        .default("false");

    /// The port that the service listens on and that applications connect to.
    PORT: u16 = "spark.shuffle.service.port", int()
        .default("7337");

    /// Directories for shuffle files, with commas between; `SPARK_LOCAL_DIRS` overrides it.
    LOCAL_DIR: Vec<String> = "spark.local.dir", list()
        .default("/tmp");

    /// Whether executors that have registered are kept for the next start.
    DB_ENABLED: bool = "spark.shuffle.service.db.enabled", flag()
        .default("true");

    /// In which database. Has no effect: it is an own one, which Spark's service does not read.
    DB_BACKEND: String = "spark.shuffle.service.db.backend", choice(&["LEVELDB", "ROCKSDB"])
        .default("ROCKSDB");

    /// Memory for index files.
    INDEX_CACHE_SIZE: u64 = "spark.shuffle.service.index.cache.size", size(Byte)
        .default("100m");

    /// Whether applications fetch persisted RDD blocks from the service. Has no effect here: they are served
    /// on request.
    FETCH_RDD_ENABLED: bool = "spark.shuffle.service.fetch.rdd.enabled", flag()
        .default("false");

    /// Whether applications have the service delete shuffle files. Has no effect here: they are deleted when
    /// an application asks for it.
    REMOVE_SHUFFLE: bool = "spark.shuffle.service.removeShuffle", flag()
        .default("true");
}
