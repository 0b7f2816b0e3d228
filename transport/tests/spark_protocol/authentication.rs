//! Authentication of clients: Spark's handshakes, and the requests that are served without one.

use ringrail_transport::spark::{
    AuthEngine, Cipher, ClientAuthentication, ClientMode, EngineVersion, Secret,
    ServerAuthentication, ServerMode,
};
use ringrail_transport::{ConnectError, TransportConf, TransportContext};

use crate::clients::{connect, everything_works, read};
use crate::raw::{Got, Raw, chunk, frame, one_way, rpc, stream, text, upload};
use crate::server::{FILE_LEN, Seen, Server, start};
use crate::support::{content, engine};

fn serve(mode: ServerMode) -> Server {
    let auth = ServerAuthentication::new(mode, |app| {
        (app == "app-1").then(|| Secret::from("the secret"))
    });
    start(TransportConf::default(), Some(auth))
}

fn client(mode: ClientMode, app: &str, secret: &str) -> ClientAuthentication {
    ClientAuthentication::new(mode, app, Secret::from(secret))
}

fn engines() -> impl Iterator<Item = AuthEngine> {
    [EngineVersion::V1, EngineVersion::V2]
        .into_iter()
        .flat_map(|version| {
            [Cipher::AesCtr, Cipher::AesGcm].map(|cipher| AuthEngine { version, cipher })
        })
}

