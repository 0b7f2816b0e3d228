//! Values are read in their type and unit, checked, replaced where they refer to others, kept secret
//! where they are; and whole configurations are refused that cannot be used.

use std::time::Duration;

use proptest::prelude::*;
use ringrail::conf::keys::{self, network, rpc, spark, transport};
use ringrail::conf::{
    ByteUnit, Conf, ConfError, ConfigEntry, Problem, REDACTED, TimeUnit, entry, format_duration,
    format_size, parse_bytes, parse_duration, parse_size, parse_time, transport_conf,
};

fn conf(pairs: &[(&str, &str)]) -> Conf {
    pairs.iter().copied().collect()
}

// ---- numbers, times, sizes ----

#[test]
fn numbers_are_read_or_refused_by_key() {
    let conf = conf(&[
        ("int", "-2147483648"),
        ("long", "9223372036854775807"),
        ("double", " 0.5 "),
        ("yes", "TRUE"),
        ("no", "false"),
        ("bad", "1x"),
        ("space", " 1"),
    ]);
    assert_eq!(conf.get_int("int", 0).unwrap(), i32::MIN);
    assert_eq!(conf.get_int("none", 7).unwrap(), 7);
    assert_eq!(conf.get_long("long", 0).unwrap(), i64::MAX);
    assert!(conf.get_int("long", 0).is_err());
    assert_eq!(conf.get_double("double", 0.0).unwrap(), 0.5);
    assert!(conf.get_bool("yes", false).unwrap());
    assert!(!conf.get_bool("no", true).unwrap());
    for error in [
        conf.get_int("bad", 0).unwrap_err(),
        conf.get_long("bad", 0).unwrap_err(),
        conf.get_double("bad", 0.0).unwrap_err(),
        conf.get_bool("bad", false).unwrap_err(),
    ] {
        let text = "Illegal value for config key bad: For input string: \"1x\"";
        assert_eq!(error.to_string(), text);
    }
    assert!(
        conf.get_int("space", 0).is_err(),
        "as Java, which does not trim numbers"
    );
}

#[test]
fn times_and_sizes_are_read_in_the_unit_of_the_method_or_refused_by_key() {
    let conf = conf(&[
        ("t", "90"),
        ("t.ms", "1500ms"),
        ("t.min", "2min"),
        ("t.neg", "-1s"),
        ("t.bad", "1.5s"),
        ("s", "3"),
        ("s.m", "1536k"),
        ("s.bad", "0.064m"),
        ("s.neg", "-1"),
    ]);
    assert_eq!(conf.get_time_as_seconds("t").unwrap(), 90);
    assert_eq!(conf.get_time_as_ms("t").unwrap(), 90);
    assert_eq!(
        conf.get_time_as_seconds("t.ms").unwrap(),
        1,
        "what is left over is dropped"
    );
    assert_eq!(conf.get_time_as_ms("t.min").unwrap(), 120_000);
    assert_eq!(conf.get_time_as_ms("t.neg").unwrap(), -1000);
    assert_eq!(conf.get_time_as_seconds_or("none", "1h").unwrap(), 3600);
    assert_eq!(conf.get_size_as_bytes("s").unwrap(), 3);
    assert_eq!(conf.get_size_as_kb("s").unwrap(), 3);
    assert_eq!(conf.get_size_as_mb("s.m").unwrap(), 1);
    assert_eq!(conf.get_size_as_gb_or("none", "2t").unwrap(), 2048);
    assert!(matches!(
        conf.get_size_as_gb("none"),
        Err(ConfError::NotSet { .. })
    ));
    let text = conf.get_time_as_ms("t.bad").unwrap_err().to_string();
    let start = "Illegal value for config key t.bad: Failed to parse time string: 1.5s";
    assert!(
        text.starts_with(start) && text.contains("50s, 100ms, 250us"),
        "{text}"
    );
    let text = conf.get_size_as_bytes("s.bad").unwrap_err().to_string();
    let start = "Illegal value for config key s.bad: Fractional values are not supported";
    assert!(
        text.starts_with(start) && text.contains("50b, 100k, 250m"),
        "{text}"
    );
    let text = conf.get_size_as_bytes("s.neg").unwrap_err().to_string();
    assert!(text.contains("Failed to parse byte string: -1"), "{text}");
}

