//! A server that both native clients and Spark's talk to, and a client that speaks Spark's protocol, behind
//! Spark's authentication and encryption.
//!
//! ```sh
//! cargo run --example spark_protocol
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::rc::Rc;

use bytes::Bytes;
use ringrail::transport::buf::ManagedBuffer;
use ringrail::transport::client::ChunkOptions;
use ringrail::transport::server::StreamManager;
use ringrail::transport::spark::{
    AuthEngine, Cipher, ClientAuthentication, ClientMode, EngineVersion, Protocols, Secret,
    ServerAuthentication, ServerMode,
};
use ringrail::transport::{
    Connection, Engine, ReceivedBytes, Responder, RpcFailure, RpcHandler, TransportConf,
    TransportContext,
};

/// Echoes, and serves chunk `n` of any stream as `n` bytes. It does not know which protocol a peer speaks.
struct Service;

impl RpcHandler for Service {
    fn receive(&self, _from: &Connection, body: ReceivedBytes<'_>, reply: Responder<'_>) {
        reply.reply(body.bytes());
    }

    fn stream_manager(&self) -> Option<&dyn StreamManager> {
        Some(self)
    }
}

impl StreamManager for Service {
    fn get_chunk(
        &self,
        _from: &Connection,
        _stream_id: u64,
        index: u32,
    ) -> Result<ManagedBuffer, RpcFailure> {
        Ok(Bytes::from(vec![7; index as usize]).into())
    }
}

fn context() -> Result<TransportContext, Box<dyn Error>> {
    let engine = Engine::builder(TransportConf::default())
        .shards(1)
        .start()?;
    Ok(TransportContext::new(engine, || Rc::new(Service)))
}

/// Asks by either protocol at one port: the answers.
pub(crate) fn either(text: &'static str) -> Result<[Bytes; 2], Box<dyn Error>> {
    let serving = context()?.with_protocols(Protocols::Either);
    let server = serving.create_server("127.0.0.1:0".parse()?)?;
    let address = server.local_addr().to_string();
    let asking = context()?;
    let native = asking.create_client_factory(Vec::new());
    let spark = asking.create_spark_client_factory(None, Vec::new());
    let answers = [native, spark].map(|clients| -> Result<Bytes, Box<dyn Error>> {
        let client = clients.create_client_blocking(&address)?;
        Ok(client.send_rpc(text).wait()?.into())
    });
    let [native, spark] = answers;
    Ok([native?, spark?])
}

/// Fetches a chunk over a connection that is authenticated and encrypted, as Spark does with
/// `spark.network.crypto.enabled`: how long it is.
pub(crate) fn encrypted(index: u32) -> Result<usize, Box<dyn Error>> {
    let engine = AuthEngine {
        version: EngineVersion::V2,
        cipher: Cipher::AesGcm,
    };
    let sasl_fallback = false;
    let asked = ServerMode::Engine {
        engine,
        sasl_fallback,
    };
    let secret_of = |app: &str| (app == "app-1").then(|| Secret::from("of app-1"));
    let serving = context()?.with_spark_authentication(ServerAuthentication::new(asked, secret_of));
    let server = serving.create_server("127.0.0.1:0".parse()?)?;
    let mode = ClientMode::Engine {
        engine,
        sasl_fallback,
    };
    let who = ClientAuthentication::new(mode, "app-1", Secret::from("of app-1"));
    let asking = context()?;
    let clients = asking.create_spark_client_factory(Some(who), Vec::new());
    let client = clients.create_client_blocking(&server.local_addr().to_string())?;
    let chunk = client.fetch_chunk(1, index, &ChunkOptions::default());
    Ok(chunk.wait()?.len())
}

fn main() -> Result<(), Box<dyn Error>> {
    let [native, spark] = either("hello")?;
    println!("the native protocol answers {native:?}, Spark's {spark:?}");
    println!("an encrypted chunk of {} bytes", encrypted(100_000)?);
    Ok(())
}
