//! A `Conf` is set, read by name and warned of as Spark sets, reads and warns of a `SparkConf`.

#[path = "support/events.rs"]
mod events;

use ringrail::conf::keys::{self, block, rpc, transport};
use ringrail::conf::{Alternate, Conf, ConfError, Notice, is_executor_startup_key};

use events::warnings_of;

fn conf(pairs: &[(&str, &str)]) -> Conf {
    pairs.iter().copied().collect()
}

// ---- setting and getting ----

#[test]
fn what_is_set_is_got_and_what_is_not_is_an_error_naming_the_key() {
    let mut conf = Conf::new();
    conf.set("a", "1").set("b", "2").set("a", "3");
    assert_eq!(conf.get("a").unwrap(), "3");
    assert_eq!(conf.get_or("c", "x").unwrap(), "x");
    assert_eq!(conf.get_option("c").unwrap(), None);
    let error = conf.get("c").unwrap_err();
    assert!(
        matches!(&error, ConfError::NotSet { key } if key == "c"),
        "{error:?}"
    );
    conf.set_if_missing("a", "9")
        .set_if_missing("d", "9")
        .remove("b")
        .remove("none");
    assert_eq!(
        conf.get_all(),
        [("a", "3"), ("d", "9")].map(|(key, value)| (key.to_owned(), value.to_owned()))
    );
    assert!(conf.contains("a") && !conf.contains("b"));
    conf.set_all([("p.x", "1"), ("p.y", "2"), ("q", "3")]);
    assert_eq!(
        conf.get_all_with_prefix("p."),
        [("x", "1"), ("y", "2")].map(|(key, value)| (key.to_owned(), value.to_owned()))
    );
}

#[test]
fn a_clone_has_its_own_values_and_warns_of_nothing() {
    let mut first = conf(&[("spark.akka.askTimeout", "1")]);
    let (mut second, warnings) = warnings_of(|| first.clone());
    assert_eq!(warnings, Vec::<String>::new());
    first.set("x", "first");
    second.set("x", "second");
    assert_eq!(first.get("x").unwrap(), "first");
    assert_eq!(second.get("x").unwrap(), "second");
    assert_eq!(second.get("spark.rpc.askTimeout").unwrap(), "1");
}

#[test]
fn a_configuration_is_read_from_many_threads() {
    fn shared<T: Send + Sync + 'static>(value: T) -> T {
        value
    }
    let conf = shared(conf(&[("spark.rpc.askTimeout", "3s")]));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(conf.get_entry(&rpc::ASK_TIMEOUT).unwrap().as_secs(), 3));
        }
    });
}

#[test]
fn applications_set_by_name_what_spark_sets() {
    let mut conf = Conf::new();
    conf.set_master("spark://h:7077")
        .set_app_name("app")
        .set_jars(["a.jar", "b.jar"]);
    conf.set_spark_home("/opt/spark")
        .set_executor_env("PATH", "/bin");
    assert_eq!(conf.get("spark.master").unwrap(), "spark://h:7077");
    assert_eq!(conf.get("spark.app.name").unwrap(), "app");
    assert_eq!(conf.get("spark.jars").unwrap(), "a.jar,b.jar");
    assert_eq!(conf.get("spark.home").unwrap(), "/opt/spark");
    assert_eq!(
        conf.get_executor_env(),
        [("PATH".to_owned(), "/bin".to_owned())]
    );
    assert!(conf.get_app_id().is_err());
}

// ---- alternates ----

#[test]
fn the_first_old_key_that_is_set_counts_in_the_order_of_the_table() {
    const NEW: &str = "spark.history.fs.update.interval";
    const OLD: [&str; 3] = [
        "spark.history.fs.update.interval.seconds",
        "spark.history.fs.updateInterval",
        "spark.history.updateInterval",
    ];
    let mut conf = Conf::new();
    assert!(!conf.contains(NEW));
    // From the last of the row to the first, each hides those before.
    for (value, old) in OLD.iter().enumerate().rev() {
        conf.set(*old, value.to_string());
        assert!(conf.contains(NEW));
        assert_eq!(conf.get(NEW).unwrap(), value.to_string());
        assert_eq!(conf.get_time_as_seconds(NEW).unwrap(), value as i64);
    }
    conf.set(NEW, "42");
    assert_eq!(conf.get(NEW).unwrap(), "42");
    // A value set under an old key stays there; other old keys do not see it.
    assert_eq!(conf.get(OLD[2]).unwrap(), "2");
    conf.remove(NEW).remove(OLD[0]);
    assert_eq!(conf.get(NEW).unwrap(), "1");
}