proptest! {
    #[test]
    fn a_duration_that_is_written_is_read_back_whatever_the_readers_unit(micros in any::<u64>()) {
        let micros = micros >> 1;
        let time = Duration::from_micros(micros);
        let text = format_duration(time);
        for unit in [TimeUnit::Micros, TimeUnit::Seconds, TimeUnit::Days] {
            prop_assert_eq!(parse_duration(&text, unit).unwrap(), Some(time));
        }
        prop_assert_eq!(parse_time(&text, TimeUnit::Micros).unwrap(), micros as i64);
    }

    #[test]
    fn a_size_that_is_written_is_read_back_whatever_the_readers_unit(bytes in any::<u64>(), shift in 0u32..63) {
        let bytes = bytes >> 1 >> shift << shift.min(20);
        let text = format_size(bytes);
        for unit in [ByteUnit::Byte, ByteUnit::MiB, ByteUnit::PiB] {
            prop_assert_eq!(parse_bytes(&text, unit).unwrap(), bytes);
        }
    }

    #[test]
    fn converting_is_dividing_and_multiplying(number in 0u64..1 << 20, from in 0usize..6, to in 0usize..6) {
        const UNITS: [ByteUnit; 6] = [
            ByteUnit::Byte, ByteUnit::KiB, ByteUnit::MiB, ByteUnit::GiB, ByteUnit::TiB, ByteUnit::PiB,
        ];
        let text = format!("{number}{}", ["b", "k", "m", "g", "t", "p"][from]);
        let exact = u128::from(number) << (10 * from) >> (10 * to);
        match parse_size(&text, UNITS[to]) {
            Ok(value) => prop_assert_eq!(u128::from(value), exact),
            Err(_) => prop_assert!(exact > i64::MAX as u128),
        }
    }

    #[test]
    fn no_text_makes_the_readers_panic(text in "\\PC{0,12}") {
        let _ = parse_time(&text, TimeUnit::Seconds);
        let _ = parse_duration(&text, TimeUnit::Days);
        let _ = parse_size(&text, ByteUnit::GiB);
        let conf = Conf::new().with("ringrail.network.timeout", &*text);
        let _ = conf.get_entry(&network::TIMEOUT);
        for entry in keys::all().iter().flat_map(|family| family.entries) {
            let _ = entry.check(&text);
        }
    }

    #[test]
    fn what_a_typed_key_writes_it_reads(ms in 1u64..1_000_000_000, len in 1u32..1 << 20, on: bool) {
        let mut conf = Conf::new();
        let time = Duration::from_millis(ms);
        conf.set_entry(&rpc::ASK_TIMEOUT, &time).unwrap();
        conf.set_entry(&transport::MAX_OUTSTANDING, &len).unwrap();
        conf.set_entry(&transport::TCP_NO_DELAY, &on).unwrap();
        conf.set_entry(&transport::SEND_BUFFER, &on.then_some(1 << 20)).unwrap();
        prop_assert_eq!(conf.get_entry(&rpc::ASK_TIMEOUT).unwrap(), time);
        prop_assert_eq!(conf.get_entry(&transport::MAX_OUTSTANDING).unwrap(), len);
        prop_assert_eq!(conf.get_entry(&transport::TCP_NO_DELAY).unwrap(), on);
        prop_assert_eq!(conf.get_entry(&transport::SEND_BUFFER).unwrap(), on.then_some(1 << 20));
    }
}

// ---- typed entries ----

static BASE: ConfigEntry<u64> = entry::int()
    .default("7")
    .range("1", "10")
    .named("test.base", "A number.");
static NEXT: ConfigEntry<u64> = entry::int()
    .falls_back_to(&BASE)
    .named("test.next", "Another.");
