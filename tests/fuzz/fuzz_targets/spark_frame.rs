//! See `checks/spark_frame.rs`.
#![no_main]

#[path = "../checks/spark_frame.rs"]
mod spark_frame;

libfuzzer_sys::fuzz_target!(|data: &[u8]| spark_frame::check(data));
