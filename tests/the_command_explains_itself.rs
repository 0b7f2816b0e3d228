//! Help that teaches, errors that name the argument, a diagnosis and a demonstration that programs
//! can read.
#![cfg(feature = "cli")]

use std::process::{Command, Output};

use serde_json::Value;

fn ringrail(args: &[&str]) -> Output {
    Command::new(assert_cmd::cargo::cargo_bin!("ringrail"))
        .args(args)
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn every_help_says_what_it_does_with_examples_and_exit_codes() {
    for (command, says) in [
        (
            "serve",
            ["listening on rail://", "SIGTERM", "symbolic links"],
        ),
        (
            "shuffle-service",
            ["spark-defaults.conf", "SPARK_LOCAL_DIRS", "--metrics-addr"],
        ),
        ("fetch", ["rail://host:7337", ".ringrail-fetch", "BLAKE3"]),
        ("doctor", ["io_uring", "mend", "--json"]),
        ("demo", ["byte for byte", "--size 64MiB", "Unix-domain"]),
        ("conf", ["conf explain", "conf check", "properties files"]),
    ] {
        let output = ringrail(&[command, "--help"]);
        assert!(output.status.success());
        let help = stdout(&output);
        // Lines are wrapped to the terminal's width.
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for text in says.into_iter().chain(["Examples:", "Exit codes:"]) {
            assert!(
                help.contains(text),
                "{command} --help lacks `{text}`:\n{help}"
            );
        }
    }
    let all = stdout(&ringrail(&["--help"]));
    for command in [
        "serve",
        "shuffle-service",
        "fetch",
        "doctor",
        "demo",
        "conf",
    ] {
        assert!(all.contains(&format!("ringrail {command}")), "{all}");
    }
}

#[test]
fn wrong_arguments_are_named_with_what_to_write() {
    for (args, says) in [
        (
            &["fetch", "http://host/", "-o", "x"][..],
            "rail://HOST:PORT",
        ),
        (&["fetch", "rail://host", "-o", "x"], "lacks a port"),
        (&["fetch", "rail://host:1/../x", "-o", "x"], "`..`"),
        (&["fetch", "rail://host:1"], "--output"),
        (
            &["fetch", "rail://host:1", "-o", "x", "--chunk", "many"],
            "write 4096, 64KiB",
        ),
        (
            &["fetch", "rail://host:1", "-o", "x", "--chunk", "5000"],
            "a power of two",
        ),
        (
            &["fetch", "rail://host:1", "-o", "x", "--connections", "0"],
            "1..=256",
        ),
        (&["serve"], "DIR"),
        (&["nothing"], "nothing"),
    ] {
        let output = ringrail(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(
            stderr(&output).contains(says),
            "{args:?}: {}",
            stderr(&output)
        );
    }
    for (args, says) in [
        (&["serve", ".", "--listen", "7337"][..], "HOST:PORT"),
        (&["serve", ".", "--listen", "127.0.0.1:99999"], "0 to 65535"),
        (&["--log", "=/", "doctor"], "--log"),
    ] {
        let output = ringrail(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(
            stderr(&output).contains(says),
            "{args:?}: {}",
            stderr(&output)
        );
    }
}

#[test]
fn the_doctor_can_be_read_by_programs() {
    let output = ringrail(&["doctor", "--json", "--shards", "1"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.success(), json["ok"].as_bool().unwrap());
    let findings = json["findings"].as_array().unwrap();
    assert!(findings.iter().any(|finding| finding["name"] == "io_uring"));
    for finding in findings {
        let mended = finding["remedy"].is_string();
        assert_eq!(
            mended,
            finding["state"] != "ok",
            "what is not well has a remedy: {finding}"
        );
        assert!(!finding["meaning"].as_str().unwrap().is_empty());
    }
    let text = stdout(&ringrail(&["doctor", "--shards", "1"]));
    assert!(
        text.contains("io_uring") && text.contains("kernel"),
        "{text}"
    );
}

#[test]
fn the_demonstration_works_and_can_be_read_by_programs() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().to_str().unwrap();
    for more in [&[][..], &["--unix", "--no-verify"]] {
        let mut args = vec![
            "demo", "--size", "8MiB", "--pings", "50", "--json", "--dir", dir,
        ];
        args.extend(more);
        let output = ringrail(&args);
        assert!(output.status.success(), "{}", stderr(&output));
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(json["bytes"], 8 << 20);
        assert_eq!(json["identical"], true);
        assert_eq!(json["rpc_on_shard"]["requests"], 50);
        assert!(json["rpc_from_thread"]["p50_us"].as_f64().unwrap() > 0.0);
    }
    assert_eq!(
        std::fs::read_dir(temp.path()).unwrap().count(),
        0,
        "it leaves nothing behind"
    );
    let text = stdout(&ringrail(&[
        "demo", "--size", "1MiB", "--pings", "10", "--dir", dir,
    ]));
    assert!(
        text.contains("every byte as it was") && text.contains("GB/s"),
        "{text}"
    );
}

#[test]
fn an_interrupted_demonstration_leaves_nothing_behind() {
    use rustix::process::{Pid, Signal, kill_process};
    let temp = tempfile::tempdir().unwrap();
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("ringrail"))
        .args(["demo", "--size", "512MiB", "--dir"])
        .arg(temp.path())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let small = || {
        let demo = std::fs::read_dir(temp.path())
            .unwrap()
            .next()?
            .unwrap()
            .path();
        std::fs::read_dir(demo.join("served/small")).ok()?.next()
    };
    while small().is_none() {
        assert!(child.try_wait().unwrap().is_none());
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("interrupted"),
        "{}",
        stderr(&output)
    );
    assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 0);
}
