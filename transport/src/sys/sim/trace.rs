//! The latest events, for the message of a failure. Stored as numbers; formatted only then.

use std::collections::VecDeque;
use std::fmt;

/// Events kept.
const TRACE_LEN: usize = 400;

#[derive(Clone, Copy, Debug)]
struct Record {
    at_ns: u64,
    host: Option<usize>,
    what: &'static str,
    subject: u64,
    value: i64,
}

#[derive(Debug, Default)]
pub(super) struct Trace {
    records: VecDeque<Record>,
    dropped: u64,
}

impl Trace {
    pub(super) fn note(
        &mut self,
        at_ns: u64,
        host: Option<usize>,
        what: &'static str,
        subject: u64,
        value: i64,
    ) {
        if self.records.len() == TRACE_LEN {
            self.records.pop_front();
            self.dropped += 1;
        }
        self.records.push_back(Record {
            at_ns,
            host,
            what,
            subject,
            value,
        });
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "({} earlier events are not kept)", self.dropped)?;
        for record in &self.records {
            let (ms, ns) = (record.at_ns / 1_000_000, record.at_ns % 1_000_000);
            match record.host {
                Some(host) => write!(f, "{ms:>8}.{ns:06} ms  host {host}  ")?,
                None => write!(f, "{ms:>8}.{ns:06} ms  network ")?,
            }
            writeln!(
                f,
                "{:<18} {:>12x} {:>8}",
                record.what, record.subject, record.value
            )?;
        }
        Ok(())
    }
}