#[test]
fn set_if_missing_looks_at_the_key_itself_alone() {
    let mut conf = conf(&[("spark.akka.frameSize", "10")]);
    conf.set_if_missing("spark.rpc.message.maxSize", "20");
    assert_eq!(conf.get("spark.rpc.message.maxSize").unwrap(), "20");
}

/// The tables that Spark 2.4 has, written down here once more: new key, old key, since, what is set
/// under the old key and what the new one then has.
const TABLE: [(&str, &str, &str, &str, &str); 28] = [
    (
        "spark.rpc.numRetries",
        "spark.akka.num.retries",
        "1.4",
        "5",
        "5",
    ),
    (
        "spark.rpc.retry.wait",
        "spark.akka.retry.wait",
        "1.4",
        "5",
        "5",
    ),
    (
        "spark.rpc.askTimeout",
        "spark.akka.askTimeout",
        "1.4",
        "5",
        "5",
    ),
    (
        "spark.rpc.lookupTimeout",
        "spark.akka.lookupTimeout",
        "1.4",
        "5",
        "5",
    ),
    (
        "spark.rpc.message.maxSize",
        "spark.akka.frameSize",
        "1.6",
        "5",
        "5",
    ),
    (
        "spark.reducer.maxSizeInFlight",
        "spark.reducer.maxMbInFlight",
        "1.4",
        "5",
        "5",
    ),
    (
        "spark.maxRemoteBlockSizeFetchToMem",
        "spark.reducer.maxReqSizeShuffleToMem",
        "2.3",
        "5",
        "5",
    ),
    (
        "spark.shuffle.file.buffer",
        "spark.shuffle.file.buffer.kb",
        "1.4",
        "5",
        "5",
    ),
    (
        "spark.kryoserializer.buffer",
        "spark.kryoserializer.buffer.mb",
        "1.4",
        "0.064",
        "64k",
    ),
    (
        "spark.kryoserializer.buffer.max",
        "spark.kryoserializer.buffer.max.mb",
        "1.4",
        "5",
        "5",
    ),
    (
        "spark.io.compression.snappy.blockSize",
        "spark.io.compression.snappy.block.size",
        "1.4",
        "5",
        "5",
    ),
    (
        "spark.io.compression.lz4.blockSize",
        "spark.io.compression.lz4.block.size",
        "1.4",
        "5",
        "5",
    ),
    (
        "spark.executor.userClassPathFirst",
        "spark.files.userClassPathFirst",
        "1.3",
        "true",
        "true",
    ),
    (
        "spark.executor.logs.rolling.maxSize",
        "spark.executor.logs.rolling.size.maxBytes",
        "1.4",
        "5",
        "5",
    ),
    (
        "spark.history.fs.update.interval",
        "spark.history.fs.update.interval.seconds",
        "1.4",
        "5",
        "5",
    ),
    (
        "spark.history.fs.update.interval",
        "spark.history.fs.updateInterval",
        "1.3",
        "5",
        "5",
    ),
    (
        "spark.history.fs.update.interval",
        "spark.history.updateInterval",
        "1.3",
        "5",
        "5",
    ),
    (
        "spark.history.fs.cleaner.interval",
        "spark.history.fs.cleaner.interval.seconds",
        "1.4",
        "5",
        "5",
    ),
    (
        "spark.history.fs.cleaner.maxAge",
        "spark.history.fs.cleaner.maxAge.seconds",
        "1.4",
        "5",
        "5",
    ),
    (
        "spark.yarn.am.waitTime",
        "spark.yarn.applicationMaster.waitTries",
        "1.3",
        "5",
        "50s",
    ),
    (
        "spark.yarn.max.executor.failures",
        "spark.yarn.max.worker.failures",
        "1.5",
        "5",
        "5",
    ),
    ("spark.yarn.jars", "spark.yarn.jar", "2.0", "x", "x"),
    (
        "spark.yarn.access.hadoopFileSystems",
        "spark.yarn.access.namenodes",
        "2.2",
        "x",
        "x",
    ),
    (
        "spark.streaming.fileStream.minRememberDuration",
        "spark.streaming.minRememberDuration",
        "1.5",
        "5",
        "5",
    ),
    (
        "spark.memory.offHeap.enabled",
        "spark.unsafe.offHeap",
        "1.6",
        "true",
        "true",
    ),
    (
        "spark.scheduler.listenerbus.eventqueue.capacity",
        "spark.scheduler.listenerbus.eventqueue.size",
        "2.3",
        "5",
        "5",
    ),
    (
        "spark.driver.memoryOverhead",
        "spark.yarn.driver.memoryOverhead",
        "2.3",
        "5",
        "5",
    ),
    (
        "spark.executor.memoryOverhead",
        "spark.yarn.executor.memoryOverhead",
        "2.3",
        "5",
        "5",
    ),
];

