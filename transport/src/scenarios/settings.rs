//! Settings drawn from a seed: small sizes, so that every limit and every path is reached often.

use std::time::Duration;

use crate::conf::{Checksum, TransportConf};
use crate::sys::sim::{Link, Rng};

fn one_of<T: Copy>(rng: &mut Rng, choices: &[T]) -> T {
    choices[rng.below(choices.len() as u64) as usize]
}

/// Small sizes and ample memory.
pub(super) fn plain() -> TransportConf {
    let mut conf = TransportConf {
        slice_len: 16 << 10,
        mixed_slice_len: 4 << 10,
        send_batch: 64 << 10,
        exact_min: 4 << 10,
        inline_max: 1 << 10,
        sendfile_min: 16 << 10,
        send_queue: 64 << 10,
        max_connections: 64,
        pool_budget: 32 << 20,
        pool_reserve: 8 << 20,
        recv_buffers: 16,
        recv_buffer_len: 16 << 10,
        inbox: 1024,
        connect_timeout: Duration::from_secs(20),
        handshake_timeout: Duration::from_secs(5),
        request_timeout: Duration::from_secs(120),
        connection_timeout: Duration::from_secs(40),
        drain_timeout: Duration::from_secs(10),
        ..TransportConf::default()
    };
    conf.limits.initial_credit = 32 << 10;
    conf
}

/// Any settings under which everything must work.
pub(super) fn any(rng: &mut Rng) -> TransportConf {
    let mut conf = TransportConf {
        slice_len: 4096 << rng.below(4),
        send_batch: 4096 << rng.below(6),
        exact_min: one_of(rng, &[256, 1024, 4096, 16 << 10]),
        inline_max: one_of(rng, &[0, 64, 1024, 4096]),
        sendfile_min: one_of(rng, &[1024, 8192, 1 << 20]),
        sendfile_unmapped_min: one_of(rng, &[512, 8192, 1 << 20]),
        send_queue: one_of(rng, &[0, 2048, 16 << 10, 256 << 10]),
        recv_buffers: one_of(rng, &[2, 4, 16]),
        recv_buffer_len: 4096 << rng.below(4),
        checksum: if rng.chance(0.3) {
            Checksum::Always
        } else {
            Checksum::Never
        },
        coalesce_us: one_of(rng, &[0, 200, 10_000]),
        ..plain()
    };
    conf.limits.initial_credit = one_of(rng, &[700, 4096, 32 << 10, 256 << 10]);
    conf.limits.max_outstanding = one_of(rng, &[8, 32, 16 << 10]);
    conf
}

/// Any link; some have buffers of a few bytes.
pub(super) fn link(rng: &mut Rng) -> Link {
    Link {
        delay_ns: rng.below(1_000_000),
        jitter_ns: rng.below(500_000),
        bytes_per_sec: rng.chance(0.5).then(|| 4_000_000 << rng.below(10)),
        send_buffer_len: 2000 + rng.cut(1 << 18),
        recv_buffer_len: 2000 + rng.cut(1 << 18),
        segment_len: 1000 + rng.cut(1 << 16),
    }
}
