//! Typed configuration: keys with types, units and defaults, read as Spark reads its own.
//!
//! [`keys`] is the table: every key with its type, unit, default, range, meaning and other names. From
//! it come reading and checking ([`Conf::get_entry`]), warnings, `docs/configuration.md` and the command
//! `ringrail conf`. A [`Conf`] holds what was set; [`transport_conf`], `block_server_conf` and
//! `fetch_conf` make the settings of the layers from it, which themselves know no keys.
//!
//! ```text
//! set, files, environment ──► Conf ──► entries (keys/) ──► TransportConf, RpcTimeout, …
//! ```
//!
//! [`Conf`] follows `SparkConf`: alternates in order, translation of old values, one warning for each
//! key that was given up, Spark's suffixes of times and sizes, its errors. Spark's names are
//! alternates of ringrail's where they mean the same, so a Spark cluster's settings can be used as they
//! are.

mod alternate;
mod application;
#[cfg(feature = "block")]
mod block;
mod deprecation;
pub mod docs;
pub mod entry;
mod error;
mod get;
pub mod keys;
mod load;
mod map;
pub mod properties;
mod redaction;
#[cfg(feature = "rpc")]
mod rpc;
mod settings;
#[cfg(feature = "shuffle")]
mod shuffle;
mod size;
mod substitute;
mod time;
#[cfg(feature = "rpc")]
mod timeout;
mod validate;
mod value;

#[cfg(feature = "rpc")]
pub use crate::rpc::RpcTimeout;
pub use alternate::{Alternate, Translation};
pub use application::is_executor_startup_key;
#[cfg(feature = "block")]
pub use block::{block_server_conf, fetch_conf};
pub use deprecation::{Deprecated, Notice};
pub use entry::{AnyEntry, ConfigEntry, DefaultText};
pub use error::ConfError;
pub use load::{FILE_VARIABLE, VARIABLE_PREFIX, variable_of};
pub use map::Conf;
pub use redaction::REDACTED;
pub use settings::{NEVER, spark_limits, transport_conf};
#[cfg(feature = "shuffle")]
pub use shuffle::{shuffle_conf, shuffle_transport_conf, spark_authentication};
pub use size::{ByteUnit, format_size, parse_bytes, parse_size};
pub use time::{TimeUnit, format_duration, parse_duration, parse_time};
pub use validate::Problem;
pub use value::{ConfigValue, Kind, ValueError};