#[test]
fn every_old_key_of_spark_is_found_under_its_new_one_and_warned_of_once() {
    for (new, old, since, value, means) in TABLE {
        let (conf, warnings) = warnings_of(|| conf(&[(old, value)]));
        assert_eq!(conf.get(new).unwrap(), means, "{old}");
        assert!(conf.contains(new), "{old}");
        assert_eq!(
            conf.get(old).unwrap(),
            value,
            "it is stored under its own name"
        );
        assert_eq!(warnings.len(), 1, "{old}: {warnings:?}");
        // This one stands in both tables, and the table of the deprecated comes first.
        if old == "spark.kryoserializer.buffer.mb" {
            assert!(warnings[0].contains("Please use spark.kryoserializer.buffer instead"));
            continue;
        }
        let text = format!(
            "The configuration key '{old}' has been deprecated as of Spark {since} and may be \
             removed in the future. Please use the new key '{new}' instead."
        );
        assert_eq!(warnings[0], text);
    }
}

#[test]
fn an_old_value_that_cannot_be_translated_is_an_error_of_the_new_key() {
    for (old, new, bad) in [
        (
            "spark.kryoserializer.buffer.mb",
            "spark.kryoserializer.buffer",
            "much",
        ),
        (
            "spark.yarn.applicationMaster.waitTries",
            "spark.yarn.am.waitTime",
            "5s",
        ),
        (
            "spark.yarn.applicationMaster.waitTries",
            "spark.yarn.am.waitTime",
            "9223372036854775807",
        ),
    ] {
        let conf = conf(&[(old, bad)]);
        let error = conf.get(new).unwrap_err().to_string();
        let text = format!(
            "Illegal value for config key {new} (set as {old}): For input string: \"{bad}\""
        );
        assert_eq!(error, text);
    }
    let conf = conf(&[("spark.kryoserializer.buffer.mb", "1.5")]);
    assert_eq!(
        conf.get_size_as_kb("spark.kryoserializer.buffer").unwrap(),
        1500
    );
}

#[test]
fn sparks_names_set_ringrails_keys_old_ones_too() {
    for (key, value) in [
        ("ringrail.rpc.askTimeout", 1),
        ("spark.rpc.askTimeout", 2),
        ("spark.akka.askTimeout", 3),
    ] {
        let conf = conf(&[(key, &value.to_string())]);
        assert_eq!(conf.get_entry(&rpc::ASK_TIMEOUT).unwrap().as_secs(), value);
    }
    let all = conf(&[
        ("spark.akka.askTimeout", "3"),
        ("spark.rpc.askTimeout", "2"),
        ("spark.network.timeout", "4"),
    ]);
    assert_eq!(all.get_entry(&rpc::ASK_TIMEOUT).unwrap().as_secs(), 2);
    assert_eq!(all.get_entry(&rpc::LOOKUP_TIMEOUT).unwrap().as_secs(), 4);
    // A bare number has the unit that it has in Spark.
    let sizes = conf(&[
        ("spark.akka.frameSize", "7"),
        ("spark.reducer.maxMbInFlight", "9"),
    ]);
    assert_eq!(sizes.get_entry(&rpc::MESSAGE_MAX_SIZE).unwrap(), 7 << 20);
    assert_eq!(sizes.get_entry(&transport::MAX_RPC_LEN).unwrap(), 7 << 20);
    assert_eq!(
        sizes.get_entry(&block::MAX_BYTES_IN_FLIGHT).unwrap(),
        9 << 20
    );
}

#[test]
fn setting_sparks_current_names_warns_of_nothing() {
    let current: Vec<_> = keys::all()
        .iter()
        .flat_map(|family| family.entries)
        .filter(|entry| entry.deprecated().is_none())
        .collect();
    let (_, warnings) = warnings_of(|| {
        let mut conf = Conf::new();
        for entry in &current {
            conf.set(entry.key(), "1");
        }
    });
    assert_eq!(warnings, Vec::<String>::new());
}

#[test]
fn names_never_lead_in_a_circle_and_old_ones_belong_to_one_key() {
    let mut owners = std::collections::HashMap::new();
    let old = TABLE.map(|(new, old, ..)| (new, old));
    for (new, old) in old {
        assert!(owners.insert(old, new).is_none(), "{old}");
    }
    for entry in keys::all().iter().flat_map(|family| family.entries) {
        let mut keys = vec![entry.key()];
        let mut next = 0;
        while let Some(key) = keys.get(next) {
            let others = keys::find(key).map_or(&[][..], |entry| entry.alternates());
            keys.extend(others.iter().map(|other: &Alternate| other.key));
            next += 1;
            assert!(next < 100, "{} leads to {keys:?}", entry.key());
        }
    }
}

