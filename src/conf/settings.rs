//! From keys to the settings that the layers take.
//!
//! Each function fills every field, so that a new field without a key does not compile.

use std::path::PathBuf;
use std::time::Duration;

use ringrail_codec::native::Limits;
use ringrail_codec::spark;
use ringrail_codec::spark::auth::{AuthEngine, Cipher, EngineVersion, Secret, ServerMode};
use ringrail_transport::sys::socket::SocketSpec;
use ringrail_transport::{Checksum, ParkMode, Pin, TransportConf};

use super::error::ConfError;
use super::keys::spark::authentication;
use super::keys::{block, shuffle, transport, wire};
use super::map::Conf;
use super::value::{ConfigValue, Kind, ValueError};
use crate::block::BlockServerConf;
use crate::block::fetch::{FetchConf, Resume};
use crate::shuffle::{MergeConf, ShuffleConf};

/// The file that executors are kept in (Spark: `registeredExecutors.rdb` or `.ldb`).
const STORE_NAME: &str = "registeredExecutors.redb";

/// The duration for a timeout of 0, by which Spark means "never": longer than any process runs.
pub const NEVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The settings of an engine (Spark: `SparkTransportConf.fromSparkConf`).
///
/// ```
/// use ringrail::conf::{Conf, transport_conf};
///
/// let conf = Conf::new().with("spark.network.timeout", "30s").with("ringrail.transport.poolBudget", "1g");
/// let transport = transport_conf(&conf)?;
/// assert_eq!(transport.request_timeout.as_secs(), 30);
/// assert_eq!(transport.pool_budget, 1 << 30);
/// # Ok::<(), ringrail::conf::ConfError>(())
/// ```
///
/// # Errors
/// A value that its key cannot have, values that do not fit together, or a key that asks for protection which
/// an engine does not have (see [`Conf::refuse_missing_protection`]).
pub fn transport_conf(conf: &Conf) -> Result<TransportConf, ConfError> {
    conf.refuse_missing_protection()?;
    transport_settings(conf)
}

/// The settings of the engine of a shuffle service, and the authentication that its server must ask of its
/// clients ([`TransportContext::with_spark_authentication`]); `None` where the keys ask for none.
///
/// [`TransportContext::with_spark_authentication`]: crate::TransportContext::with_spark_authentication
///
/// # Errors
/// As [`transport_conf`], but that authentication is taken; it needs a secret.
pub fn shuffle_transport_conf(
    conf: &Conf,
) -> Result<(TransportConf, Option<(ServerMode, Secret)>), ConfError> {
    conf.refuse_protection_nobody_has()?;
    Ok((transport_settings(conf)?, spark_authentication(conf)?))
}