static LAST: ConfigEntry<u64> = entry::int()
    .falls_back_to(&NEXT)
    .named("test.last", "A third.");
static NEEDED: ConfigEntry<String> = entry::text().named("test.needed", "A text.");
static MAYBE: ConfigEntry<Option<String>> = entry::text().named("test.maybe", "A text, or none.");
static COLOUR: ConfigEntry<String> = entry::choice(&["red", "green"])
    .default("red")
    .named("test.colour", "A colour.");
static NAMES: ConfigEntry<Vec<String>> = entry::list().default("a,b").named("test.names", "Names.");
static TIME: ConfigEntry<Duration> = entry::time(TimeUnit::Seconds)
    .default("1m")
    .named("test.time", "A time.");

#[test]
fn defaults_fall_back_along_the_chain() {
    assert_eq!(Conf::new().get_entry(&LAST).unwrap(), 7);
    assert_eq!(conf(&[("test.base", "3")]).get_entry(&LAST).unwrap(), 3);
    let both = conf(&[("test.base", "3"), ("test.next", "30")]);
    assert_eq!(both.get_entry(&LAST).unwrap(), 30);
    assert!(matches!(
        Conf::new().get_entry(&NEEDED),
        Err(ConfError::NotSet { .. })
    ));
    assert_eq!(Conf::new().get_entry(&MAYBE).unwrap(), None);
    assert_eq!(
        conf(&[("test.maybe", "x")])
            .get_entry(&MAYBE)
            .unwrap()
            .as_deref(),
        Some("x")
    );
    // The chain of Spark's keys, by defaults alone.
    let base = conf(&[("spark.network.timeout", "7s")]);
    let of = |entry: &ConfigEntry<Duration>| base.get_entry(entry).unwrap().as_secs();
    assert_eq!(of(&spark::rpc::ASK_TIMEOUT), 7);
    assert_eq!(of(&spark::modules::shuffle::CONNECTION_CREATION_TIMEOUT), 7);
    assert_eq!(of(&transport::CONNECTION_CREATION_TIMEOUT), 7);
}

#[test]
fn values_outside_of_their_key_are_refused_with_what_is_allowed() {
    let refused = |key, value| {
        let conf = conf(&[(key, value)]);
        let error = match key {
            "test.base" => conf.get_entry(&BASE).unwrap_err(),
            "test.colour" => conf.get_entry(&COLOUR).unwrap_err(),
            "test.time" => conf.get_entry(&TIME).unwrap_err(),
            "ringrail.transport.recvBuffers" => {
                conf.get_entry(&transport::RECV_BUFFERS).unwrap_err()
            }
            _ => conf.get_entry(&transport::SLICE_LEN).unwrap_err(),
        };
        error.to_string()
    };
    for (key, value, says) in [
        ("test.base", "0", "must be 1 to 10, but was 0"),
        ("test.base", "11", "must be 1 to 10, but was 11"),
        (
            "test.base",
            "1.5",
            "should be a whole number, but was \"1.5\"",
        ),
        ("test.base", "-1", "not within 0 to"),
        ("test.colour", "blue", "one of red, green"),
        ("test.time", "-1s", "must not be negative"),
        ("test.time", "1.5s", "Failed to parse time string"),
        (
            "ringrail.transport.recvBuffers",
            "65",
            "must be a power of two, but was 65",
        ),
        (
            "ringrail.transport.recvBuffers",
            "65536",
            "not within 0 to 65535",
        ),
        (
            "ringrail.transport.sliceLen",
            "8191",
            "must be a multiple of 16, but was 8191",
        ),
        (
            "ringrail.transport.sliceLen",
            "1k",
            "must be 4k to 1g, but was 1k",
        ),
    ] {
        let text = refused(key, value);
        let start = format!("Illegal value for config key {key}: ");
        assert!(text.starts_with(&start) && text.contains(says), "{text}");
    }
    let conf = conf(&[
        ("test.colour", " GREEN "),
        ("test.names", " x , ,y "),
        ("test.time", "2"),
    ]);
    assert_eq!(conf.get_entry(&COLOUR).unwrap(), "green");
    assert_eq!(conf.get_entry(&NAMES).unwrap(), ["x", "y"]);
    assert_eq!(conf.get_entry(&TIME).unwrap().as_secs(), 2);
}