// ---- warnings ----

#[test]
fn a_key_that_was_given_up_is_warned_of_once_whatever_else_is_wrong_with_it() {
    for (key, since) in [
        ("spark.cache.class", "0.8"),
        ("spark.yarn.user.classpath.first", "1.3"),
        ("spark.kryoserializer.buffer.mb", "1.4"),
        ("spark.rpc", "2.0"),
        ("spark.scheduler.executorTaskBlacklistTime", "2.1.0"),
        ("spark.yarn.am.port", "2.0.0"),
        ("spark.executor.port", "2.0.0"),
        ("spark.shuffle.service.index.cache.entries", "2.3.0"),
        ("spark.yarn.credentials.file.retention.count", "2.4.0"),
        ("spark.yarn.credentials.file.retention.days", "2.4.0"),
    ] {
        let (conf, warnings) = warnings_of(|| conf(&[(key, "x")]));
        let text = format!(
            "The configuration key '{key}' has been deprecated as of Spark {since} and may be \
             removed in the future. "
        );
        assert_eq!(warnings.len(), 1, "{key}: {warnings:?}");
        assert!(warnings[0].starts_with(&text), "{warnings:?}");
        assert_eq!(conf.get(key).unwrap(), "x", "it is stored all the same");
    }
}

#[test]
fn akkas_keys_are_tested_for_last() {
    for key in ["spark.akka.threads", "spark.ssl.akka.enabled"] {
        let (_, warnings) = warnings_of(|| conf(&[(key, "4")]));
        let text = format!(
            "The configuration key {key} is not supported any more because Spark doesn't use Akka \
             since 2.0"
        );
        assert_eq!(warnings, [text]);
    }
    // This one is Akka's too, and has a new name.
    let notice = Notice::of("spark.akka.frameSize").unwrap();
    assert!(
        notice.to_string().contains("'spark.rpc.message.maxSize'"),
        "{notice}"
    );
}

#[test]
fn every_set_warns_set_if_missing_only_when_it_sets() {
    let ((), warnings) = warnings_of(|| {
        let mut conf = Conf::new();
        conf.set("spark.rpc", "netty").set("spark.rpc", "akka");
        conf.set_if_missing("spark.rpc", "x")
            .set_if_missing("spark.akka.threads", "1");
    });
    assert_eq!(warnings.len(), 3, "{warnings:?}");
}

#[test]
fn an_unknown_key_of_ringrail_is_warned_of_with_the_nearest_that_there_is() {
    for (wrong, right) in [
        ("ringrail.rpc.askTimeOut", "ringrail.rpc.askTimeout"),
        ("ringrail.rpc.aksTimeout", "ringrail.rpc.askTimeout"),
        (
            "ringrail.transport.poolBuget",
            "ringrail.transport.poolBudget",
        ),
        (
            "ringrail.transport.sendbuffer",
            "ringrail.transport.sendBuffer",
        ),
        ("ringrail.bloc.chunkLen", "ringrail.block.chunkLen"),
    ] {
        let (conf, warnings) = warnings_of(|| conf(&[(wrong, "1")]));
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(
            warnings[0].contains(&format!("did you mean '{right}'?")),
            "{warnings:?}"
        );
        assert_eq!(conf.get(wrong).unwrap(), "1");
    }
    let nonsense = Notice::of("ringrail.x").unwrap();
    assert!(
        matches!(&nonsense, Notice::Unknown { nearest: None, .. }),
        "{nonsense:?}"
    );
    assert_eq!(Notice::of("spark.whatever"), None, "Spark has many keys");
    assert_eq!(Notice::of("my.own"), None);
}

// ---- executors ----

#[test]
fn executors_get_what_they_need_to_connect_and_no_secrets() {
    for (key, needed) in [
        ("spark.authenticate", true),
        ("spark.authenticate.secret", false),
        ("spark.rpc.askTimeout", true),
        ("spark.network.timeout", true),
        ("spark.ssl.rpc.protocol", true),
        ("spark.ssl.rpc.keyStorePassword", false),
        ("spark.driver.port", true),
        ("spark.port.maxRetries", true),
        ("ringrail.rpc.askTimeout", true),
        ("spark.app.name", false),
    ] {
        assert_eq!(is_executor_startup_key(key), needed, "{key}");
    }
    let startup =
        conf(&[("spark.app.name", "x"), ("spark.rpc.askTimeout", "1s")]).executor_startup();
    assert_eq!(
        startup.get_all(),
        [("spark.rpc.askTimeout".to_owned(), "1s".to_owned())]
    );
}