/// The settings of an engine, without a check of the keys for authentication and encryption.
pub(super) fn transport_settings(conf: &Conf) -> Result<TransportConf, ConfError> {
    let spin = conf.get_entry(&transport::SPIN)?;
    let coalesce = conf.get_entry(&transport::COALESCE)?;
    let settings = TransportConf {
        limits: limits(conf)?,
        spark_limits: spark_limits(conf)?,
        slice_len: conf.get_entry(&transport::SLICE_LEN)?,
        mixed_slice_len: conf.get_entry(&transport::MIXED_SLICE_LEN)?,
        send_batch: conf.get_entry(&transport::SEND_BATCH)?,
        exact_min: conf.get_entry(&transport::EXACT_MIN)?,
        inline_max: conf.get_entry(&transport::INLINE_MAX)?,
        sendfile_min: conf.get_entry(&transport::SENDFILE_MIN)?,
        sendfile_unmapped_min: conf.get_entry(&transport::SENDFILE_UNMAPPED_MIN)?,
        send_queue: conf.get_entry(&transport::SEND_QUEUE)?,
        request_queue: conf.get_entry(&transport::REQUEST_QUEUE)?,
        resolve_queue: conf.get_entry(&transport::RESOLVE_QUEUE)?,
        max_transfers: conf.get_entry(&transport::MAX_TRANSFERS)?,
        max_connections: conf.get_entry(&transport::MAX_CONNECTIONS)?,
        pool_budget: conf.get_entry(&transport::POOL_BUDGET)?,
        pool_reserve: conf.get_entry(&transport::POOL_RESERVE)?,
        connection_share: conf.get_entry(&transport::CONNECTION_SHARE)?,
        recv_buffers: conf.get_entry(&transport::RECV_BUFFERS)?,
        recv_buffer_len: conf.get_entry(&transport::RECV_BUFFER_LEN)?,
        inbox: conf.get_entry(&transport::INBOX)?,
        max_futures: conf.get_entry(&transport::MAX_FUTURES)?,
        checksum: conf.get_entry(&transport::CHECKSUM)?,
        checksum_cache: conf.get_entry(&transport::CHECKSUM_CACHE)?,
        park: conf.get_entry(&transport::PARK_MODE)?,
        pin: conf.get_entry(&transport::PIN)?,
        first_cpu: conf.get_entry(&transport::FIRST_CPU)?,
        spin_us: u32::try_from(spin.as_micros()).unwrap_or(u32::MAX),
        coalesce_us: u32::try_from(coalesce.as_micros()).unwrap_or(u32::MAX),
        connect_timeout: or_never(conf.get_entry(&transport::CONNECTION_CREATION_TIMEOUT)?),
        handshake_timeout: conf.get_entry(&transport::HANDSHAKE_TIMEOUT)?,
        request_timeout: conf.get_entry(&transport::REQUEST_TIMEOUT)?,
        progress_timeout: conf.get_entry(&transport::PROGRESS_TIMEOUT)?,
        connection_timeout: or_never(conf.get_entry(&transport::CONNECTION_TIMEOUT)?),
        close_idle: conf.get_entry(&transport::CLOSE_IDLE_CONNECTIONS)?,
        connections_per_peer: conf.get_entry(&transport::NUM_CONNECTIONS_PER_PEER)?,
        retry_wait: conf.get_entry(&transport::RETRY_WAIT)?,
        drain_timeout: conf.get_entry(&transport::DRAIN_TIMEOUT)?,
        socket: socket_spec(conf)?,
    };
    let checked = settings.check();
    checked.map_err(|error| ConfError::Conflict(error.to_string()))?;
    Ok(settings)
}

fn limits(conf: &Conf) -> Result<Limits, ConfError> {
    Ok(Limits {
        max_body_len: conf.get_entry(&transport::MAX_BODY_LEN)?,
        max_rpc_len: conf.get_entry(&transport::MAX_RPC_LEN)?,
        max_stream_name_len: conf.get_entry(&transport::MAX_STREAM_NAME_LEN)?,
        max_meta_len: conf.get_entry(&transport::MAX_META_LEN)?,
        max_failure_len: conf.get_entry(&transport::MAX_FAILURE_LEN)?,
        max_drain_text_len: conf.get_entry(&transport::MAX_DRAIN_TEXT_LEN)?,
        max_hello_ext_len: conf.get_entry(&transport::MAX_HELLO_EXT_LEN)?,
        max_refusal_text_len: conf.get_entry(&transport::MAX_REFUSAL_TEXT_LEN)?,
        max_outstanding: conf.get_entry(&transport::MAX_OUTSTANDING)?,
        initial_credit: conf.get_entry(&transport::INITIAL_CREDIT)?,
    })
}

/// The limits of what a peer that speaks Spark's protocol may send.
///
/// # Errors
/// A value that its key cannot have.
pub fn spark_limits(conf: &Conf) -> Result<spark::Limits, ConfError> {
    let limits = spark::Limits {
        max_rpc_len: conf.get_entry(&wire::MAX_RPC_LEN)?,
        max_chunk_len: conf.get_entry(&wire::MAX_CHUNK_LEN)?,
        max_stream_len: conf.get_entry(&wire::MAX_STREAM_LEN)?,
        max_stream_name_len: conf.get_entry(&wire::MAX_STREAM_NAME_LEN)?,
        max_failure_len: conf.get_entry(&wire::MAX_FAILURE_LEN)?,
        max_meta_len: conf.get_entry(&wire::MAX_META_LEN)?,
        max_app_id_len: conf.get_entry(&wire::MAX_APP_ID_LEN)?,
    };
    let checked = limits.check();
    checked.map_err(|error| ConfError::Conflict(error.to_string()))?;
    Ok(limits)
}

fn socket_spec(conf: &Conf) -> Result<SocketSpec, ConfError> {
    Ok(SocketSpec {
        nodelay: conf.get_entry(&transport::TCP_NO_DELAY)?,
        keepalive: conf.get_entry(&transport::TCP_KEEP_ALIVE)?,
        send_buffer_len: conf.get_entry(&transport::SEND_BUFFER)?,
        recv_buffer_len: conf.get_entry(&transport::RECEIVE_BUFFER)?,
        congestion: conf.get_entry(&transport::CONGESTION)?,
        notsent_lowat_len: conf.get_entry(&transport::NOT_SENT_LOWAT)?,
    })
}

