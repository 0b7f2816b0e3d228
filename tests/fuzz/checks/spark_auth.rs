//! Handshakes and records of a peer that says anything at all.

use ringrail_codec::spark::auth::*;

const APP: &str = "app-1";

/// Not random at all, so that stored inputs keep their meaning.
fn fixed(out: &mut [u8]) {
    for (i, byte) in out.iter_mut().enumerate() {
        *byte = (i * 7 + 3) as u8;
    }
}

fn secret(app_id: &str) -> Option<Secret> {
    (app_id == APP).then(|| Secret::from("job-secret"))
}

const fn engine(version: EngineVersion, cipher: Cipher) -> AuthEngine {
    AuthEngine { version, cipher }
}

/// The first byte says who hears the rest.
pub(crate) fn check(data: &[u8]) {
    let Some((&who, data)) = data.split_first() else {
        return;
    };
    match who % 6 {
        0 => hear_server(ServerMode::Sasl, data),
        1 => hear_server(
            ServerMode::Engine {
                engine: engine(EngineVersion::V2, Cipher::AesGcm),
                sasl_fallback: who & 0x80 != 0,
            },
            data,
        ),
        2 => hear_client(ClientMode::Sasl, data),
        3 => hear_client(
            ClientMode::Engine {
                engine: engine(EngineVersion::V1, Cipher::AesCtr),
                sasl_fallback: false,
            },
            data,
        ),
        4 => open(EngineVersion::V1, data),
        _ => open(EngineVersion::V2, data),
    }
}

/// Messages with a length in front, as far as they go.
fn messages(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (len, rest) = data.split_first_chunk::<2>()?;
        let len = usize::from(u16::from_be_bytes(*len)).min(rest.len());
        let (message, rest) = rest.split_at(len);
        data = rest;
        Some(message)
    })
}

fn hear_server(mode: ServerMode, data: &[u8]) {
    let mut server = ServerAuth::new(mode);
    let mut over = false;
    for message in messages(data) {
        let mut reply = Vec::new();
        match server.receive(message, &secret, &mut fixed, &mut reply) {
            Ok(step) => {
                assert!(!over, "one attempt");
                assert!(!reply.is_empty() && reply.len() <= MAX_HANDSHAKE_LEN);
                if let ServerStep::Done(client) = step {
                    assert_eq!(client.app_id, APP);
                    over = true;
                }
            }
            Err(error) => {
                assert!(reply.is_empty() && !error.peer_text().contains("job-secret"));
                assert!(!over || !error.keeps_connection());
                over |= !error.keeps_connection();
            }
        }
    }
}

fn hear_client(mode: ClientMode, data: &[u8]) {
    let mut client = ClientAuth::new(mode, APP, Secret::from("job-secret"));
    let mut out = Vec::new();
    client.start(&mut fixed, &mut out).expect("it starts once");
    let mut over = false;
    for message in messages(data) {
        match client.receive(message, &mut fixed, &mut out) {
            Ok(step) => {
                assert!(!over, "one attempt");
                over = matches!(step, ClientStep::Done(_));
            }
            Err(error) => {
                assert!(!error.to_string().contains("job-secret"));
                over = true;
            }
        }
    }
}

/// The same records, split in two ways.
fn open(version: EngineVersion, data: &[u8]) {
    let whole = opened(version, data, data.len().max(1));
    assert_eq!(opened(version, data, 7), whole);
}

fn opened(version: EngineVersion, data: &[u8], step: usize) -> (Vec<u8>, Option<RecordError>) {
    let mut opener = opener(version);
    let mut plain = Vec::new();
    for piece in data.chunks(step) {
        let mut piece = piece.to_vec();
        let mut rest = &mut piece[..];
        while !rest.is_empty() {
            match opener.open(rest) {
                Ok(opened) => {
                    plain.extend_from_slice(opened.plaintext);
                    let used = opened.used;
                    rest = &mut rest[used..];
                }
                Err(error) => return (plain, Some(error)),
            }
        }
    }
    (plain, None)
}

/// The decryptor for the client's records on the server.
fn opener(version: EngineVersion) -> Opener {
    let (engine, sasl_fallback) = (engine(version, Cipher::AesGcm), false);
    let mode = ClientMode::Engine {
        engine,
        sasl_fallback,
    };
    let mut client = ClientAuth::new(mode, APP, Secret::from("job-secret"));
    let (mut asked, mut reply) = (Vec::new(), Vec::new());
    client.start(&mut fixed, &mut asked).expect("it starts");
    let mut server = ServerAuth::new(ServerMode::Engine {
        engine,
        sasl_fallback,
    });
    match server.receive(&asked, &secret, &mut fixed, &mut reply) {
        Ok(ServerStep::Done(Authenticated {
            records: Some(records),
            ..
        })) => records.opener,
        step => panic!("{step:?}"),
    }
}
