//! Rate limit for log lines that a peer can cause at will.

/// Time between two lines of the same kind, in ns.
const EVERY_NS: u64 = 10_000_000_000;

/// Admits one line per interval and counts the suppressed ones.
#[derive(Debug, Default)]
pub(crate) struct LogGate {
    due_ns: u64,
    held_back: u64,
}

impl LogGate {
    /// Whether a line may be written now, and the number of lines suppressed since the last one.
    pub(crate) fn pass(&mut self, now_ns: u64) -> Option<u64> {
        if now_ns < self.due_ns {
            self.held_back += 1;
            return None;
        }
        self.due_ns = now_ns + EVERY_NS;
        Some(std::mem::take(&mut self.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_lines_becomes_one_per_while_that_counts_the_others() {
        let mut gate = LogGate::default();
        assert_eq!(gate.pass(1), Some(0));
        for _ in 0..1_000 {
            assert_eq!(gate.pass(2), None);
        }
        assert_eq!(gate.pass(1 + EVERY_NS), Some(1_000));
        assert_eq!(gate.pass(2 + EVERY_NS), None);
    }
}
