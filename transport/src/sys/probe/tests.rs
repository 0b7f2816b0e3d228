//! Verdicts on systems that are made up, and one on the real one.

use super::facts::{ENOMEM, ENOSYS, EPERM};
use super::trial::{ESSENTIAL, OPTIONAL};
use super::*;
use crate::sys::affinity::CpuBudget;

const EINVAL: i32 = 22;

/// A recent kernel that offers everything, on four processors.
fn healthy() -> RawProbe {
    let operations = ESSENTIAL.iter().chain(&OPTIONAL);
    RawProbe {
        release: "6.18.2-generic".into(),
        ring: Ok(RawRing {
            planned: Ok(()),
            single_issuer: Ok(()),
            defer_taskrun: Ok(()),
            taskrun_flag: Ok(()),
            coop_taskrun: Ok(()),
            registered_ring_fd: Ok(()),
            buf_ring: Ok(()),
            incremental_buf_ring: Ok(()),
            operations: operations.map(|(name, _)| (*name, true)).collect(),
        }),
        io_uring_disabled: Some(0),
        seccomp_mode: Some(0),
        cachestat: Ok(()),
        nowait_reads: Ok(()),
        cpus: CpuBudget {
            allowed: (0..4).collect(),
            quota: None,
        },
        limits: RawLimits {
            memlock: Some(8 << 20),
            ipc_lock: false,
            nofile: Some(65_536),
            nofile_max: Some(65_536),
        },
        tcp: RawTcp {
            somaxconn: Some(4096),
            rmem_max: Some(212_992),
            wmem_max: Some(212_992),
            tcp_rmem_max: Some(6 << 20),
            tcp_wmem_max: Some(4 << 20),
            congestion: Some("cubic".into()),
            congestion_available: Some("reno cubic".into()),
        },
    }
}

fn judge(change: impl FnOnce(&mut RawProbe, &mut Needs)) -> ProbeReport {
    let (mut raw, mut needs) = (healthy(), Needs::default());
    change(&mut raw, &mut needs);
    ProbeReport::judge(&raw, &needs)
}

/// The names of everything that is not as it should be.
fn faults(report: &ProbeReport) -> Vec<(&'static str, State)> {
    let findings = report.findings.iter();
    findings
        .filter(|finding| finding.state != State::Ok)
        .map(|finding| (finding.name, finding.state))
        .collect()
}

#[track_caller]
fn check_remedy(report: &ProbeReport, name: &str, meaning: &str, remedy: &str) {
    let finding = report.finding(name).unwrap();
    assert!(finding.meaning.contains(meaning), "{finding}");
    assert!(
        finding.remedy.as_ref().unwrap().contains(remedy),
        "{finding}"
    );
}

#[test]
fn a_healthy_system_has_no_faults() {
    let report = judge(|_, _| {});
    assert_eq!(faults(&report), []);
    assert!(report.minimum_met());
    let all = Features {
        registered_ring_fd: true,
        incremental_buffers: true,
        msg_ring: true,
        splice: true,
        fadvise: true,
        socket: true,
        send_zc: true,
        cachestat: true,
        nowait_reads: true,
    };
    assert_eq!(report.features, all);
    assert!(report.to_string().ends_with("as it should be"));
}

#[test]
fn every_fault_comes_with_a_remedy_and_every_name_once() {
    let mut raw = healthy();
    raw.release = "4.19.0".into();
    raw.ring = Err(ENOSYS);
    (raw.cachestat, raw.nowait_reads) = (Err(ENOSYS), Err(ENOSYS));
    raw.cpus.allowed.clear();
    raw.limits = RawLimits {
        memlock: Some(0),
        ipc_lock: false,
        nofile: Some(8),
        nofile_max: Some(8),
    };
    raw.tcp = RawTcp::default();
    let needs = Needs {
        shards: 3,
        ..Needs::default()
    };
    let report = ProbeReport::judge(&raw, &needs);
    let mut names: Vec<_> = report.findings.iter().map(|found| found.name).collect();
    for finding in &report.findings {
        assert_eq!(
            finding.remedy.is_some(),
            finding.state != State::Ok,
            "{finding}"
        );
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), report.findings.len());
    assert_eq!(report.features, Features::default());
    assert!(!report.minimum_met());
}