/// The settings of a server of blocks.
///
/// # Errors
/// A value that its key cannot have, or a key that asks for protection which such a server does not have.
pub fn block_server_conf(conf: &Conf) -> Result<BlockServerConf, ConfError> {
    conf.refuse_missing_protection()?;
    block_server_settings(conf)
}

/// The settings of a server of blocks, without a check of the keys for authentication and
/// encryption.
pub(super) fn block_server_settings(conf: &Conf) -> Result<BlockServerConf, ConfError> {
    Ok(BlockServerConf {
        threads: conf.get_entry(&block::SERVER_THREADS)?,
        queue: conf.get_entry(&block::SERVER_QUEUE)?,
        manifest_budget: conf.get_entry(&block::MANIFEST_BUDGET)?,
        max_manifest_entries: conf.get_entry(&block::MAX_MANIFEST_ENTRIES)?,
        max_streams: conf.get_entry(&block::MAX_STREAMS)?,
        stream_idle: conf.get_entry(&block::STREAM_IDLE)?,
    })
}

/// The settings of a shuffle service of this many shards. The caller determines `local_dirs`
/// ([`keys::shuffle::LOCAL_DIRS`](super::keys::shuffle::LOCAL_DIRS), unless a variable overrides it); the state
/// kept for the next start is in the first of them.
///
/// # Errors
/// A value that its key cannot have, or a key that asks for protection which a shuffle service does not have.
pub fn shuffle_conf(
    conf: &Conf,
    local_dirs: Vec<PathBuf>,
    shards: usize,
) -> Result<ShuffleConf, ConfError> {
    conf.refuse_protection_nobody_has()?;
    let kept = conf.get_entry(&shuffle::RECOVERY)?;
    let first = local_dirs.first().filter(|_| kept);
    Ok(ShuffleConf {
        store: first.map(|dir| dir.join(STORE_NAME)),
        store_wait: conf.get_entry(&shuffle::RECOVERY_WAIT)?,
        index_cache_len: conf.get_entry(&shuffle::INDEX_CACHE_SIZE)? / shards.max(1),
        max_open_files: conf.get_entry(&shuffle::MAX_OPEN_FILES)?,
        max_executors: conf.get_entry(&shuffle::MAX_EXECUTORS)?,
        max_chunks_being_transferred: conf.get_entry(&shuffle::MAX_CHUNKS_BEING_TRANSFERRED)?,
        merge: merge_conf(conf)?,
        threads: conf.get_entry(&shuffle::THREADS)?,
        queue: conf.get_entry(&shuffle::QUEUE)?,
        local_dirs,
    })
}

fn merge_conf(conf: &Conf) -> Result<Option<MergeConf>, ConfError> {
    if !conf.get_entry(&shuffle::MERGE)? {
        return Ok(None);
    }
    Ok(Some(MergeConf {
        min_chunk_len: conf.get_entry(&shuffle::MERGE_MIN_CHUNK_SIZE)?,
        max_io_errors: conf.get_entry(&shuffle::MERGE_MAX_IO_ERRORS)?,
        memory: conf.get_entry(&shuffle::MERGE_MEMORY)?,
        threads: conf.get_entry(&shuffle::MERGE_THREADS)?,
    }))
}

/// The authentication that a server demands of Spark's clients; `None` if it demands none.
///
/// # Errors
/// If a key has an invalid value, or authentication is on without a secret.
pub fn spark_authentication(conf: &Conf) -> Result<Option<(ServerMode, Secret)>, ConfError> {
    if !conf.get_entry(&authentication::AUTHENTICATE)? {
        return Ok(None);
    }
    let secret = conf.get_entry(&authentication::AUTHENTICATE_SECRET)?;
    let Some(secret) = secret.filter(|secret| !secret.is_empty()) else {
        return Err(ConfError::Conflict(format!(
            "{} asks for authentication, and {} is not set",
            authentication::AUTHENTICATE.key(),
            authentication::AUTHENTICATE_SECRET.key()
        )));
    };
    let mode = if conf.get_entry(&authentication::CRYPTO_ENABLED)? {
        let engine = AuthEngine {
            version: match conf.get_entry(&authentication::AUTH_ENGINE_VERSION)? {
                1 => EngineVersion::V1,
                _ => EngineVersion::V2,
            },
            cipher: match conf.get_entry(&authentication::CRYPTO_CIPHER)?.as_str() {
                "AES/GCM/NoPadding" => Cipher::AesGcm,
                _ => Cipher::AesCtr,
            },
        };
        ServerMode::Engine {
            engine,
            sasl_fallback: conf.get_entry(&authentication::SASL_FALLBACK)?,
        }
    } else {
        ServerMode::Sasl
    };
    Ok(Some((mode, Secret::from(secret))))
}

