//! A tokio web service (axum) in front of an endpoint: each HTTP request becomes an ask.
//!
//! ```sh
//! cargo run --example rpc_web_service      # then: curl http://127.0.0.1:PORT/hits/home
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeMap;
use std::error::Error;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use ringrail::rpc::{FnEndpoint, Message, RpcEndpointRef, RpcEnv};
use rkyv::{Archive, Deserialize, Serialize};
use tokio::net::TcpListener;

#[derive(Archive, Serialize, Deserialize)]
struct Hit {
    page: String,
}

impl Message for Hit {
    type Reply = u64;
    const NAME: &'static str = "counter.Hit";
}

type Counter = RpcEndpointRef<FnEndpoint>;

async fn hit(
    State(counter): State<Counter>,
    Path(page): Path<String>,
) -> Result<String, (StatusCode, String)> {
    // An ask is a future of any runtime. Should the client hang up, it is dropped and so retracted.
    let hits = counter.ask(Hit { page }).await;
    hits.map(|hits| hits.to_string())
        .map_err(|error| (StatusCode::BAD_GATEWAY, error.to_string()))
}

/// The service: what counts, and the routes to it. The env lives as long as the caller keeps it.
pub(crate) fn service() -> Result<(RpcEnv, Router), Box<dyn Error>> {
    let env = RpcEnv::builder("counters").build()?;
    let mut hits = BTreeMap::<String, u64>::new();
    let counter = FnEndpoint::new().on::<Hit>(move |hit, call| {
        let count = hits.entry(hit.take()?.page).or_default();
        *count += 1;
        call.reply(*count);
        Ok(())
    });
    let counter = env.setup_endpoint("counter", counter)?;
    let routes = Router::new().route("/hits/{page}", get(hit));
    Ok((env, routes.with_state(counter)))
}

fn main() -> Result<(), Box<dyn Error>> {
    let (_env, routes) = service()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("http://{}/hits/home", listener.local_addr()?);
        axum::serve(listener, routes).await?;
        Ok(())
    })
}
