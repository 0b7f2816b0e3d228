//! The values that a probe reads from the kernel, before they are judged.

use std::fs::{self, File};
use std::io::IoSliceMut;
use std::os::fd::AsFd;

use rustix::io::{Errno, ReadWriteFlags, preadv2};
use rustix::process::{Resource, getrlimit};

use super::Needs;
use super::facts::{KernelVersion, last_number, status_field};
use super::trial::{RawRing, Trial};
use crate::sys::affinity::CpuBudget;

/// Everything that a probe has read and tried. Plain values, so that a test can
/// make up any system it likes. `None` stands for what could not be read, unless
/// the field says otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct RawProbe {
    /// The kernel's release string.
    pub release: String,
    /// The capabilities of its rings, or the error number of the attempt to create one.
    pub ring: Result<RawRing, i32>,
    /// `kernel.io_uring_disabled`.
    pub io_uring_disabled: Option<u64>,
    /// The seccomp mode of this process: 2 if a filter is installed.
    pub seccomp_mode: Option<u64>,
    /// `cachestat(2)`.
    pub cachestat: Trial,
    /// `preadv2(2)` with `RWF_NOWAIT`, on the program's own file.
    pub nowait_reads: Trial,
    /// The processors it may use.
    pub cpus: CpuBudget,
    /// The limits of this process.
    pub limits: RawLimits,
    /// The settings of the network.
    pub tcp: RawTcp,
}

/// Limits of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawLimits {
    /// `RLIMIT_MEMLOCK` in bytes; `None` is no limit.
    pub memlock: Option<u64>,
    /// Whether `CAP_IPC_LOCK` exempts it from that limit.
    pub ipc_lock: bool,
    /// `RLIMIT_NOFILE`; `None` is no limit.
    pub nofile: Option<u64>,
    /// How far it may raise that itself; `None` is no limit.
    pub nofile_max: Option<u64>,
}

/// Settings of the network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawTcp {
    /// `net.core.somaxconn`.
    pub somaxconn: Option<u64>,
    /// `net.core.rmem_max` in bytes.
    pub rmem_max: Option<u64>,
    /// `net.core.wmem_max` in bytes.
    pub wmem_max: Option<u64>,
    /// The highest of `net.ipv4.tcp_rmem` in bytes.
    pub tcp_rmem_max: Option<u64>,
    /// The highest of `net.ipv4.tcp_wmem` in bytes.
    pub tcp_wmem_max: Option<u64>,
    /// `net.ipv4.tcp_congestion_control`.
    pub congestion: Option<String>,
    /// `net.ipv4.tcp_available_congestion_control`.
    pub congestion_available: Option<String>,
}

/// The bit of `CAP_IPC_LOCK` in a capability mask.
const CAP_IPC_LOCK: u32 = 14;

impl RawProbe {
    /// Asks the kernel, mostly by trying. `needs` says how large a ring to try.
    pub fn gather(needs: &Needs) -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self {
            release: rustix::system::uname()
                .release()
                .to_string_lossy()
                .into_owned(),
            ring: RawRing::gather(needs),
            io_uring_disabled: sysctl("kernel/io_uring_disabled").and_then(number),
            seccomp_mode: status_field(&status, "Seccomp").and_then(|mode| mode.parse().ok()),
            cachestat: try_cachestat(),
            nowait_reads: try_nowait_read(),
            cpus: CpuBudget::of_process().clone(),
            limits: RawLimits::gather(&status),
            tcp: RawTcp::gather(),
        }
    }

    /// The kernel's version, if the release string has one.
    pub fn kernel(&self) -> Option<KernelVersion> {
        KernelVersion::parse(&self.release)
    }
}

impl RawLimits {
    fn gather(status: &str) -> Self {
        let effective = status_field(status, "CapEff")
            .and_then(|mask| u64::from_str_radix(mask, 16).ok())
            .unwrap_or(0);
        let nofile = getrlimit(Resource::Nofile);
        Self {
            memlock: getrlimit(Resource::Memlock).current,
            ipc_lock: effective & (1 << CAP_IPC_LOCK) != 0,
            nofile: nofile.current,
            nofile_max: nofile.maximum,
        }
    }
}

impl RawTcp {
    fn gather() -> Self {
        let highest = |name| sysctl(name).and_then(|text| last_number(&text));
        Self {
            somaxconn: sysctl("net/core/somaxconn").and_then(number),
            rmem_max: sysctl("net/core/rmem_max").and_then(number),
            wmem_max: sysctl("net/core/wmem_max").and_then(number),
            tcp_rmem_max: highest("net/ipv4/tcp_rmem"),
            tcp_wmem_max: highest("net/ipv4/tcp_wmem"),
            congestion: sysctl("net/ipv4/tcp_congestion_control"),
            congestion_available: sysctl("net/ipv4/tcp_available_congestion_control"),
        }
    }
}

fn sysctl(name: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/sys/{name}")).ok()?;
    Some(text.trim().to_owned())
}

fn number(text: String) -> Option<u64> {
    text.parse().ok()
}

/// `cachestat` on no file: a kernel that has the call complains about the
/// descriptor, one that has not about the call.
fn try_cachestat() -> Trial {
    /// The same on every architecture.
    const SYS_CACHESTAT: libc::c_long = 451;
    let null = std::ptr::null::<u8>();
    // SAFETY: the descriptor is invalid, so the call fails before it reads or
    // writes through a pointer.
    let result = unsafe { libc::syscall(SYS_CACHESTAT, -1, null, null, 0) };
    let error = std::io::Error::last_os_error();
    match (result, error.raw_os_error()) {
        (-1, Some(libc::EBADF)) | (0.., _) => Ok(()),
        (_, errno) => Err(errno.unwrap_or(libc::EINVAL)),
    }
}

fn try_nowait_read() -> Trial {
    let file = File::open("/proc/self/exe")
        .map_err(|error| error.raw_os_error().unwrap_or(libc::ENOENT))?;
    let mut byte = [0];
    let mut buffers = [IoSliceMut::new(&mut byte)];
    match preadv2(file.as_fd(), &mut buffers, 0, ReadWriteFlags::NOWAIT) {
        // Not in memory, and said so instead of waiting: it works.
        Ok(_) | Err(Errno::AGAIN) => Ok(()),
        Err(errno) => Err(errno.raw_os_error()),
    }
}
