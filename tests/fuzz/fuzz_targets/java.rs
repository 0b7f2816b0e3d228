//! See `checks/java.rs`.
#![no_main]

#[path = "../checks/java.rs"]
mod java;

libfuzzer_sys::fuzz_target!(|data: &[u8]| java::check(data));