#[test]
fn a_seccomp_filter_is_told_from_a_sysctl_and_a_policy() {
    let refused = |error, disabled, seccomp| {
        judge(move |raw, _| {
            raw.ring = Err(error);
            raw.io_uring_disabled = disabled;
            raw.seccomp_mode = Some(seccomp);
        })
    };
    for (error, disabled, seccomp, meaning, remedy) in [
        (
            EPERM,
            Some(0),
            2,
            "seccomp filter forbids",
            "--security-opt",
        ),
        (EPERM, None, 2, "seccomp filter forbids", "io_uring_enter"),
        (ENOSYS, None, 2, "seccomp filter hides", "--security-opt"),
        (
            EPERM,
            Some(2),
            2,
            "io_uring_disabled = 2",
            "io_uring_disabled=0",
        ),
        (EPERM, Some(1), 0, "io_uring_disabled = 1", "io_uring_group"),
        (EPERM, Some(0), 0, "security policy", "audit log"),
        (ENOSYS, None, 0, "has no io_uring", "CONFIG_IO_URING=y"),
        (ENOMEM, Some(0), 0, "RLIMIT_MEMLOCK", "ulimit -l"),
        (EINVAL, Some(0), 0, "reason of its own", "6.1 or later"),
    ] {
        let report = refused(error, disabled, seccomp);
        assert_eq!(faults(&report), [("io_uring", State::Missing)]);
        // Epoll stands in where io_uring is not to be had; a lack of memory is to be mended.
        let stands_in = error != ENOMEM;
        assert_eq!(report.minimum_met(), stands_in);
        assert_eq!(report.driver == IoDriver::Epoll, stands_in);
        check_remedy(&report, "io_uring", meaning, remedy);
        assert!(!report.features.msg_ring);
        assert_eq!(report.finding("operations"), None, "it could not be asked");
    }
}

#[test]
fn a_planned_ring_that_does_not_fit_is_told_from_no_ring_at_all() {
    let report = judge(|raw, _| raw.ring.as_mut().unwrap().planned = Err(ENOMEM));
    assert_eq!(faults(&report), [("io_uring", State::Missing)]);
    let finding = report.finding("io_uring").unwrap();
    assert!(finding.detail.contains("a small ring can be made"));
    check_remedy(&report, "io_uring", "RLIMIT_MEMLOCK", "ulimit -l");
}

#[test]
fn what_could_not_be_tried_for_want_of_memory_is_not_blamed_on_the_kernel() {
    let report = judge(|raw, _| raw.ring.as_mut().unwrap().defer_taskrun = Err(ENOMEM));
    assert_eq!(faults(&report), [("defer_taskrun", State::Degraded)]);
    check_remedy(&report, "defer_taskrun", "in batches", "ulimit -l");
}

#[test]
fn an_old_kernel_is_refused_for_what_it_lacks() {
    let report = judge(|raw, _| {
        raw.release = "5.15.0-91-generic".into();
        let ring = raw.ring.as_mut().unwrap();
        for flag in [
            &mut ring.planned,
            &mut ring.single_issuer,
            &mut ring.defer_taskrun,
            &mut ring.taskrun_flag,
            &mut ring.coop_taskrun,
            &mut ring.registered_ring_fd,
            &mut ring.buf_ring,
            &mut ring.incremental_buf_ring,
        ] {
            *flag = Err(EINVAL);
        }
        for operation in &mut ring.operations {
            operation.1 = !["msg_ring", "socket", "send_zc"].contains(&operation.0);
        }
    });
    let (missing, degraded) = (State::Missing, State::Degraded);
    assert_eq!(
        faults(&report),
        [
            ("kernel", missing),
            ("io_uring", missing),
            ("single_issuer", missing),
            ("defer_taskrun", missing),
            ("taskrun_flag", missing),
            ("coop_taskrun", degraded),
            ("registered_ring_fd", degraded),
            ("multishot_recv", missing),
            ("multishot_accept", missing),
            ("msg_ring", degraded),
            ("socket", degraded),
            ("send_zc", degraded),
            ("provided_buffers", missing),
            ("incremental_buffers", degraded),
        ]
    );
    check_remedy(&report, "kernel", "needs 6.1", "6.1 or later");
    assert_eq!(report.driver, IoDriver::Epoll);
    assert!(report.to_string().contains("runs here by epoll"));
}

