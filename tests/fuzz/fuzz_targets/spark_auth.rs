//! See `checks/spark_auth.rs`.
#![no_main]

#[path = "../checks/spark_auth.rs"]
mod spark_auth;

libfuzzer_sys::fuzz_target!(|data: &[u8]| spark_auth::check(data));
