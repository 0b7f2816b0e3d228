//! The file server: files travel beside messages, on connections of their own.
//!
//! ```sh
//! cargo run --example rpc_files
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::fs;
use std::io::Read;

use ringrail::rpc::RpcEnv;

/// Gives out a file with this content, and fetches it; what came.
pub(crate) fn run(content: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    fs::write(dir.path().join("model.bin"), content)?;

    let driver = RpcEnv::builder("driver").build()?;
    let files = driver.file_server()?;
    let uri = files.add_file(dir.path().join("model.bin"))?;
    // Everything below a directory, and nothing outside of it:
    files.add_directory("/all", dir.path())?;

    let executor = RpcEnv::builder("executor").client_mode().build()?;
    let mut fetched = Vec::new();
    executor
        .open_channel_blocking(&uri)?
        .read_to_end(&mut fetched)?;
    Ok(fetched)
}

fn main() -> Result<(), Box<dyn Error>> {
    let content = vec![7; 3 << 20];
    let fetched = run(&content)?;
    println!(
        "{} bytes came, as they are: {}",
        fetched.len(),
        fetched == content
    );
    Ok(())
}
