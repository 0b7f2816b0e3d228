//! The settings of a fetch, with their keys, units and defaults.

use std::time::Duration;

use super::FetchError;
use crate::block::digest::Chunking;

/// Most connections of one fetch.
pub const MAX_CONNECTIONS: usize = 256;

/// Most chunks in flight on one connection.
pub const MAX_IN_FLIGHT: usize = 1024;

/// The treatment of files that already exist at the destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resume {
    /// Files of the same length and time are kept; unfinished ones are continued, after their
    /// chunks have been compared with the server's digests.
    #[default]
    Continue,
    /// As `Continue`, but complete files are kept only where their digest is the server's too: both
    /// sides read everything.
    Recheck,
    /// Everything is fetched anew.
    Fresh,
}

/// How to fetch. Every field names its key.
#[derive(Clone, Debug)]
pub struct FetchConf {
    /// Connections. `ringrail.block.fetchConnections`, 4.
    pub connections: usize,
    /// Chunks in flight on each. `ringrail.block.fetchInFlight`, 4.
    pub in_flight: usize,
    /// Bytes of chunks that are in flight or being written, of all connections together (Spark:
    /// `spark.reducer.maxSizeInFlight`); each connection may have one chunk regardless of this
    /// limit. `ringrail.block.maxBytesInFlight`, 64 MiB.
    pub max_bytes_in_flight: u64,
    /// Bytes of a chunk: a power of two from 16 KiB to 64 MiB. `ringrail.block.chunkLen`, 4 MiB.
    pub chunk_len: u32,
    /// Whether every chunk is compared with the server's digest. `ringrail.block.verify`, on.
    pub verify: bool,
    /// The treatment of files that already exist. `ringrail.block.resume`, continue.
    pub resume: Resume,
    /// How often a connection or a file is tried again, without success in between (Spark:
    /// `spark.shuffle.io.maxRetries`). `ringrail.block.maxRetries`, 3.
    pub max_retries: u32,
    /// Wait before the first such attempt; doubled for each further one (Spark:
    /// `spark.shuffle.io.retryWait`). `ringrail.block.retryWait`, 1 s.
    pub retry_wait: Duration,
    /// Whether files are on the disk before they get their names. `ringrail.block.sync`, off.
    pub sync: bool,
}

impl Default for FetchConf {
    fn default() -> Self {
        Self {
            connections: 4,
            in_flight: 4,
            max_bytes_in_flight: 64 << 20,
            chunk_len: Chunking::DEFAULT_CHUNK_LEN,
            verify: true,
            resume: Resume::default(),
            max_retries: 3,
            retry_wait: Duration::from_secs(1),
            sync: false,
        }
    }
}

impl FetchConf {
    /// Checks that the settings make sense.
    ///
    /// # Errors
    /// Names the key and its accepted values.
    pub fn check(&self) -> Result<(), FetchError> {
        if !(1..=MAX_CONNECTIONS).contains(&self.connections) {
            return Err(FetchError::Config(
                "ringrail.block.fetchConnections must be 1 to 256",
            ));
        }
        if !(1..=MAX_IN_FLIGHT).contains(&self.in_flight) {
            return Err(FetchError::Config(
                "ringrail.block.fetchInFlight must be 1 to 1024",
            ));
        }
        if Chunking::new(0, self.chunk_len).is_none() {
            return Err(FetchError::Config(
                "ringrail.block.chunkLen must be a power of two from 16 KiB to 64 MiB",
            ));
        }
        Ok(())
    }

    /// Bytes that one of `workers` connections may have in flight.
    pub(super) fn share(&self, workers: usize) -> u64 {
        self.max_bytes_in_flight / workers.max(1) as u64
    }

    /// The wait before an attempt, from 1.
    pub(super) fn backoff(&self, attempt: u32) -> Duration {
        const LONGEST: Duration = Duration::from_secs(30);
        let doubled = self
            .retry_wait
            .saturating_mul(1 << attempt.saturating_sub(1).min(16));
        doubled.min(LONGEST.max(self.retry_wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound() {
        let conf = FetchConf::default();
        let waits: Vec<_> = (1..8)
            .map(|attempt| conf.backoff(attempt).as_secs())
            .collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(conf.backoff(u32::MAX).as_secs(), 30);
    }

    #[test]
    fn settings_that_make_no_sense_are_named() {
        let check = |change: fn(&mut FetchConf)| {
            let mut conf = FetchConf::default();
            change(&mut conf);
            conf.check().map_err(|error| error.to_string())
        };
        assert_eq!(check(|_| ()), Ok(()));
        assert!(
            check(|conf| conf.connections = 0)
                .unwrap_err()
                .contains("fetchConnections")
        );
        assert!(
            check(|conf| conf.in_flight = 1025)
                .unwrap_err()
                .contains("fetchInFlight")
        );
        assert!(
            check(|conf| conf.chunk_len = 5000)
                .unwrap_err()
                .contains("chunkLen")
        );
    }
}
