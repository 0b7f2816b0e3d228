//! The workloads that the project is judged by.

use crate::workload::{Length, Placement, Source, Wait, Work, Workload};

/// Size of a chunk source in memory, in bytes: larger than any cache of a core, so that chunks come
/// from where real ones would.
pub const MEMORY_BYTES: u64 = 64 << 20;
/// Size of a chunk source on disk, in bytes: as large, so that memory and file can be compared.
pub const FILE_BYTES: u64 = MEMORY_BYTES;

const KIB: u32 = 1 << 10;
const MIB: u32 = 1 << 20;

/// All of them: ping-pongs, pipelined RPCs, chunks from memory, and chunks from `file` if there is
/// one.
#[must_use]
pub fn standard(length: Length, file: Option<&Source>) -> Vec<Workload> {
    let mut all = ping_pongs(length);
    all.extend(pipelined_rpcs(length));
    let memory = Source::Memory {
        bytes: MEMORY_BYTES,
    };
    let wide = [(64 * KIB, 1, 8), (4 * MIB, 1, 8), (MIB, 4, 4)];
    all.extend(
        wide.map(|(size, conns, in_flight)| chunks(size, conns, in_flight, &memory, length)),
    );
    if let Some(file) = file {
        all.extend([64 * KIB, 4 * MIB].map(|size| chunks(size, 1, 8, file, length)));
    }
    all
}

fn ping_pongs(length: Length) -> Vec<Workload> {
    [
        (Placement::SameCore, Wait::Parked),
        (Placement::TwoCores, Wait::Parked),
        (Placement::TwoCores, Wait::Spinning),
    ]
    .map(|(placement, wait)| Workload::ping_pong(64, placement, wait, length))
    .into()
}

fn pipelined_rpcs(length: Length) -> Vec<Workload> {
    let mut all = Vec::new();
    for size in [64, KIB] {
        for (conns, in_flight) in [(1, 64), (1, 256), (8, 64)] {
            for wait in [Wait::Parked, Wait::Spinning] {
                all.push(Workload {
                    work: Work::Rpc { size, reply: size },
                    conns,
                    in_flight,
                    placement: Placement::TwoCores,
                    wait,
                    length,
                });
            }
        }
    }
    all
}

fn chunks(size: u32, conns: u32, in_flight: u32, source: &Source, length: Length) -> Workload {
    Workload {
        work: Work::Chunks {
            size,
            source: source.clone(),
        },
        conns,
        in_flight,
        placement: Placement::TwoCores,
        wait: Wait::Parked,
        length,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_workload_is_valid_and_none_is_there_twice() {
        let file = Source::File {
            path: "a".into(),
            bytes: FILE_BYTES,
        };
        let all = standard(Length::Seconds(1.0), Some(&file));
        assert!(all.iter().all(|workload| workload.validate().is_ok()));
        let names: HashSet<_> = all.iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), all.len());
        assert_eq!(standard(Length::Seconds(1.0), None).len() + 2, all.len());
    }
}
