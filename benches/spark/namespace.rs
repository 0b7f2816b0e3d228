//! One congestion control for everybody, Java included: a network namespace of our own, whose
//! loopback route names it.

use std::env;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, bail};
use rustix::net::sockopt::tcp_congestion;

/// Set inside.
const MARK: &str = "RINGRAIL_BENCH_NAMESPACE";
/// Brings loopback up and gives its route the congestion control; then runs the rest of the line.
const PREPARE: &str = "ip link set lo up \
    && ip route replace local 127.0.0.0/8 dev lo table local congctl cubic \
    && ip route replace local 127.0.0.1 dev lo table local congctl cubic \
    && exec \"$@\"";

/// Whether this process runs inside; checks that sockets get what the routes say.
pub(crate) fn entered() -> anyhow::Result<bool> {
    if env::var_os(MARK).is_none() {
        return Ok(false);
    }
    let listener = TcpListener::bind("127.0.0.1:0").context("a port")?;
    let client = TcpStream::connect(listener.local_addr()?).context("connecting")?;
    let (server, _) = listener.accept().context("accepting")?;
    for socket in [client, server] {
        let found = tcp_congestion(&socket).context("asking for the congestion control")?;
        if found != "cubic" {
            bail!("loopback's congestion control is {found}, not cubic");
        }
    }
    Ok(true)
}

/// Starts this program again inside; returns only if that fails.
pub(crate) fn enter() -> anyhow::Result<()> {
    let exe = env::current_exe().context("finding this program")?;
    // An unprivileged process needs a user namespace as well.
    let flags = if rustix::process::geteuid().is_root() {
        "-n"
    } else {
        "-rn"
    };
    let error = Command::new("unshare")
        .args([flags, "sh", "-c", PREPARE, "sh"])
        .arg(exe)
        .args(env::args_os().skip(1))
        .env(MARK, "1")
        .exec();
    Err(error).context("starting unshare (util-linux) to get a network namespace")
}
