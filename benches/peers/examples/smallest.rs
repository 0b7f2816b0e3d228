//! Two processes: without an argument it serves, and prints where; with that as its argument, it asks.
use futures::StreamExt;
use std::time::{Duration, Instant};
use std::{env, error::Error, future, sync::Arc, sync::Mutex};
use tarpc::server::{BaseChannel, Channel};
use tarpc::{client, context, serde_transport::tcp, tokio_serde::formats::Bincode};

#[tarpc::service]
trait Counter {
    async fn add(n: u64) -> Result<u64, String>;
    async fn never();
}

#[derive(Clone)]
struct Counting(Arc<Mutex<u64>>);

impl Counter for Counting {
    async fn add(self, _: context::Context, n: u64) -> Result<u64, String> {
        let mut sum = self.0.lock().map_err(|_| "poisoned")?;
        *sum = sum.checked_add(n).ok_or("too much")?;
        Ok(*sum)
    }
    async fn never(self, _: context::Context) {
        future::pending().await
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Some(address) = env::args().nth(1) else {
        let mut listener = tcp::listen("127.0.0.1:0", Bincode::default).await?;
        println!("{}", listener.local_addr());
        let counting = Counting(Arc::default());
        while let Some(transport) = listener.next().await {
            let channel = BaseChannel::with_defaults(transport?);
            let requests = channel.execute(counting.clone().serve());
            tokio::spawn(requests.for_each(|request| async {
                tokio::spawn(request);
            }));
        }
        return Ok(());
    };
    let transport = tcp::connect(address, Bincode::default).await?;
    let counter = CounterClient::new(client::Config::default(), transport).spawn();
    println!("sum: {}", counter.add(context::current(), 2).await??);
    let refused = counter.add(context::current(), u64::MAX).await?;
    println!("refused: {refused:?}");
    let mut hasty = context::current();
    hasty.deadline = Instant::now() + Duration::from_millis(50);
    println!("late: {:?}", counter.never(hasty).await);
    Ok(())
}
