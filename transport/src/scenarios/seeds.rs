//! The choice of seeds that a test runs.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

fn from_env(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    Some(parsed.unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

/// Runs a scenario from `count` seeds, or from those that the environment asks for.
pub(super) fn each(count: u64, scenario: impl Fn(u64)) {
    let seeds = match from_env("RINGRAIL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..from_env("RINGRAIL_SEEDS").unwrap_or(count),
    };
    for seed in seeds {
        naming(&format!("RINGRAIL_SEED={seed}"), || scenario(seed));
    }
}

/// Runs something; where it panics, says what it was.
pub(super) fn naming(what: &str, run: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
        eprintln!("this was {what}");
        resume_unwind(panic);
    }
}
