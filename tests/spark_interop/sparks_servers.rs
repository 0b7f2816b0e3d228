//! A ringrail client that speaks Spark's protocol, against Spark's own TransportServer.

use std::io::Write;

use bytes::Bytes;
use ringrail::transport::client::ChunkOptions;
use ringrail::transport::spark::{ClientAuthentication, ClientMode, Secret};
use ringrail::{ConnectError, RequestError, TransportClient, TransportContext};
use ringrail_spark_peers::Call;

use crate::support::echo::{CHUNK_LEN, SOURCE_LEN, engine};
use crate::support::{Conf, digest, kinds, must, pattern, peer};

/// Spark's server in the Java peer; stopped with this value.
struct SparkServer {
    name: String,
    port: u64,
}

impl SparkServer {
    fn start(conf: &Conf, secret: Option<&str>, file: Option<&str>) -> Self {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("server-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let mut call = Call::new("serve").arg("name", &name).args(conf);
        call = call
            .arg("chunk_len", CHUNK_LEN)
            .arg("source_len", SOURCE_LEN);
        if let Some(secret) = secret {
            call = call.arg("secret", secret);
        }
        if let Some(file) = file {
            call = call.arg("file", file);
        }
        let port = must(&call)["port"].as_u64().expect("a port");
        Self { name, port }
    }

    /// One-way messages so far.
    fn one_ways(&self) -> u64 {
        let answer = must(&Call::new("received").arg("name", &self.name));
        answer["count"].as_u64().expect("a number")
    }

    fn connect(&self, auth: Option<ClientAuthentication>) -> Result<Client, ConnectError> {
        let context = TransportContext::client_only(engine());
        let clients = context.create_spark_client_factory(auth, Vec::new());
        let client = clients.create_client_blocking(&format!("127.0.0.1:{}", self.port))?;
        Ok(Client {
            client,
            _context: context,
        })
    }
}

impl Drop for SparkServer {
    fn drop(&mut self) {
        let _ = peer().call(&Call::new("stop").arg("name", &self.name));
    }
}

/// A client and the engine that it lives on.
struct Client {
    client: TransportClient,
    _context: TransportContext,
}

impl Client {
    fn chunk(&self, stream: u64, index: u32) -> Result<Bytes, RequestError> {
        let chunk = self
            .client
            .fetch_chunk(stream, index, &ChunkOptions::default());
        Ok(Bytes::copy_from_slice(&chunk.wait()?[..]))
    }

