//! What touches the kernel: sockets, processor affinity, and the probe of what
//! this kernel offers.

pub mod affinity;
pub mod socket;