fn refused(server: &Server, auth: ClientAuthentication) -> String {
    let context = TransportContext::client_only(engine(TransportConf::default()));
    let clients = context.create_spark_client_factory(Some(auth), Vec::new());
    match clients.create_client_blocking(&server.addr()) {
        Err(error @ ConnectError::Handshake { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn everything_works_behind_sasl() {
    let server = serve(ServerMode::Sasl);
    let (_context, client) = connect(
        &server,
        Some(client(ClientMode::Sasl, "app-1", "the secret")),
    );
    everything_works(&client, 300_000);
    assert_eq!(
        server.seen.recv().unwrap(),
        Seen::ClientId(Some("app-1".into()))
    );
}

#[test]
fn everything_works_encrypted_with_every_engine() {
    for engine in engines() {
        let server = serve(ServerMode::Engine {
            engine,
            sasl_fallback: false,
        });
        let mode = ClientMode::Engine {
            engine,
            sasl_fallback: false,
        };
        let (_context, client) = connect(&server, Some(client(mode, "app-1", "the secret")));
        everything_works(&client, 300_000);
        assert_eq!(
            server.seen.recv().unwrap(),
            Seen::ClientId(Some("app-1".into())),
            "{engine:?}"
        );
    }
}

#[test]
fn what_is_encrypted_cannot_be_read_on_the_way() {
    for engine in engines() {
        let server = serve(ServerMode::Engine {
            engine,
            sasl_fallback: false,
        });
        let tap = Tap::start(server.port());
        let mode = ClientMode::Engine {
            engine,
            sasl_fallback: false,
        };
        let context = TransportContext::client_only(crate::support::engine(Default::default()));
        let auth = client(mode, "app-1", "the secret");
        let clients = context.create_spark_client_factory(Some(auth), Vec::new());
        let address = format!("127.0.0.1:{}", tap.port);
        let client = clients.create_client_blocking(&address).expect("connected");
        let plain = b"nobody on the way can read this";
        let reply = client.send_rpc(&plain[..]).wait().expect("a reply");
        assert_eq!(reply[..], plain[..]);
        let (there, back) = tap.seen();
        for bytes in [there, back] {
            assert!(bytes.len() > plain.len());
            assert!(
                !bytes.windows(plain.len()).any(|part| part == plain),
                "{engine:?}"
            );
        }
    }
}

/// Passes bytes on, and keeps them.
struct Tap {
    port: u16,
    there: std::thread::JoinHandle<Vec<u8>>,
    back: std::thread::JoinHandle<Vec<u8>>,
    end: std::sync::mpsc::Sender<()>,
}

impl Tap {
    fn start(to: u16) -> Self {
        use std::io::{Read, Write};
        use std::net::{Shutdown, TcpListener, TcpStream};
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let far = TcpStream::connect(("127.0.0.1", to)).expect("connected");
        let (end, ends) = std::sync::mpsc::channel();
        let (give, get) = std::sync::mpsc::channel();
        fn pass(mut from: TcpStream, mut to: TcpStream) -> Vec<u8> {
            let (mut kept, mut bytes) = (Vec::new(), [0; 4096]);
            while let Ok(count @ 1..) = from.read(&mut bytes) {
                kept.extend_from_slice(&bytes[..count]);
                to.write_all(&bytes[..count]).expect("passed on");
            }
            kept
        }
        let out = far.try_clone().expect("a descriptor");
        let there = std::thread::spawn(move || {
            let (near, _) = listener.accept().expect("a connection");
            give.send(near.try_clone().expect("a descriptor"))
                .expect("waits");
            pass(near, out)
        });
        let back = std::thread::spawn(move || {
            let near: TcpStream = get.recv().expect("a connection");
            let (cut, gone) = (
                near.try_clone().expect("one"),
                far.try_clone().expect("one"),
            );
            std::thread::spawn(move || {
                let _ = ends.recv();
                let _ = cut.shutdown(Shutdown::Both);
                let _ = gone.shutdown(Shutdown::Both);
            });
            pass(far, near)
        });
        Self {
            port,
            there,
            back,
            end,
        }
    }

    /// Everything that has passed, in either direction.
    fn seen(self) -> (Vec<u8>, Vec<u8>) {
        drop(self.end);
        (
            self.there.join().expect("there"),
            self.back.join().expect("back"),
        )
    }
}

/// Only the kernel reads mappings: their files may be shortened by others.
#[test]
fn mapped_memory_is_sent_in_plain_and_ends_an_encrypted_connection() {
    let plain = crate::server::server();
    let (_context, peer) = connect(&plain, None);
    let mapped = read(&peer, "mapped").expect("a stream");
    assert!(mapped == content(9, FILE_LEN)[..100_000]);
    for engine in engines() {
        let sasl_fallback = false;
        let server = serve(ServerMode::Engine {
            engine,
            sasl_fallback,
        });
        let mode = ClientMode::Engine {
            engine,
            sasl_fallback,
        };
        let auth = client(mode, "app-1", "the secret");
        let (_context, peer) = connect(&server, Some(auth.clone()));
        read(&peer, "mapped").expect_err("not encrypted");
        let (_context, other) = connect(&server, Some(auth));
        assert_eq!(read(&other, "5").expect("a stream"), content(0, 5));
    }
}

#[test]
fn a_wrong_secret_or_application_is_refused() {
    let engine = AuthEngine::default();
    let server_mode = ServerMode::Engine {
        engine,
        sasl_fallback: false,
    };
    let client_mode = ClientMode::Engine {
        engine,
        sasl_fallback: false,
    };
    for (at, mode) in [
        (ServerMode::Sasl, ClientMode::Sasl),
        (server_mode, client_mode),
    ] {
        let server = serve(at);
        let error = refused(&server, client(mode, "app-1", "another secret"));
        assert!(error.contains("not authenticated"), "{error}");
        refused(&server, client(mode, "app-2", "the secret"));
        let (_context, client) = connect(&server, Some(client(mode, "app-1", "the secret")));
        assert_eq!(
            client.send_rpc("in").wait().expect("a reply")[..],
            b"in"[..]
        );
    }
}

/// Behind a refusal of the engine the server closes, and SASL gets no answer: the client tells both.
#[test]
fn a_wrong_secret_is_told_as_such_where_sasl_is_tried_as_well() {
    let engine = AuthEngine::default();
    let sasl_fallback = true;
    let server = serve(ServerMode::Engine {
        engine,
        sasl_fallback,
    });
    let mode = ClientMode::Engine {
        engine,
        sasl_fallback,
    };
    let error = refused(&server, client(mode, "app-1", "another secret"));
    for part in [
        "not authenticated",
        "Authentication failed.",
        "spark.network.crypto.saslFallback",
        "Is spark.authenticate.secret the same on both sides?",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert_eq!(
        error.matches("Authentication failed.").count(),
        1,
        "{error}"
    );
    let (_context, client) = connect(&server, Some(client(mode, "app-1", "the secret")));
    assert_eq!(
        client.send_rpc("in").wait().expect("a reply")[..],
        b"in"[..]
    );
}

#[test]
fn engines_of_other_versions_do_not_come_together() {
    let modes = |version| {
        let engine = AuthEngine {
            version,
            cipher: Cipher::AesGcm,
        };
        (
            ServerMode::Engine {
                engine,
                sasl_fallback: false,
            },
            ClientMode::Engine {
                engine,
                sasl_fallback: false,
            },
        )
    };
    let server = serve(modes(EngineVersion::V2).0);
    let context = TransportContext::client_only(engine(TransportConf::default()));
    let auth = client(modes(EngineVersion::V1).1, "app-1", "the secret");
    let clients = context.create_spark_client_factory(Some(auth), Vec::new());
    // The handshake is the same: what follows cannot be decrypted.
    if let Ok(client) = clients.create_client_blocking(&server.addr()) {
        client.send_rpc("in").wait().expect_err("not understood");
    }
}

#[test]
fn a_client_without_the_engine_may_fall_back_to_sasl_where_both_allow() {
    let server = serve(ServerMode::Engine {
        engine: AuthEngine::default(),
        sasl_fallback: true,
    });
    let (_context, client) = connect(
        &server,
        Some(client(ClientMode::Sasl, "app-1", "the secret")),
    );
    everything_works(&client, 300_000);
    let server = serve(ServerMode::Engine {
        engine: AuthEngine::default(),
        sasl_fallback: false,
    });
    refused(
        &server,
        self::client(ClientMode::Sasl, "app-1", "the secret"),
    );
}

/// Spark's own server serves chunks and streams to anybody.
#[test]
fn who_has_not_authenticated_gets_nothing_of_any_kind() {
    let server = serve(ServerMode::Sasl);
    let why = "java.lang.IllegalStateException: Expected SaslMessage, received something else \
               (maybe your client does not have SASL enabled?)";
    let mut peer = Raw::connect(server.port());
    assert_eq!(peer.ask(&rpc(1, b"a")), Got::rpc_failure(1, why));
    let got = peer.ask(&chunk(100, 0));
    assert_eq!((got.kind, &got.rest[12..]), (2, &text(why)[..]));
    assert_eq!(peer.ask(&stream("100")), Got::stream_failure("100", why));
    let merged = [&5i64.to_be_bytes()[..], &text("app-1"), &[0; 12]].concat();
    assert_eq!(peer.ask(&frame(11, &merged, &[])), Got::rpc_failure(5, why));
    peer.send(&one_way(b"psst"));
    assert_eq!(
        peer.ask(&upload(6, b"meta", b"data")),
        Got::rpc_failure(6, why)
    );
    assert!(peer.is_closed());
    let mut long = Raw::connect(server.port());
    let got = long.ask(&rpc(7, &[0; 9000])[..21]);
    assert_eq!(
        got,
        Got::rpc_failure(7, why),
        "refused before its body has come"
    );
    assert!(long.is_closed());
    let mut answer = Raw::connect(server.port());
    answer.send(&frame(4, &[0; 12], b"body"));
    assert!(answer.is_closed());
    assert!(
        server.seen.try_recv().is_err(),
        "no handler has heard of them"
    );
}

#[test]
fn native_clients_do_not_get_around_it() {
    let server = serve(ServerMode::Sasl);
    let clients = server.context.create_client_factory(Vec::new());
    let refused = clients.create_client_blocking(&server.addr());
    assert!(refused.is_err(), "{refused:?}");
    assert!(server.seen.try_recv().is_err());
}