#[test]
fn try_set_refuses_what_could_not_be_read_and_changes_nothing() {
    let mut conf = Conf::new();
    let error = conf
        .try_set("ringrail.rpc.askTimeOut", "1s")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("did you mean ringrail.rpc.askTimeout"),
        "{error}"
    );
    let error = conf.try_set("ringrail.rpc.askTimeout", "soon").unwrap_err();
    assert!(matches!(error, ConfError::IllegalValue { .. }), "{error:?}");
    assert!(conf.set_entry(&BASE, &11).is_err());
    assert!(conf.is_empty());
    conf.try_set("ringrail.rpc.askTimeout", "${env:HOME}")
        .unwrap();
    conf.try_set("my.own", "anything").unwrap();
    assert_eq!(conf.len(), 2);
}

// ---- references ----

#[test]
fn references_are_replaced_in_typed_entries_only() {
    let mut conf = conf(&[
        ("ringrail.rpc.askTimeout", "${ringrail.network.timeout}"),
        (
            "ringrail.network.timeout",
            "${spark.executor.heartbeatInterval}",
        ),
        (
            "test.needed",
            "<${env:PATH}|${env:NO_SUCH_VARIABLE}|${system:x}|${no.key}|${}|${a b}|$x|${",
        ),
    ]);
    assert_eq!(
        conf.get_entry(&rpc::ASK_TIMEOUT).unwrap().as_secs(),
        10,
        "a default is a value too"
    );
    assert_eq!(
        conf.get("ringrail.rpc.askTimeout").unwrap(),
        "${ringrail.network.timeout}"
    );
    let path = std::env::var("PATH").unwrap();
    let text = format!(
        "<{path}|${{env:NO_SUCH_VARIABLE}}|${{system:x}}|${{no.key}}|${{}}|${{a b}}|$x|${{"
    );
    assert_eq!(conf.get_entry(&NEEDED).unwrap(), text);
    conf.set("spark.network.timeout", "5s")
        .remove("ringrail.network.timeout");
    assert_eq!(
        conf.get_entry(&rpc::ASK_TIMEOUT).unwrap().as_secs(),
        5,
        "by its other name"
    );
    conf.set(
        "test.needed",
        "${ringrail.rpc.shards}/${ringrail.rpc.shards}",
    );
    assert_eq!(
        conf.get_entry(&NEEDED).unwrap(),
        "0/0",
        "twice is no circle"
    );
}

#[test]
fn a_reference_to_a_key_that_is_not_set_has_what_reading_it_gives() {
    let mut conf = conf(&[("test.time", "${ringrail.rpc.askTimeout}")]);
    assert_eq!(conf.get_entry(&TIME).unwrap().as_secs(), 120);
    conf.set("ringrail.network.timeout", "5s");
    assert_eq!(conf.get_entry(&TIME).unwrap().as_secs(), 5);
    conf.set("test.needed", "${spark.rpc.io.threads}");
    let threads: usize = conf.get_entry(&NEEDED).unwrap().parse().unwrap();
    assert!((1..=8).contains(&threads));
    conf.set("ringrail.network.timeout", "${ringrail.rpc.askTimeout}");
    assert!(matches!(
        conf.get_entry(&TIME),
        Err(ConfError::Circular { .. })
    ));
    assert!(matches!(
        conf.get_entry(&rpc::ASK_TIMEOUT),
        Err(ConfError::Circular { .. })
    ));
}

#[test]
fn a_value_that_refers_to_itself_is_an_error() {
    let conf = conf(&[
        ("ringrail.rpc.askTimeout", "${ringrail.rpc.lookupTimeout}"),
        ("ringrail.rpc.lookupTimeout", "${ringrail.network.timeout}"),
        ("ringrail.network.timeout", "${ringrail.rpc.lookupTimeout}"),
    ]);
    let error = conf.get_entry(&rpc::ASK_TIMEOUT).unwrap_err();
    assert!(matches!(&error, ConfError::Circular { .. }), "{error:?}");
    assert!(
        error.to_string().starts_with("Circular reference in ${"),
        "{error}"
    );
}

