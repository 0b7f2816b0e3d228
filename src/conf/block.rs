//! The settings of serving and fetching blocks, from keys.

use super::error::ConfError;
use super::keys::block;
use super::map::Conf;
use super::value::words;
use crate::block::BlockServerConf;
use crate::block::fetch::{FetchConf, Resume};

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

words!(Resume: "continue" => Resume::Continue, "recheck" => Resume::Recheck, "fresh" => Resume::Fresh);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_of_the_keys_are_those_of_the_settings() {
        let conf = Conf::new();
        let server = block_server_conf(&conf).unwrap();
        assert_eq!(
            format!("{server:#?}"),
            format!("{:#?}", BlockServerConf::default())
        );
        let fetch = fetch_conf(&conf).unwrap();
        assert_eq!(
            format!("{fetch:#?}"),
            format!("{:#?}", FetchConf::default())
        );
    }
}
