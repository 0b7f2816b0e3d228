//! See `checks/hello.rs`.
#![no_main]

#[path = "../checks/hello.rs"]
mod hello;

libfuzzer_sys::fuzz_target!(|data: &[u8]| hello::check(data));
