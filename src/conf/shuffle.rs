//! The settings of a shuffle service and of the authentication of Spark's clients, from keys.

use std::path::PathBuf;

use ringrail_codec::spark::auth::{AuthEngine, Cipher, EngineVersion, Secret, ServerMode};
use ringrail_transport::TransportConf;

use super::error::ConfError;
use super::keys::shuffle;
use super::keys::spark::authentication;
use super::map::Conf;
use super::settings::transport_settings;
use crate::shuffle::{MergeConf, ShuffleConf};

/// The file that executors are kept in (Spark: `registeredExecutors.rdb` or `.ldb`).
const STORE_NAME: &str = "registeredExecutors.redb";

/// The settings of the engine of a shuffle service, and the authentication that its server must ask of its
/// clients ([`TransportContext::with_spark_authentication`]); `None` where the keys ask for none.
///
/// [`TransportContext::with_spark_authentication`]: crate::TransportContext::with_spark_authentication
///
/// # Errors
/// As [`transport_conf`](super::transport_conf), but that authentication is taken; it needs a secret.
pub fn shuffle_transport_conf(
    conf: &Conf,
) -> Result<(TransportConf, Option<(ServerMode, Secret)>), ConfError> {
    conf.refuse_protection_nobody_has()?;
    Ok((transport_settings(conf)?, spark_authentication(conf)?))
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
