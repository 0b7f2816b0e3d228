//! Trials on real, tiny rings: what works is asked by doing it.

use std::io;
use std::thread;
use std::time::Duration;

use io_uring::{Builder, IoUring, Probe, opcode};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use super::Needs;
use super::facts::ENOMEM;

/// The outcome of trying something: nothing, or the error number.
pub type Trial = Result<(), i32>;

/// Entries of a ring that is made for a trial.
const TRIAL_ENTRIES: u32 = 8;
/// Entries and bytes of a provided-buffer ring that is made for a trial.
const BUF_RING_ENTRIES: u16 = 8;
const BUF_RING_LEN: usize = 4096;
const BUF_RING_GROUP: u16 = 0;
/// A closed ring gives its locked memory back a little later, from a worker of
/// the kernel: how often and how long a trial waits for that.
const RELEASE_WAITS: u32 = 5;
const RELEASE_WAIT: Duration = Duration::from_millis(20);
/// `IOU_PBUF_RING_INC`, which the bindings keep to themselves.
const BUF_RING_INCREMENTAL: u16 = 2;

/// The capabilities of this kernel's rings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRing {
    /// A ring with the entries and flags that the engine is going to use.
    pub planned: Trial,
    /// `IORING_SETUP_SINGLE_ISSUER`.
    pub single_issuer: Trial,
    /// `IORING_SETUP_DEFER_TASKRUN`.
    pub defer_taskrun: Trial,
    /// `IORING_SETUP_TASKRUN_FLAG`.
    pub taskrun_flag: Trial,
    /// `IORING_SETUP_COOP_TASKRUN`.
    pub coop_taskrun: Trial,
    /// `IORING_REGISTER_RING_FDS`.
    pub registered_ring_fd: Trial,
    /// `IORING_REGISTER_PBUF_RING`.
    pub buf_ring: Trial,
    /// The same with `IOU_PBUF_RING_INC`.
    pub incremental_buf_ring: Trial,
    /// The names of the operations that the engine uses, and whether the kernel
    /// knows them; empty if it could not be asked.
    pub operations: Vec<(&'static str, bool)>,
}

/// The operations that the engine cannot do without.
pub(super) const ESSENTIAL: [(&str, u8); 9] = [
    ("accept", opcode::Accept::CODE),
    ("connect", opcode::Connect::CODE),
    ("recv", opcode::Recv::CODE),
    ("send", opcode::Send::CODE),
    ("sendmsg", opcode::SendMsg::CODE),
    ("read", opcode::Read::CODE),
    ("poll_add", opcode::PollAdd::CODE),
    ("async_cancel", opcode::AsyncCancel::CODE),
    ("close", opcode::Close::CODE),
];

/// The operations that it uses where they exist.
pub(super) const OPTIONAL: [(&str, u8); 5] = [
    ("splice", opcode::Splice::CODE),
    ("fadvise", opcode::Fadvise::CODE),
    ("msg_ring", opcode::MsgRingData::CODE),
    ("socket", opcode::Socket::CODE),
    ("send_zc", opcode::SendZc::CODE),
];

impl RawRing {
    /// Tries everything.
    ///
    /// # Errors
    ///
    /// Not even a plain ring can be made; the error number says why.
    pub fn gather(needs: &Needs) -> Result<Self, i32> {
        // First, while no other ring of ours takes of the locked memory.
        let planned = make(needs.sq_entries, |builder| {
            builder
                .setup_single_issuer()
                .setup_defer_taskrun()
                .setup_taskrun_flag()
                .setup_cqsize(needs.cq_entries)
        })
        .map(drop);
        let plain = make(TRIAL_ENTRIES, |builder| builder)?;
        Ok(Self {
            planned,
            single_issuer: try_flags(|builder| builder.setup_single_issuer()),
            defer_taskrun: try_flags(|builder| builder.setup_single_issuer().setup_defer_taskrun()),
            taskrun_flag: try_flags(|builder| builder.setup_coop_taskrun().setup_taskrun_flag()),
            coop_taskrun: try_flags(|builder| builder.setup_coop_taskrun()),
            registered_ring_fd: register_ring_fd(),
            buf_ring: register_buf_ring(&plain, 0),
            incremental_buf_ring: register_buf_ring(&plain, BUF_RING_INCREMENTAL),
            operations: operations(&plain),
        })
    }

    /// Whether the kernel knows the operation.
    pub fn supports(&self, operation: &str) -> bool {
        let mut known = self.operations.iter();
        known.any(|&(name, supported)| name == operation && supported)
    }
}

fn make(entries: u32, setup: impl Fn(&mut Builder) -> &mut Builder) -> Result<IoUring, i32> {
    let mut builder = IoUring::builder();
    setup(&mut builder);
    for _ in 0..RELEASE_WAITS {
        match builder.build(entries).map_err(errno) {
            Err(ENOMEM) => thread::sleep(RELEASE_WAIT),
            made => return made,
        }
    }
    builder.build(entries).map_err(errno)
}

fn try_flags(setup: impl Fn(&mut Builder) -> &mut Builder) -> Trial {
    make(TRIAL_ENTRIES, setup).map(drop)
}

fn errno(error: io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EINVAL)
}

/// On a ring of its own, for a registered ring makes every later call differ.
fn register_ring_fd() -> Trial {
    let ring = make(TRIAL_ENTRIES, |builder| builder)?;
    ring.submitter().register_ring_fd().map_err(errno)
}

fn operations(ring: &IoUring) -> Vec<(&'static str, bool)> {
    let mut probe = Probe::new();
    if ring.submitter().register_probe(&mut probe).is_err() {
        return Vec::new();
    }
    ESSENTIAL
        .iter()
        .chain(&OPTIONAL)
        .map(|&(name, code)| (name, probe.is_supported(code)))
        .collect()
}

fn register_buf_ring(ring: &IoUring, flags: u16) -> Trial {
    let submitter = ring.submitter();
    // SAFETY: a fresh anonymous mapping where the kernel likes it.
    let memory = unsafe {
        mmap_anonymous(
            std::ptr::null_mut(),
            BUF_RING_LEN,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::PRIVATE,
        )
    }
    .map_err(|errno| errno.raw_os_error())?;
    // SAFETY: the mapping is page-aligned, zeroed and larger than the ring's
    // entries, and it outlives the registration, which ends below.
    let registered = unsafe {
        submitter.register_buf_ring_with_flags(
            memory as u64,
            BUF_RING_ENTRIES,
            BUF_RING_GROUP,
            flags,
        )
    }
    .and_then(|()| submitter.unregister_buf_ring(BUF_RING_GROUP))
    .map_err(errno);
    // SAFETY: the mapping is ours and nothing refers to it any more; were the
    // registration still there, the kernel would hold the pages, not the mapping.
    let unmapped = unsafe { munmap(memory, BUF_RING_LEN) };
    registered.and(unmapped.map_err(|errno| errno.raw_os_error()))
}
