//! A reply that is a stream: made as it is read, and no further.
//!
//! ```sh
//! cargo run --example rpc_streams
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ringrail::rpc::{EndpointContext, Failure, RpcEndpoint, RpcEnv, RpcError, StreamRef};

#[ringrail::interface]
trait Archive {
    /// All lines that contain a text.
    fn search(&self, text: String) -> Result<StreamRef<String>, Failure>;
}

struct Lines {
    env: Option<RpcEnv>,
    /// Lines that were looked at.
    looked_at: Arc<AtomicU64>,
}

impl RpcEndpoint for Lines {
    type Messages = ArchiveMessages;

    fn on_start(&mut self, me: &EndpointContext<Self>) -> Result<(), RpcError> {
        self.env = Some(me.env());
        Ok(())
    }
}

impl Archive for Lines {
    fn search(&self, text: String) -> Result<StreamRef<String>, Failure> {
        let env = self.env.as_ref().ok_or(Failure::text("not started"))?;
        let looked_at = Arc::clone(&self.looked_at);
        // Runs as far as the reader has asked.
        let lines = (0..1_000_000).map(move |at| {
            looked_at.fetch_add(1, Ordering::Relaxed);
            format!("line {at}")
        });
        Ok(env.open_stream(lines.filter(move |line| line.contains(&text)))?)
    }
}

/// The first so many lines with this text, and how many lines were looked at for them.
pub(crate) fn run(text: &str, first: usize) -> Result<(Vec<String>, u64), Box<dyn Error>> {
    let looked_at: Arc<AtomicU64> = Arc::default();
    let server = RpcEnv::builder("archives").build()?;
    let lines = Lines {
        env: None,
        looked_at: Arc::clone(&looked_at),
    };
    let uri = server.setup_endpoint("archive", lines)?.uri().to_string();

    let env = RpcEnv::builder("asker").client_mode().build()?;
    let archive = ArchiveClient::connect_blocking(&env, &uri)?;
    // In a runtime: `while let Some(line) = items.next_item().await`.
    let items = archive.search(text.to_owned()).wait()?.read_by(10);
    let found = items.take(first).collect::<Result<_, _>>()?;
    Ok((found, looked_at.load(Ordering::Relaxed)))
}

fn main() -> Result<(), Box<dyn Error>> {
    let (found, looked_at) = run("99", 12)?;
    println!("{found:?}, of {looked_at} lines");
    Ok(())
}