#[test]
fn the_minimum_kernel_is_enough_and_features_beyond_it_degrade() {
    let report = judge(|raw, _| {
        raw.release = "6.1.0".into();
        raw.ring.as_mut().unwrap().incremental_buf_ring = Err(EINVAL);
        raw.cachestat = Err(ENOSYS);
    });
    let degraded = State::Degraded;
    assert_eq!(
        faults(&report),
        [("incremental_buffers", degraded), ("cachestat", degraded)]
    );
    assert!(report.minimum_met());
    assert!(!report.features.incremental_buffers && !report.features.cachestat);
    assert!(report.features.nowait_reads);
    assert!(report.to_string().contains("with the reservations above"));
}

#[test]
fn an_essential_operation_that_is_lacking_is_named() {
    let report = judge(|raw, _| {
        let operations = &mut raw.ring.as_mut().unwrap().operations;
        operations.retain(|(name, _)| *name != "sendmsg");
    });
    assert_eq!(faults(&report), [("operations", State::Missing)]);
    assert!(
        report
            .finding("operations")
            .unwrap()
            .detail
            .contains("sendmsg")
    );
}

#[test]
fn locked_memory_is_counted_ring_by_ring() {
    // 256 and 512 entries: 7 pages on the kernel, as measured on Linux 6.18 by
    // making rings until ENOMEM: 36 fit into 1 MiB.
    let needs = |needs: &mut Needs, shards| {
        needs.shards = shards;
        (needs.sq_entries, needs.cq_entries) = (256, 512);
        needs.buf_ring_entries = 256;
    };
    // Two such rings (one is the runtime's) and a page of buffer entries.
    let shard_bytes = (7 + 7 + 1) * 4096;
    for (shards, spare, expected) in [(1, 0, State::Ok), (4, 0, State::Ok), (4, 1, State::Missing)]
    {
        let report = judge(|raw, wanted| {
            needs(wanted, shards);
            raw.limits.memlock = Some(u64::from(shards) * shard_bytes - spare);
        });
        assert_eq!(
            report.finding("memlock").unwrap().state,
            expected,
            "{shards}"
        );
    }
    let report = judge(|raw, wanted| {
        needs(wanted, 4);
        raw.limits.memlock = Some(65_536);
    });
    assert!(!report.minimum_met());
    check_remedy(&report, "memlock", "1 of 4 shards", "`ulimit -l 240`");
    check_remedy(&report, "memlock", "6.14", "LimitMEMLOCK=245760");
    let detail = &report.finding("memlock").unwrap().detail;
    assert_eq!(detail, "limit 64 KiB; shards: 4 x 61440 B = 240 KiB");
}

#[test]
fn locked_memory_is_no_matter_where_it_is_not_limited() {
    let tiny = |change: fn(&mut RawProbe)| {
        let report = judge(|raw, _| {
            raw.limits.memlock = Some(4096);
            change(raw);
        });
        report.finding("memlock").unwrap().state
    };
    assert_eq!(tiny(|_| {}), State::Missing);
    assert_eq!(tiny(|raw| raw.limits.memlock = None), State::Ok);
    assert_eq!(tiny(|raw| raw.limits.ipc_lock = true), State::Ok);
    assert_eq!(tiny(|raw| raw.release = "6.12.1".into()), State::Ok);
    assert_eq!(tiny(|raw| raw.release = "6.14.0".into()), State::Missing);
}