/// The settings of a fetch.
///
/// # Errors
/// A value that its key cannot have, values that do not fit together, or a key that asks for protection which
/// a fetch does not have.
pub fn fetch_conf(conf: &Conf) -> Result<FetchConf, ConfError> {
    conf.refuse_missing_protection()?;
    fetch_settings(conf)
}

/// The settings of a fetch, without a check of the keys for authentication and encryption.
pub(super) fn fetch_settings(conf: &Conf) -> Result<FetchConf, ConfError> {
    let settings = FetchConf {
        connections: conf.get_entry(&block::FETCH_CONNECTIONS)?,
        in_flight: conf.get_entry(&block::FETCH_IN_FLIGHT)?,
        max_bytes_in_flight: conf.get_entry(&block::MAX_BYTES_IN_FLIGHT)?,
        chunk_len: conf.get_entry(&block::CHUNK_LEN)?,
        verify: conf.get_entry(&block::VERIFY)?,
        resume: conf.get_entry(&block::RESUME)?,
        max_retries: conf.get_entry(&block::MAX_RETRIES)?,
        retry_wait: conf.get_entry(&block::RETRY_WAIT)?,
        sync: conf.get_entry(&block::SYNC)?,
    };
    let checked = settings.check();
    checked.map_err(|error| ConfError::Conflict(error.to_string()))?;
    Ok(settings)
}

fn or_never(timeout: Duration) -> Duration {
    if timeout.is_zero() { NEVER } else { timeout }
}

/// Reads and writes an enum by the word of each of its values.
macro_rules! words {
    ($type:ty: $($word:literal => $value:expr),+) => {
        impl ConfigValue for $type {
            fn parse(text: &str, kind: Kind) -> Result<Self, ValueError> {
                match String::parse(text, kind)?.as_str() {
                    $($word => Ok($value),)+
                    other => Err(ValueError::new(format!(
                        "should be one of {}, but was \"{other}\"",
                        [$($word),+].join(", ")
                    ))),
                }
            }

            fn format(&self, _kind: Kind) -> String {
                let all = [$(($value, $word)),+];
                let found = all.iter().find(|(value, _)| value == self);
                found.map_or_else(String::new, |(_, word)| (*word).to_owned())
            }

            fn compare(&self, _other: &Self) -> Option<std::cmp::Ordering> {
                None
            }
        }
    };
}

words!(Resume: "continue" => Resume::Continue, "recheck" => Resume::Recheck, "fresh" => Resume::Fresh);
words!(ParkMode: "bare" => ParkMode::Bare, "hosted" => ParkMode::Hosted);
words!(Pin: "auto" => Pin::Auto, "true" => Pin::Always, "false" => Pin::Never);
words!(Checksum: "auto" => Checksum::Auto, "true" => Checksum::Always, "false" => Checksum::Never);

#[cfg(test)]
mod tests {
    use super::*;

    fn same<T: std::fmt::Debug>(left: T, right: T) {
        assert_eq!(format!("{left:#?}"), format!("{right:#?}"));
    }

    #[test]
    fn the_defaults_of_the_keys_are_those_of_the_settings() {
        let conf = Conf::new();
        same(transport_conf(&conf).unwrap(), TransportConf::default());
        same(
            block_server_conf(&conf).unwrap(),
            BlockServerConf::default(),
        );
        same(fetch_conf(&conf).unwrap(), FetchConf::default());
        same(spark_limits(&conf).unwrap(), spark::Limits::default());
    }

    #[test]
    fn no_bound_is_a_bound_that_nobody_reaches() {
        let mut conf = Conf::new();
        conf.set("spark.rpc.io.connectionTimeout", "-1");
        let settings = transport_conf(&conf).unwrap();
        assert_eq!(settings.connection_timeout, NEVER);
        assert_eq!(settings.connect_timeout, NEVER);
    }
}
