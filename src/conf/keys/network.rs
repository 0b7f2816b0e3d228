//! Keys that more than one layer uses.

use super::entries;
use crate::conf::alternate::Alternate;
use crate::conf::entry::{int, of, time};
use crate::conf::time::TimeUnit::Seconds;
use crate::conf::value::Kind;
use std::time::Duration;

entries! {
    /// The time that other timeouts begin with: those of asking, looking up, requests and connections,
    /// as long as they are not set themselves.
    TIMEOUT: Duration = "ringrail.network.timeout", time(Seconds)
        .default("120s")
        .range("1ms", "365d")
        .alternates(&[Alternate::same("spark.network.timeout")]);

    /// How many further ports are tried where one is in use, each one higher than the last; port 0
    /// is any free one each time.
    PORT_MAX_RETRIES: u32 = "ringrail.port.maxRetries", int()
        .default("16")
        .range("0", "65535")
        .alternates(&[Alternate::same("spark.port.maxRetries")]);

    /// Values are not printed where this is found in key or value.
    REDACTION_REGEX: String = "ringrail.redaction.regex", of(Kind::Regex)
        .default("(?i)secret|password|token|access[.]?key")
        .alternates(&[Alternate::same("spark.redaction.regex")]);
}