#[test]
fn too_few_descriptors_say_how_many_connections_fit() {
    let with = |limit, hard| {
        judge(move |raw, needs| {
            needs.connections = 10_000;
            raw.limits.nofile = Some(limit);
            raw.limits.nofile_max = Some(hard);
        })
    };
    // 32 of the process, 8 of the one shard.
    assert_eq!(faults(&with(10_040, 10_040)), []);
    let report = with(1024, 524_288);
    assert_eq!(faults(&report), [("nofile", State::Degraded)]);
    assert!(report.minimum_met());
    check_remedy(
        &report,
        "nofile",
        "984 connections fit",
        "`ulimit -n 10040`",
    );
    let report = with(1024, 4096);
    check_remedy(
        &report,
        "nofile",
        "984",
        "hard limit of 4096 must be raised",
    );
    let report = with(39, 39);
    assert_eq!(faults(&report), [("nofile", State::Missing)]);
}

#[test]
fn more_shards_than_processors_are_pointed_out() {
    let report = judge(|raw, needs| {
        (needs.shards, needs.spinning) = (4, true);
        raw.cpus.quota = Some(2.0);
    });
    assert_eq!(faults(&report), [("processors", State::Degraded)]);
    check_remedy(
        &report,
        "processors",
        "spinning is turned off",
        "at most 2 shards",
    );
}

#[test]
fn network_settings_are_held_against_what_is_wanted() {
    let report = judge(|raw, _| {
        raw.tcp.somaxconn = Some(128);
        raw.tcp.tcp_wmem_max = Some(1 << 20);
    });
    let degraded = State::Degraded;
    assert_eq!(
        faults(&report),
        [("backlog", degraded), ("socket_buffers", degraded)]
    );
    check_remedy(&report, "backlog", "dropped", "net.core.somaxconn=4096");
    let tuned = "sysctl -w net.ipv4.tcp_wmem=\"4096 16384 4194304\"";
    check_remedy(&report, "socket_buffers", "4096 KiB", tuned);

    let report = judge(|_, needs| needs.socket_buffer_len = Some(1 << 20));
    let explicit = "net.core.rmem_max=\"1048576\"; sysctl -w net.core.wmem_max";
    check_remedy(&report, "socket_buffers", "1024 KiB", explicit);
}

#[test]
fn kernel_releases_are_read() {
    let version = |major, minor| Some(KernelVersion { major, minor });
    for (release, expected) in [
        ("6.18.44-fc-v470", version(6, 18)),
        ("6.1", version(6, 1)),
        ("5.15.153.1-microsoft-standard-WSL2", version(5, 15)),
        ("6.12-rc3", version(6, 12)),
        ("", None),
        ("linux", None),
        ("6", None),
    ] {
        assert_eq!(KernelVersion::parse(release), expected, "{release:?}");
    }
    let report = judge(|raw, _| raw.release = "mystery".into());
    assert_eq!(faults(&report), [("kernel", State::Degraded)]);
}

/// The engine's own tests need rings, so wherever they run the probe must say
/// that the engine can run.
#[test]
fn the_real_probe_agrees_with_a_ring_that_is_really_made() {
    let needs = Needs::default();
    let raw = RawProbe::gather(&needs);
    let report = ProbeReport::judge(&raw, &needs);
    let made = io_uring::IoUring::new(8);
    assert_eq!(raw.ring.is_ok(), made.is_ok(), "{report}");
    assert_eq!(report.kernel, raw.kernel());
    if made.is_ok() && report.kernel >= Some(KERNEL_MIN) {
        assert_eq!(report.finding("operations").unwrap().state, State::Ok);
        assert_eq!(report.finding("defer_taskrun").unwrap().state, State::Ok);
        assert_eq!(report.finding("provided_buffers").unwrap().state, State::Ok);
    }
    assert!(!raw.release.is_empty());
    assert!(raw.tcp.congestion_available.is_some());
}
