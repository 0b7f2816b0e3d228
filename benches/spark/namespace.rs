//! One congestion control for everybody, Java included: a network namespace of our own, whose
//! loopback route names it.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, bail};

/// Set inside.
const MARK: &str = "RINGRAIL_BENCH_NAMESPACE";
/// Brings loopback up and gives its route the congestion control; then runs the rest of the line.
const PREPARE: &str = "ip link set lo up \
    && ip route replace local 127.0.0.0/8 dev lo table local congctl cubic \
    && exec \"$@\"";

/// Whether this process runs inside; checks that the route says what it should.
pub(crate) fn entered() -> anyhow::Result<bool> {
    if env::var_os(MARK).is_none() {
        return Ok(false);
    }
    let routes = Command::new("ip")
        .args(["route", "show", "table", "local", "dev", "lo"])
        .output()
        .context("running ip")?;
    let routes = String::from_utf8_lossy(&routes.stdout).into_owned();
    if !routes.contains("congctl cubic") {
        bail!("loopback has no congestion control of its own: {routes}");
    }
    Ok(true)
}

/// Starts this program again inside; returns only if that fails.
pub(crate) fn enter() -> anyhow::Result<()> {
    let exe = env::current_exe().context("finding this program")?;
    // Whoever is not root needs a user namespace as well.
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
