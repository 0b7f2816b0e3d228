//! From keys to the settings that the layers take.
//!
//! Each function fills every field, so that a new field without a key does not compile.

use std::time::Duration;

use ringrail_codec::native::Limits;
use ringrail_codec::spark;
use ringrail_transport::sys::socket::SocketSpec;
use ringrail_transport::{Checksum, IoDriver, ParkMode, Pin, TransportConf};

use super::error::ConfError;
use super::keys::{transport, wire};
use super::map::Conf;
use super::value::words;

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
        driver: conf.get_entry(&transport::DRIVER)?,
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

fn or_never(timeout: Duration) -> Duration {
    if timeout.is_zero() { NEVER } else { timeout }
}

words!(ParkMode: "bare" => ParkMode::Bare, "hosted" => ParkMode::Hosted);
words!(IoDriver: "auto" => IoDriver::Auto, "io_uring" => IoDriver::IoUring, "epoll" => IoDriver::Epoll);
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