    fn stream(&self, name: &str) -> Result<Vec<u8>, RequestError> {
        let mut reader = self.client.stream_blocking(name, 0)?;
        let mut all = Vec::new();
        while let Some(piece) = reader.blocking_next() {
            all.extend_from_slice(&piece?);
        }
        Ok(all)
    }
}

fn everything_works(server: &SparkServer, client: &Client) {
    for size in [0, 1, 16, 1000, 16_384, 70_000, (5 << 20) + 3] {
        let body = Bytes::from(pattern(size as u64, size));
        let reply = client
            .client
            .send_rpc(body.clone())
            .wait()
            .expect("a reply");
        assert!(reply[..] == body[..], "{size} bytes");
    }
    let chunks = SOURCE_LEN / CHUNK_LEN;
    for (stream, index) in [(0_u64, 0), (3, 1), (i64::MAX as u64, 2)] {
        let chunk = client.chunk(stream, index).expect("a chunk");
        let offset = (stream + u64::from(index)) % chunks * CHUNK_LEN;
        assert!(
            chunk == pattern(offset, CHUNK_LEN as usize),
            "{stream} {index}"
        );
    }
    for (offset, len) in [(0, 0), (5, 1), (70_001, 3), (1, 2_000_000)] {
        let stream = client.stream(&format!("{offset}/{len}")).expect("a stream");
        assert!(stream == pattern(offset, len), "{offset}/{len}");
    }
    assert!(client.stream("empty").expect("a stream").is_empty());
    for size in [0, 5, 70_000, 3 << 20] {
        let data = pattern(0, size);
        let expected = format!("{size} {}", digest(&data));
        let upload = client
            .client
            .upload_stream("take it", Bytes::from(data).into());
        assert_eq!(upload.wait().expect("taken")[..], *expected.as_bytes());
    }
    let before = server.one_ways();
    for size in [0, 10, 100_000] {
        client.client.send(pattern(0, size)).expect("sent");
    }
    client
        .client
        .send_rpc("all there?")
        .wait()
        .expect("a reply");
    assert_eq!(server.one_ways() - before, 3);
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn sparks_server_answers_every_kind_of_request() {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(&pattern(0, SOURCE_LEN as usize))
        .expect("room");
    for file in [None, Some(file.path().to_str().expect("a plain name"))] {
        let server = SparkServer::start(&Conf::new(), None, file);
        let client = server.connect(None).expect("connected");
        everything_works(&server, &client);
    }
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn sparks_server_takes_every_kind_of_authentication() {
    for (engine, conf) in kinds() {
        let mode = engine.map_or(ClientMode::Sasl, |engine| ClientMode::Engine {
            engine,
            sasl_fallback: false,
        });
        let server = SparkServer::start(&conf, Some("the secret"), None);
        let auth = |secret: &str| {
            let secret = Secret::from(secret.to_owned());
            Some(ClientAuthentication::new(mode, "app", secret))
        };
        let client = server.connect(auth("the secret")).expect("connected");
        everything_works(&server, &client);
        assert!(server.connect(auth("another")).is_err(), "{mode:?}");
    }
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn a_wrong_secret_is_told_as_such_where_sasl_is_tried_as_well() {
    for (engine, mut conf) in kinds() {
        let Some(engine) = engine else { continue };
        conf.insert("spark.network.crypto.saslFallback".into(), "true".into());
        let server = SparkServer::start(&conf, Some("the secret"), None);
        let mode = ClientMode::Engine {
            engine,
            sasl_fallback: true,
        };
        let secret = Secret::from("another".to_owned());
        let auth = ClientAuthentication::new(mode, "app", secret);
        let error = server
            .connect(Some(auth))
            .err()
            .expect("refused")
            .to_string();
        for part in [
            "not authenticated",
            "spark.network.crypto.saslFallback",
            "Is spark.authenticate.secret the same on both sides?",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn sparks_failures_arrive_with_their_words() {
    let server = SparkServer::start(&Conf::new(), None, None);
    let client = server.connect(None).expect("connected");
    let failed = client.client.send_rpc("!fail so it is").wait();
    let error = failed.expect_err("it fails").to_string();
    assert!(error.contains("so it is"), "{error}");
    let error = client
        .chunk(0, u32::MAX)
        .expect_err("no such chunk")
        .to_string();
    assert!(error.contains("no chunk -1"), "{error}");
    let error = client
        .stream("nobody")
        .expect_err("no such stream")
        .to_string();
    assert!(error.contains("there is no stream nobody"), "{error}");
    let upload = client
        .client
        .upload_stream("!fail", Bytes::from(pattern(0, 100_000)).into());
    let error = upload.wait().expect_err("it fails").to_string();
    assert!(
        error.contains("the upload is not wanted after all"),
        "{error}"
    );
    everything_works(&server, &client);
}

#[test]
#[ignore = "needs real Spark: eval \"$(.ci/spark)\""]
fn a_connection_that_spark_closes_fails_what_is_outstanding() {
    let server = SparkServer::start(&Conf::new(), None, None);
    let client = server.connect(None).expect("connected");
    let waiting: Vec<_> = (0..5).map(|_| client.client.send_rpc("!never")).collect();
    let closing = client.client.send_rpc("!close");
    for request in waiting.into_iter().chain([closing]) {
        let error = request.wait().expect_err("nobody answers");
        assert!(matches!(error, RequestError::Closed { .. }), "{error}");
    }
}