#[test]
fn references_that_multiply_are_an_error_before_they_keep_the_reader_busy() {
    let mut conf = Conf::new();
    for level in 0..60 {
        let value = format!("${{spark.x{0}}}${{spark.x{0}}}", level + 1);
        conf.set(format!("spark.x{level}"), value);
    }
    conf.set("spark.x60", "").set("test.needed", "${spark.x0}");
    let error = conf.get_entry(&NEEDED).unwrap_err();
    assert!(
        matches!(&error, ConfError::TooManyReferences { limit: 1024, .. }),
        "{error:?}"
    );
}

// ---- redaction ----

#[test]
fn secrets_are_not_printed() {
    let mut conf = conf(&[
        ("spark.ssl.rpc.keyPassword", "hunter2"),
        ("my.url", "https://x/?TOKEN=abc"),
        ("a.key", "plain"),
        ("spark.hadoop.fs.s3a.access.key", "AKIA"),
    ]);
    let text = conf.to_debug_string();
    let lines = [
        "a.key=plain".to_owned(),
        format!("my.url={REDACTED}"),
        format!("spark.hadoop.fs.s3a.access.key={REDACTED}"),
        format!("spark.ssl.rpc.keyPassword={REDACTED}"),
    ];
    assert_eq!(text, lines.join("\n"));
    assert!(!format!("{conf:?}").contains("hunter2"));
    conf.set("spark.redaction.regex", "^a\\.");
    let text = conf.to_debug_string();
    assert!(
        text.contains(&format!("a.key={REDACTED}")) && text.contains("=hunter2"),
        "{text}"
    );
    conf.set("ringrail.redaction.regex", "(");
    let text = conf.to_debug_string();
    assert!(
        !text.contains("plain") && !text.contains("hunter2"),
        "no expression: all is secret"
    );
}

// ---- validation ----

#[test]
fn what_cannot_be_used_together_is_refused() {
    for (pairs, says) in [
        (
            &[("spark.network.crypto.enabled", "true")][..],
            "spark.authenticate must be enabled when enabling encryption",
        ),
        (
            &[("spark.authenticate.enableSaslEncryption", "true")],
            "spark.authenticate must be enabled when enabling encryption",
        ),
        (
            &[("spark.authenticate", "true")],
            "authentication, which only the shuffle service has",
        ),
        (
            &[
                ("spark.authenticate", "true"),
                ("spark.authenticate.enableSaslEncryption", "true"),
            ],
            "3DES or RC4, which this version does not have",
        ),
        (
            &[("spark.ssl.rpc.enabled", "true")],
            "this version does not have",
        ),
        (
            &[
                ("spark.network.timeout", "10s"),
                ("spark.executor.heartbeatInterval", "10000"),
            ],
            "ringrail.network.timeout=10s must be more than the value of \
             spark.executor.heartbeatInterval=10s",
        ),
        (
            &[("spark.memory.fraction", "1.1")],
            "spark.memory.fraction should be between 0 and 1 (was '1.1')",
        ),
        (
            &[("spark.memory.storageFraction", "NaN")],
            "should be between 0 and 1",
        ),
        (
            &[("spark.submit.deployMode", "yarn")],
            "can only be \"cluster\" or \"client\"",
        ),
        (
            &[("ringrail.transport.sliceLen", "2m")],
            "must not pass ringrail.transport.maxBodyLen",
        ),
        (
            &[("ringrail.transport.maxRpcLen", "1m")],
            "ringrail.rpc.message.maxSize must not be more",
        ),
        (
            &[("spark.akka.frameSize", "much")],
            "(set as spark.akka.frameSize)",
        ),
    ] {
        let error = conf(pairs).validate().unwrap_err().to_string();
        assert!(error.contains(says), "{pairs:?}: {error}");
    }
    Conf::new().validate().unwrap();
    conf(&[("ringrail.network.timeout", "5s")])
        .validate()
        .unwrap();
    conf(&[("spark.network.timeout", "11s"), ("anything", "else")])
        .validate()
        .unwrap();
}

