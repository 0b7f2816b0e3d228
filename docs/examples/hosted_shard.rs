//! A hosted shard: its futures use tokio's timers and tokio-uring's files. It costs about eight system calls per
//! request where the default costs one, so it is for handlers that must await such things.
//!
//! ```sh
//! cargo run --release --example hosted_shard
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use ringrail::codec::native::FailureCode;
use ringrail::tokio_uring::fs::File;
use ringrail::{
    Connection, Engine, ParkMode, Responder, RpcFailure, RpcHandler, TransportConf,
    TransportContext, transport,
};

/// Bytes of a file that are read at most.
const MAX_LEN: usize = 64 << 10;

/// Answers with the beginning of a file, read when it is asked for.
struct Notes {
    path: PathBuf,
}

async fn read(path: PathBuf) -> io::Result<Vec<u8>> {
    let file = File::open(path).await?;
    // Timers of tokio work here, too.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let (read, mut bytes) = file.read_at(vec![0; MAX_LEN], 0).await;
    file.close().await?;
    bytes.truncate(read?);
    Ok(bytes)
}

impl RpcHandler for Notes {
    fn receive(
        &self,
        from: &Connection,
        _body: transport::ReceivedBytes<'_>,
        reply: Responder<'_>,
    ) {
        // Held on this shard; the shard goes on while the file is read.
        let (reply, path) = (reply.hold(), self.path.clone());
        let answering = async move {
            match read(path).await {
                Ok(bytes) => reply.reply(&bytes),
                Err(error) => {
                    reply.fail(&RpcFailure::new(FailureCode::Internal, error.to_string()));
                }
            }
        };
        // If the shard takes no further futures, the reply is dropped and the caller gets an error.
        let _ = from.client().shard().spawn(answering);
    }
}

/// The server's answer about this file.
pub(crate) fn run(path: &Path) -> Result<Vec<u8>, Box<dyn Error>> {
    let engine = Engine::builder(TransportConf::default())
        .shards(1)
        .park(ParkMode::Hosted)
        .start()?;
    let path = path.to_owned();
    let context = TransportContext::new(engine, move || Rc::new(Notes { path: path.clone() }));
    let server = context.create_server("127.0.0.1:0".parse()?)?;
    let client = context.connect(&server.local_addr().to_string())?;
    let answer = client.send_rpc("").wait()?;
    Ok(answer.to_vec())
}

fn main() -> Result<(), Box<dyn Error>> {
    let answer = run(Path::new("README.md"))?;
    println!("{}", String::from_utf8_lossy(&answer));
    Ok(())
}
