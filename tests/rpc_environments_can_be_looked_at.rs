//! `ringrail rpc` against an environment of this process.
#![cfg(feature = "cli")]

use std::process::Output;

use assert_cmd::Command;
use ringrail::rpc::{Message, RpcEnv, endpoint_fn};
use rkyv::{Archive, Deserialize, Serialize};
use serde_json::Value;

#[derive(Archive, Serialize, Deserialize)]
struct Count;

impl Message for Count {
    type Reply = u64;
    const NAME: &'static str = "test.Count";
}

fn env() -> (RpcEnv, String) {
    let env = RpcEnv::builder("looked-at")
        .shards(1)
        .build()
        .expect("an env");
    let mut count = 0;
    let counter = endpoint_fn::<Count>(move |_, call| {
        count += 1;
        call.reply(count);
        Ok(())
    });
    let counter = env.setup_endpoint("counter", counter).expect("a counter");
    for asked in 1..=5 {
        assert_eq!(counter.ask_blocking(Count).expect("a reply"), asked);
    }
    let url = env.address().expect("it listens").url();
    (env, url)
}

fn rpc(args: &[&str]) -> Output {
    let mut command = Command::cargo_bin("ringrail").expect("the command");
    command.arg("rpc").args(args).output().expect("it runs")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn endpoints_are_listed_with_what_they_handled() {
    let (_env, url) = env();
    let listed = rpc(&["list", &url, "--json"]);
    assert!(listed.status.success());
    let document = json(&listed);
    assert_eq!(document["name"], "looked-at");
    let endpoints = document["endpoints"].as_array().expect("a list");
    let counter = endpoints.iter().find(|it| it["name"] == "counter");
    assert_eq!(counter.expect("it is there")["handled"], 5);
    let text = String::from_utf8(rpc(&["list", &url]).stdout).expect("text");
    assert!(
        text.contains("counter") && text.contains("endpoint-verifier"),
        "{text}"
    );
}

#[test]
fn the_exit_code_says_whether_an_endpoint_exists() {
    let (_env, url) = env();
    let named = |name: &str| url.replace("rail://", &format!("rail://{name}@"));
    assert_eq!(rpc(&["check", &named("counter")]).status.code(), Some(0));
    let missing = rpc(&["check", &named("nobody"), "--json"]);
    assert_eq!(missing.status.code(), Some(1));
    assert_eq!(json(&missing)["exists"], false);
    let nobody = rpc(&["check", "rail://x@127.0.0.1:1"]);
    assert_eq!(nobody.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("127.0.0.1:1"));
    assert_eq!(rpc(&["check", "no address"]).status.code(), Some(2));
}

#[test]
fn pings_are_counted_and_timed() {
    let (_env, url) = env();
    let pinged = rpc(&["ping", &url, "--count", "20", "--size", "1000", "--json"]);
    assert!(pinged.status.success());
    let report = json(&pinged);
    assert_eq!(
        (&report["sent"], &report["answered"]),
        (&20.into(), &20.into())
    );
    let at = |name: &str| report[name].as_f64().expect("a number");
    assert!(0.0 < at("min_us") && at("min_us") <= at("p50_us") && at("p50_us") <= at("max_us"));
    assert_eq!(rpc(&["ping", "rail://127.0.0.1:1"]).status.code(), Some(4));
    assert_eq!(rpc(&["ping", &url, "--count", "0"]).status.code(), Some(2));
}

#[test]
fn what_is_handled_meanwhile_is_seen() {
    let (env, url) = env();
    let counter = env.endpoint_ref("counter").expect("it is there");
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let asking = std::thread::spawn(move || {
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            counter.ask_blocking(Count).expect("a reply");
        }
    });
    let watched = rpc(&[
        "watch",
        &url,
        "--interval-ms",
        "50",
        "--count",
        "3",
        "--json",
    ]);
    drop(stop);
    asking.join().expect("it asked");
    assert!(watched.status.success());
    let looks = String::from_utf8(watched.stdout).expect("text");
    let looks: Vec<Value> = looks
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(looks.len(), 3);
    let handled = |look: &Value| look["endpoints"]["counter"]["handled"].as_u64();
    assert!(handled(&looks[0]) < handled(&looks[2]), "{looks:?}");
    assert!(looks[2]["endpoints"]["counter"]["handled_per_s"].as_f64() > Some(0.0));
}