#[test]
fn whatever_reads_a_configuration_refuses_protection_that_it_does_not_have() {
    use ringrail::conf::{block_server_conf, fetch_conf, shuffle_transport_conf, transport_conf};
    for pairs in [
        &[("spark.authenticate", "true")][..],
        &[("spark.network.crypto.enabled", "true")],
        &[("spark.ssl.rpc.enabled", "true")],
        &[("spark.network.sasl.serverAlwaysEncrypt", "true")],
    ] {
        let conf = conf(pairs);
        for error in [
            transport_conf(&conf).unwrap_err(),
            block_server_conf(&conf).unwrap_err(),
            fetch_conf(&conf).unwrap_err(),
            conf.refuse_missing_protection().unwrap_err(),
        ] {
            assert!(error.to_string().contains("spark."), "{pairs:?}: {error}");
        }
    }
    let asked = conf(&[
        ("spark.authenticate", "true"),
        ("spark.authenticate.secret", "secret"),
    ]);
    let (_, authentication) = shuffle_transport_conf(&asked).unwrap();
    assert!(authentication.is_some(), "it comes with the settings");
    let without_secret = conf(&[("spark.authenticate", "true")]);
    assert!(shuffle_transport_conf(&without_secret).is_err());
    let tls = asked.with("spark.ssl.rpc.enabled", "true");
    assert!(shuffle_transport_conf(&tls).is_err());
    assert!(shuffle_transport_conf(&Conf::new()).unwrap().1.is_none());
}

#[test]
fn a_shuffle_service_may_ask_for_authentication() {
    let asked = conf(&[
        ("spark.authenticate", "true"),
        ("spark.network.crypto.enabled", "true"),
    ]);
    asked.validate_shuffle_service().unwrap();
    assert!(asked.validate().is_err());
    let tls = asked.with("spark.ssl.rpc.enabled", "true");
    assert!(tls.validate_shuffle_service().is_err());
}

#[test]
fn what_a_server_asks_of_sparks_clients_comes_from_sparks_keys() {
    use ringrail::codec::spark::auth::{AuthEngine, Cipher, EngineVersion, ServerMode};
    let mode = |pairs: &[(&str, &str)]| {
        let asked = ringrail::conf::spark_authentication(&conf(pairs));
        asked.map(|asked| asked.map(|(mode, _)| mode))
    };
    let secret = ("spark.authenticate.secret", "s");
    let on = ("spark.authenticate", "true");
    assert_eq!(mode(&[secret]).unwrap(), None);
    assert_eq!(mode(&[on, secret]).unwrap(), Some(ServerMode::Sasl));
    for missing in [&[on][..], &[on, ("spark.authenticate.secret", "")]] {
        let error = mode(missing).unwrap_err().to_string();
        assert!(
            error.contains("spark.authenticate.secret is not set"),
            "{error}"
        );
    }
    let crypto = ("spark.network.crypto.enabled", "true");
    let engine = |version, cipher, sasl_fallback| {
        let engine = AuthEngine { version, cipher };
        Some(ServerMode::Engine {
            engine,
            sasl_fallback,
        })
    };
    assert_eq!(
        mode(&[on, secret, crypto]).unwrap(),
        engine(EngineVersion::V1, Cipher::AesCtr, true)
    );
    let all = [
        on,
        secret,
        crypto,
        ("spark.network.crypto.authEngineVersion", "2"),
        ("spark.network.crypto.cipher", "AES/GCM/NoPadding"),
        ("spark.network.crypto.saslFallback", "false"),
    ];
    assert_eq!(
        mode(&all).unwrap(),
        engine(EngineVersion::V2, Cipher::AesGcm, false)
    );
}

