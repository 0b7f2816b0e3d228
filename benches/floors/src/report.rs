//! Reports of a run's two processes at their end: one line of JSON each.

use crate::meter::Metered;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A server's last line.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerReport {
    /// CPU seconds, user and system, since it said that it was ready.
    pub cpu_s: f64,
    /// Requests answered since then, warm-up included; without it the client's count stands in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ops: Option<u64>,
    /// Payload bytes sent since then, headers not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Additional values of the candidate, such as its counters.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A client's last line: the measured window, without the warm-up before it and the drain after it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientReport {
    /// Requests answered.
    pub ops: u64,
    /// Payload bytes of those answers, headers not counted.
    pub bytes: u64,
    /// Length of the window in seconds.
    pub elapsed_s: f64,
    /// CPU seconds, user and system.
    pub cpu_s: f64,
    /// Median time from handing a request to the socket until its answer is complete, in
    /// microseconds.
    pub p50_us: f64,
    /// 99th percentile of that time.
    pub p99_us: f64,
    /// 99.9th percentile of that time.
    pub p999_us: f64,
    /// Whether the id, order and length of every answer, and a sample of the content, were checked
    /// and right. A client that finds a wrong answer says so on stderr and exits with a failure; it
    /// never reports `false`.
    pub verified: bool,
    /// Additional values of the candidate.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ClientReport {
    /// The report of a client whose every answer was checked.
    pub fn checked(metered: &Metered, payload_len: u32) -> Self {
        let us = |quantile| metered.latency_ns.value_at_quantile(quantile) as f64 / 1e3;
        Self {
            ops: metered.ops,
            bytes: metered.ops * u64::from(payload_len),
            elapsed_s: metered.elapsed.as_secs_f64(),
            cpu_s: metered.cpu_s,
            p50_us: us(0.5),
            p99_us: us(0.99),
            p999_us: us(0.999),
            verified: true,
            extra: Map::from_iter([("ops_in_all".to_owned(), metered.ops_in_all.into())]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_may_leave_out_the_optional_and_add_its_own() {
        let server: ServerReport = serde_json::from_str(r#"{"cpu_s":0.5,"sendfile_bytes":12}"#)
            .expect("only cpu_s is needed");
        assert_eq!((server.cpu_s, server.ops), (0.5, None));
        assert_eq!(server.extra["sendfile_bytes"], 12);
        assert!(serde_json::from_str::<ServerReport>("{}").is_err());
        assert!(serde_json::from_str::<ClientReport>(r#"{"ops":1}"#).is_err());
    }
}
