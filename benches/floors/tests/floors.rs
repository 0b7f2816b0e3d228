//! Every floor does every kind of work it claims, verified, in two processes; and wrong answers are
//! found.

use ringrail_floors::floor::Floor;
use ringrail_floors::harness::{
    Candidate, FloorCandidate, HarnessError, PatternFile, Run, Side, run_once,
};
use ringrail_floors::workload::{Length, Placement, Source, Wait, Work, Workload};
use std::process::Command;

const EXE: &str = env!("CARGO_BIN_EXE_ringrail-floors");
const OPS: u64 = 300;

fn workload(work: Work, conns: u32, in_flight: u32) -> Workload {
    Workload {
        work,
        conns,
        in_flight,
        placement: Placement::SameCore,
        wait: Wait::Parked,
        length: Length::Ops(OPS),
    }
}

fn rpc(size: u32, reply: u32, conns: u32, in_flight: u32) -> Workload {
    workload(Work::Rpc { size, reply }, conns, in_flight)
}

fn chunks(size: u32, source: Source, conns: u32, in_flight: u32) -> Workload {
    workload(Work::Chunks { size, source }, conns, in_flight)
}

/// Runs the workload on every floor that can do it, and checks the books of both sides.
fn run_on_every_floor(workload: &Workload) {
    let able = Floor::ALL
        .into_iter()
        .filter(|floor| floor.supports(workload));
    let mut floors = 0;
    for floor in able {
        let Run { client, server, .. } = run_once(&FloorCandidate::new(floor, EXE), workload)
            .unwrap_or_else(|e| panic!("{floor}, {workload}: {e}"));
        assert!(client.verified, "{floor}, {workload}");
        assert!(
            client.ops >= OPS,
            "{floor}, {workload}: {} of {OPS}",
            client.ops
        );
        assert_eq!(
            client.bytes,
            client.ops * u64::from(workload.answer_size()),
            "{floor}, {workload}"
        );
        assert!(
            server.ops >= Some(client.ops),
            "{floor}, {workload}: the warm-up is served too"
        );
        assert!(client.p50_us <= client.p99_us && client.p99_us <= client.p999_us);
        floors += 1;
    }
    assert!(floors >= 1, "{workload}");
}

#[test]
fn rpcs_of_every_size_and_width() {
    for (size, reply) in [(0, 0), (1, 1), (64, 64), (64, 0), (0, 1024), (1024, 1024)] {
        for (conns, in_flight) in [(1, 1), (1, 64), (3, 7)] {
            run_on_every_floor(&rpc(size, reply, conns, in_flight));
        }
    }
}

#[test]
fn rpcs_larger_than_a_receive_buffer() {
    run_on_every_floor(&rpc(100_000, 100_000, 2, 3));
    run_on_every_floor(&rpc(300_000, 5, 1, 4));
}

#[test]
fn more_bytes_in_flight_than_the_sockets_hold() {
    run_on_every_floor(&rpc(64 << 10, 64 << 10, 1, 200));
}

#[test]
fn more_connections_than_provided_buffers() {
    run_on_every_floor(&rpc(64, 64, 100, 2));
}

#[test]
fn chunks_from_memory_below_and_above_the_exact_receive() {
    for (size, conns, in_flight) in [
        (1, 1, 1),
        (100, 2, 8),
        (16_383, 1, 8),
        (16_384, 3, 4),
        (65_537, 1, 8),
    ] {
        let source = Source::Memory {
            bytes: u64::from(size) * 7 + 3,
        };
        run_on_every_floor(&chunks(size, source, conns, in_flight));
    }
}

#[test]
fn chunks_that_fill_the_socket_many_times() {
    let source = Source::Memory { bytes: 3 << 20 };
    let mut workload = chunks(1 << 20, source, 4, 4);
    workload.length = Length::Ops(OPS);
    run_on_every_floor(&workload);
}

#[test]
fn chunks_from_a_file_by_mapping_and_by_sendfile() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = PatternFile::create(dir.path(), 1_000_003).expect("room");
    for (size, conns, in_flight) in [(500, 2, 8), (65_536, 1, 8), (300_001, 2, 3)] {
        let workload = chunks(size, file.source(), conns, in_flight);
        assert!(Floor::Sendfile.supports(&workload));
        run_on_every_floor(&workload);
    }
}

#[test]
fn spinning_floors_do_the_same_work() {
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return; // Spinning needs a core for each side.
    }
    let memory = Source::Memory { bytes: 1 << 20 };
    for mut workload in [
        rpc(64, 64, 1, 1),
        rpc(64, 64, 8, 64),
        chunks(65_536, memory, 2, 4),
    ] {
        workload.wait = Wait::Spinning;
        workload.placement = Placement::TwoCores;
        run_on_every_floor(&workload);
    }
}

/// A server that does other work than its client asks for.
struct Deceived {
    floor: FloorCandidate,
    served: Workload,
}

impl Candidate for Deceived {
    fn name(&self) -> &str {
        "deceived"
    }
    fn server_cmd(&self, _: &Workload) -> Command {
        self.floor.server_cmd(&self.served)
    }
    fn client_cmd(&self, workload: &Workload, addr: &str) -> Command {
        self.floor.client_cmd(workload, addr)
    }
}

/// Whether the client of each floor notices that the server serves something else.
fn assert_noticed(served: &Workload, asked: &Workload) {
    for floor in [Floor::Blocking, Floor::Ring] {
        let deceived = Deceived {
            floor: FloorCandidate::new(floor, EXE),
            served: served.clone(),
        };
        match run_once(&deceived, asked) {
            Err(HarnessError::Ended {
                side: Side::Client,
                status,
                ..
            }) => assert!(!status.success()),
            other => panic!("{floor}, {asked}: {other:?}"),
        }
    }
}

#[test]
fn answers_of_the_wrong_length_are_found() {
    assert_noticed(&rpc(64, 63, 1, 4), &rpc(64, 64, 1, 4));
}

#[test]
fn chunks_with_the_wrong_content_are_found() {
    // The server's source is shorter, so its chunk ids wrap around earlier.
    for size in [4096, 32_768] {
        let from = |chunk_count| Source::Memory {
            bytes: u64::from(size) * chunk_count,
        };
        assert_noticed(&chunks(size, from(63), 1, 4), &chunks(size, from(70), 1, 4));
    }
}
