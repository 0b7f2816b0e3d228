//! `cargo bench --bench crowd`: one honest peer beside ten thousand connections.
//!
//! Three processes on this machine: a server of one shard on the first processor, the crowd and the
//! honest peer on the second. The honest peer sends 64-byte requests, one after the other, and both sides
//! park. It is measured alone, beside idle connections, and beside a crowd of which half is slow and one
//! connection floods; and the server's processor time is taken while all connections are idle.
//!
//! `cargo bench --bench crowd -- --connections 2000 --seconds 2` makes it smaller.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "its output is its purpose"
)]

mod crowd;
mod honest;
mod server;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use crowd::Crowd;
use server::{Report, Server};

/// The measurement that the command line asks for.
#[derive(Clone, Copy, Debug)]
struct Plan {
    connections: usize,
    length: Duration,
}

impl Plan {
    fn read(args: &[String]) -> anyhow::Result<Self> {
        let mut plan = Self {
            connections: 10_000,
            length: Duration::from_secs(3),
        };
        let mut args = args.iter().filter(|arg| *arg != "--bench");
        while let Some(arg) = args.next() {
            let value = args
                .next()
                .with_context(|| format!("{arg} wants a value"))?;
            match arg.as_str() {
                "--connections" => plan.connections = value.parse().context("--connections")?,
                "--seconds" => {
                    plan.length = Duration::from_secs(value.parse().context("--seconds")?)
                }
                other => bail!("unknown argument {other}: there are --connections and --seconds"),
            }
        }
        ensure!(plan.connections >= 4, "--connections must be 4 or more");
        Ok(plan)
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.first().map(String::as_str) {
        Some("serve") => server::serve(),
        Some("crowd") => crowd::run(&args[1..]),
        _ => Plan::read(&args).and_then(measure),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("crowd: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(plan: Plan) -> anyhow::Result<()> {
    let mut server = Server::start()?;
    let addr = server.addr().to_owned();
    let count = plan.connections;
    println!("{count} connections, 64-byte requests one after the other, two cores, parked");
    println!(
        "{:<34} {:>9} {:>9} {:>9} {:>9} {:>12} {:>10}",
        "beside", "calls", "p50 us", "p99 us", "p99.9 us", "pool MiB", "server CPU"
    );

    let alone = honest::ask(&addr, plan.length)?;
    line("nothing", &alone, &server.report()?, plan.length);

    let idle = Crowd::start(&addr, count, 0, false)?;
    server.wait_for(count)?;
    server.report()?;
    std::thread::sleep(plan.length);
    let resting = server.report()?;
    let beside_idle = honest::ask(&addr, plan.length)?;
    line(
        "idle connections",
        &beside_idle,
        &server.report()?,
        plan.length,
    );
    drop(idle);
    server.wait_for(0)?;

    let slow = Crowd::start(&addr, count, count / 2, true)?;
    server.wait_for(count)?;
    server.report()?;
    let beside_slow = honest::ask(&addr, plan.length)?;
    let loaded = server.report()?;
    line(
        "half of them slow, one floods",
        &beside_slow,
        &loaded,
        plan.length,
    );
    drop(slow);

    let percent = 100.0 * resting.cpu_s / plan.length.as_secs_f64();
    println!("server with {count} idle connections: {percent:.2} % of a processor");
    println!(
        "p99 beside the slow crowd: {:.2} times the p99 alone; pool at most {} of {} MiB",
        beside_slow.p99_us / alone.p99_us,
        loaded.pool_high_water >> 20,
        loaded.pool_budget >> 20,
    );
    server.end()
}

fn line(beside: &str, figures: &honest::Figures, server: &Report, length: Duration) {
    println!(
        "{beside:<34} {:>9} {:>9.1} {:>9.1} {:>9.1} {:>12.1} {:>9.1}%",
        figures.calls,
        figures.p50_us,
        figures.p99_us,
        figures.p999_us,
        server.pool_used as f64 / f64::from(1 << 20),
        100.0 * server.cpu_s / length.as_secs_f64(),
    );
}
