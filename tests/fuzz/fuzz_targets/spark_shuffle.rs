//! See `checks/spark_shuffle.rs`.
#![no_main]

#[path = "../checks/spark_shuffle.rs"]
mod spark_shuffle;

libfuzzer_sys::fuzz_target!(|data: &[u8]| spark_shuffle::check(data));
