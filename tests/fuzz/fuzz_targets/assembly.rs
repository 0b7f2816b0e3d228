//! See `checks/assembly.rs`.
#![no_main]

#[path = "../checks/assembly.rs"]
mod assembly;

libfuzzer_sys::fuzz_target!(|data: &[u8]| assembly::check(data));