#[test]
fn the_settings_of_a_shuffle_service_come_from_sparks_keys() {
    let settings = |pairs: &[(&str, &str)], shards| {
        ringrail::conf::shuffle_conf(&conf(pairs), vec!["/d/a".into(), "/d/b".into()], shards)
    };
    let default = settings(&[], 4).unwrap();
    assert_eq!(
        default.index_cache_len,
        25 << 20,
        "100m of four shards together"
    );
    let kept = default.store.unwrap();
    assert_eq!(kept.to_str(), Some("/d/a/registeredExecutors.redb"));
    let set = settings(
        &[
            ("spark.shuffle.service.db.enabled", "false"),
            ("spark.shuffle.service.index.cache.size", "8m"),
            ("spark.shuffle.maxChunksBeingTransferred", "12"),
        ],
        2,
    )
    .unwrap();
    assert_eq!((set.store, set.index_cache_len), (None, 4 << 20));
    assert_eq!(set.max_chunks_being_transferred, 12);
    const IMPL: &str = "spark.shuffle.push.server.mergedShuffleFileManagerImpl";
    const PACKAGE: &str = "org.apache.spark.network.shuffle";
    let merge = |class: &str| {
        let class = format!("{PACKAGE}.{class}");
        let min = "spark.shuffle.push.server.minChunkSizeInMergedShuffleFile";
        settings(&[(IMPL, &class), (min, "1m")], 1).map(|settings| settings.merge)
    };
    assert!(set.merge.is_none());
    assert!(merge("NoOpMergedShuffleFileManager").unwrap().is_none());
    let on = merge("RemoteBlockPushResolver").unwrap().unwrap();
    assert_eq!((on.min_chunk_len, on.max_io_errors), (1 << 20, 4));
    let wrong = merge("Other").unwrap_err().to_string();
    assert!(
        wrong.contains(IMPL) && wrong.contains("RemoteBlockPushResolver"),
        "{wrong}"
    );
}

#[test]
fn checking_finds_everything_each_once() {
    let problems = conf(&[
        ("spark.rpc.askTimeout", "soon"),
        ("ringrail.transport.poolBudget", "lots"),
        ("ringrail.rpc.askTimeOut", "1s"),
        ("spark.akka.frameSize", "10"),
    ])
    .check();
    let errors = problems
        .iter()
        .filter(|problem| matches!(problem, Problem::Error(_)));
    assert_eq!(errors.count(), 2, "{problems:?}");
    let notices = problems
        .iter()
        .filter(|problem| matches!(problem, Problem::Notice(_)));
    assert_eq!(notices.count(), 2, "{problems:?}");
}

#[test]
fn the_settings_of_the_transport_come_from_their_keys() {
    let settings = transport_conf(&conf(&[
        ("spark.rpc.io.connectionTimeout", "20"),
        ("spark.shuffle.io.retryWait", "7s"),
        ("spark.shuffle.io.sendBuffer", "-1"),
        ("ringrail.transport.receiveBuffer", "1m"),
        ("ringrail.transport.congestion", "cubic"),
        ("ringrail.transport.spinUs", "50"),
        ("ringrail.transport.coalesceUs", "70"),
        ("ringrail.rpc.message.maxSize", "64"),
    ]))
    .unwrap();
    assert_eq!(settings.connection_timeout, Duration::from_secs(20));
    assert_eq!(
        settings.connect_timeout,
        Duration::from_secs(20),
        "as in Spark"
    );
    assert_eq!(settings.request_timeout, Duration::from_secs(120));
    assert_eq!(settings.retry_wait, Duration::from_secs(7));
    assert_eq!(settings.socket.send_buffer_len, None);
    assert_eq!(settings.socket.recv_buffer_len, Some(1 << 20));
    assert_eq!(settings.socket.congestion.as_deref(), Some("cubic"));
    assert_eq!(settings.spin_us, 50);
    assert_eq!(settings.coalesce_us, 70);
    assert_eq!(settings.limits.max_rpc_len, 64 << 20);
}
