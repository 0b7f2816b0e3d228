//! Requests of a Spark peer, byte for byte.

use std::rc::Rc;

use ringrail_transport::TransportContext;
use ringrail_transport::server::NoRpcHandler;
use ringrail_transport::spark::{Protocols, ServerAuthentication, ServerMode};

use crate::raw::{Got, Raw, chunk, frame, one_way, rpc, stream, text, upload};
use crate::server::{FILE_LEN, Seen, server};
use crate::support::{content, engine};

#[test]
fn rpcs_of_every_length_are_answered_under_their_own_id() {
    let server = server();
    let mut peer = Raw::connect(server.port());
    let ids = [0, 1, -1, i64::MIN, i64::MAX, 0x0102_0304_0506_0708];
    for (&id, len) in ids.iter().cycle().zip([
        0,
        1,
        43,
        4 << 10,
        (4 << 10) + 1,
        16 << 10,
        65_000,
        1 << 20,
        (3 << 20) + 7,
    ]) {
        let body = content(7, len);
        assert_eq!(
            peer.ask(&rpc(id, &body)),
            Got::rpc_reply(id, &body),
            "{len} bytes"
        );
    }
}

#[test]
fn answers_under_one_id_are_all_given() {
    let server = server();
    let mut peer = Raw::connect(server.port());
    peer.send(&[rpc(5, b"late"), rpc(5, b"late"), rpc(5, b"now")].concat());
    let mut got: Vec<Vec<u8>> = (0..3).map(|_| peer.get().rest).collect();
    got.sort();
    let mut expected = vec![
        Got::rpc_reply(5, b"better late").rest,
        Got::rpc_reply(5, b"better late").rest,
        Got::rpc_reply(5, b"now").rest,
    ];
    expected.sort();
    assert_eq!(got, expected);
}

#[test]
fn failures_are_told_with_their_causes() {
    let server = server();
    let mut peer = Raw::connect(server.port());
    let expected = "it failed\nCaused by: a cause";
    assert_eq!(peer.ask(&rpc(8, b"fail")), Got::rpc_failure(8, expected));
    let got = peer.ask(&chunk(-1, 0));
    assert_eq!(
        (got.kind, &got.rest[..12]),
        (2, &[&(-1i64).to_be_bytes()[..], &[0; 4]].concat()[..])
    );
    assert_eq!(got.rest[12..], text("no such stream"));
}

#[test]
fn chunks_come_from_memory_and_from_files() {
    let server = server();
    let mut peer = Raw::connect(server.port());
    for len in [0, 1, 100, 5_000, 64 << 10, 1 << 20, (5 << 20) + 3] {
        let got = peer.ask(&chunk(len, 3));
        assert_eq!(got, Got::chunk(len, 3, &content(3, len as usize)), "{len}");
    }
    let file = content(9, FILE_LEN);
    for from in [0, 5, FILE_LEN - 300_000, FILE_LEN - 64_000, FILE_LEN] {
        let got = peer.ask(&chunk(9, from as i32));
        assert_eq!(got, Got::chunk(9, from as i32, &file[from..]), "{from}");
    }
}

#[test]
fn many_chunks_asked_for_at_once_come_whole_and_in_order() {
    let server = server();
    let mut peer = Raw::connect(server.port());
    let lens = [70_000, 0, 9, 2 << 20, 1, 300_000];
    let asked: Vec<u8> = (0..60)
        .flat_map(|n| chunk(lens[n as usize % lens.len()], n))
        .collect();
    peer.send(&asked);
    for n in 0..60 {
        let len = lens[n as usize % lens.len()];
        let expected = match len {
            9 => content(9, FILE_LEN).slice(n as usize..),
            len => content(n as u64, len as usize),
        };
        assert_eq!(peer.get(), Got::chunk(len, n, &expected), "{n}");
    }
}

#[test]
fn streams_and_their_failures_keep_the_order_of_the_requests() {
    let server = server();
    let mut peer = Raw::connect(server.port());
    let asked = ["2000000", "file", "nobody", "0", "", "5"].map(stream);
    peer.send(&asked.concat());
    assert_eq!(peer.get(), Got::stream("2000000", &content(0, 2_000_000)));
    assert_eq!(peer.get(), Got::stream("file", &content(9, FILE_LEN)));
    let missing = |name| Got::stream_failure(name, &format!("Stream '{name}' was not found."));
    assert_eq!(peer.get(), missing("nobody"));
    assert_eq!(peer.get(), Got::stream("0", &[]));
    assert_eq!(peer.get(), missing(""));
    assert_eq!(peer.get(), Got::stream("5", &content(0, 5)));
}

#[test]
fn an_answer_overtakes_bodies_that_have_not_begun_and_breaks_into_none() {
    let server = server();
    let mut peer = Raw::connect(server.port());
    let asked: Vec<u8> = (0..8).flat_map(|n| chunk(4 << 20, n)).collect();
    peer.send(&[asked, rpc(1, b"quick")].concat());
    let mut chunks = 0;
    let mut replied_after = None;
    for _ in 0..9 {
        let got = peer.get();
        if got.kind == 4 {
            assert_eq!(got, Got::rpc_reply(1, b"quick"));
            replied_after = Some(chunks);
        } else {
            assert_eq!(
                got,
                Got::chunk(4 << 20, chunks, &content(chunks as u64, 4 << 20))
            );
            chunks += 1;
        }
    }
    assert!(
        replied_after.is_some_and(|after| after < 8),
        "{replied_after:?}"
    );
}

#[test]
fn uploads_are_taken_refused_and_failed() {
    let server = server();
    let mut peer = Raw::connect(server.port());
    for len in [0, 1, 20_000, 1 << 20, (2 << 20) + 5] {
        let data = content(1, len);
        let expected = Got::rpc_reply(3, &[b"meta", &data[..]].concat());
        assert_eq!(peer.ask(&upload(3, b"meta", &data)), expected, "{len}");
    }
    let asked = [
        upload(4, b"refuse", &content(1, 100_000)),
        rpc(5, b"still here"),
    ];
    peer.send(&asked.concat());
    assert_eq!(peer.get(), Got::rpc_failure(4, "not taken"));
    assert_eq!(peer.get(), Got::rpc_reply(5, b"still here"));
    let failed = peer.ask(&upload(6, b"fail", b"data"));
    assert_eq!(failed, Got::rpc_failure(6, "failed at its end"));
    assert_eq!(
        peer.ask(&rpc(7, b"and here")),
        Got::rpc_reply(7, b"and here")
    );
}

/// Up to 16 MiB behind a refusal are dropped, and a byte more costs the connection.
#[test]
fn the_rest_of_a_refused_upload_is_dropped_up_to_its_bound() {
    let server = server();
    let mut peer = Raw::connect(server.port());
    let most = 16 << 20;
    peer.send(&upload(4, b"refuse", &content(1, most)));
    assert_eq!(peer.get(), Got::rpc_failure(4, "not taken"));
    assert_eq!(peer.ask(&rpc(5, b"here")), Got::rpc_reply(5, b"here"));
    let mut asked = upload(6, b"refuse", &[]);
    let at = asked.len() - 8;
    asked[at..].copy_from_slice(&(most as i64 + 1).to_be_bytes());
    assert_eq!(peer.ask(&asked), Got::rpc_failure(6, "not taken"));
    assert!(peer.is_closed());
}

#[test]
fn a_refused_upload_of_which_much_is_coming_ends_its_connection() {
    let server = server();
    let mut peer = Raw::connect(server.port());
    let mut asked = upload(4, b"refuse", &[]);
    let at = asked.len() - 8;
    asked[at..].copy_from_slice(&(1i64 << 40).to_be_bytes());
    assert_eq!(peer.ask(&asked), Got::rpc_failure(4, "not taken"));
    assert!(peer.is_closed());
}

#[test]
fn merged_blocks_are_told_of() {
    let server = server();
    let mut peer = Raw::connect(server.port());
    let numbers = [2i32, 3, 4].map(i32::to_be_bytes).concat();
    let fields = [&11i64.to_be_bytes()[..], &text("app-1"), &numbers].concat();
    let got = peer.ask(&frame(11, &fields, &[]));
    let body = "MergedBlocksRequest { app_id: \"app-1\", shuffle_id: 2, shuffle_merge_id: 3, \
                reduce_id: 4 }";
    let rest = [
        &11i64.to_be_bytes()[..],
        &3i32.to_be_bytes(),
        body.as_bytes(),
    ]
    .concat();
    assert_eq!((got.kind, got.rest), (12, rest));
}

#[test]
fn one_way_messages_reach_the_handler() {
    let server = server();
    let mut peer = Raw::connect(server.port());
    let long = content(2, 200_000);
    peer.send(&[one_way(b""), one_way(b"short"), one_way(&long)].concat());
    assert_eq!(server.seen.recv().unwrap(), Seen::ClientId(None));
    for expected in [&b""[..], b"short", &long] {
        assert_eq!(server.seen.recv().unwrap(), Seen::OneWay(expected.to_vec()));
    }
}

/// The pieces that the bytes arrive in do not change their meaning.
#[test]
fn requests_may_be_cut_anywhere() {
    let server = server();
    let script = [
        rpc(1, b"abc"),
        one_way(b"x"),
        chunk(10, 0),
        stream("7"),
        upload(2, b"m", b"data"),
        stream("?"),
        rpc(3, b""),
    ]
    .concat();
    for cut in 1..script.len() {
        let mut peer = Raw::connect(server.port());
        peer.send(&script[..cut]);
        // The first piece is processed before the rest arrives: an answer, or a short wait, proves
        // it.
        if cut >= rpc(1, b"abc").len() {
            assert_eq!(peer.get(), Got::rpc_reply(1, b"abc"));
        } else {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        peer.send(&script[cut..]);
        if cut < rpc(1, b"abc").len() {
            assert_eq!(peer.get(), Got::rpc_reply(1, b"abc"), "cut at {cut}");
        }
        let mut got: Vec<Got> = (0..5).map(|_| peer.get()).collect();
        got.sort_by_key(|it| (it.kind, it.rest.clone()));
        let expected = [
            Got::chunk(10, 0, &content(0, 10)),
            Got::rpc_reply(2, b"mdata"),
            Got::rpc_reply(3, b""),
            Got::stream("7", &content(0, 7)),
            Got::stream_failure("?", "Stream '?' was not found."),
        ];
        assert_eq!(got, expected, "cut at {cut}");
    }
}

#[test]
fn one_port_takes_both_protocols() {
    let server = server();
    let clients = server.context.create_client_factory(Vec::new());
    let native = clients.create_client_blocking(&server.addr()).unwrap();
    let mut spark = Raw::connect(server.port());
    for n in 0..20 {
        let body = content(n, 100 * n as usize);
        let reply = native.send_rpc(body.clone()).wait().unwrap();
        assert_eq!(reply[..], body[..]);
        assert_eq!(
            spark.ask(&rpc(n as i64, &body)),
            Got::rpc_reply(n as i64, &body)
        );
    }
    // A peer of a third protocol gets an error in its own protocol.
    let mut browser = Raw::connect(server.port());
    browser.send(b"GET / HTTP/1.1\r\n\r\n");
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut browser.socket, &mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

/// A port for Spark's protocol alone does not advertise another.
#[test]
fn strays_at_a_port_of_sparks_are_told_what_it_takes() {
    let context = TransportContext::new(engine(Default::default()), || Rc::new(NoRpcHandler))
        .with_protocols(Protocols::Spark);
    let open = context
        .create_server("127.0.0.1:0".parse().unwrap())
        .unwrap();
    let guard = ServerAuthentication::shared(ServerMode::Sasl, "the secret".into());
    let guarded = context
        .clone()
        .with_spark_authentication(guard)
        .create_server("127.0.0.1:0".parse().unwrap())
        .unwrap();
    for server in [&open, &guarded] {
        let port = server.port().expect("tcp");
        let mut browser = Raw::connect(port);
        browser.send(b"GET / HTTP/1.1\r\n\r\n");
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut browser.socket, &mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        let told = "this port takes Spark's transport protocol alone";
        assert!(answer.contains(told), "{answer}");
        assert!(!answer.contains("native"), "{answer}");
        let mut tls = Raw::connect(port);
        tls.send(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]);
        let mut alert = Vec::new();
        std::io::Read::read_to_end(&mut tls.socket, &mut alert).unwrap();
        assert_eq!(alert, [0x15, 3, 3, 0, 2, 2, 0x46]);
        let clients = context.create_client_factory(Vec::new());
        let refused = clients
            .create_client_blocking(&server.local_addr().to_string())
            .expect_err("another protocol");
        assert!(refused.to_string().contains(told), "{refused}");
        let mut other = Raw::connect(port);
        other.send(b"SSH-2.0-OpenSSH_9.9\r\n");
        assert!(other.is_closed(), "of no known protocol: nothing to say");
    }
    let metrics = context.engine().metrics();
    assert_eq!(metrics.errors_foreign_protocol, 6);
}

#[test]
fn frames_that_are_none_end_their_connection_and_no_other() {
    let server = server();
    let mut good = Raw::connect(server.port());
    assert_eq!(good.ask(&rpc(1, b"a")), Got::rpc_reply(1, b"a"));
    let bad: [(&str, Vec<u8>); 9] = [
        ("no such type", frame(13, &[0; 12], &[])),
        ("type -1", frame(0xff, &[0; 12], &[])),
        ("a short header", frame(0, &[0; 3], &[])),
        ("a long header", frame(0, &[0; 13], &[])),
        (
            "a name that is none",
            frame(6, &[0, 0, 0, 2, 0xff, 0xfe], &[]),
        ),
        (
            "a name longer than its frame",
            frame(6, &[0, 0, 0, 9, b'x'], &[]),
        ),
        ("a negative length", (-1i64).to_be_bytes().to_vec()),
        (
            "2 GiB",
            [(1i64 << 31) + 8, 0].map(i64::to_be_bytes).concat(),
        ),
        ("no length", 8i64.to_be_bytes().to_vec()),
    ];
    for (what, bytes) in bad {
        let mut peer = Raw::connect(server.port());
        assert_eq!(peer.ask(&rpc(2, b"b")), Got::rpc_reply(2, b"b"));
        peer.send(&bytes);
        assert!(peer.is_closed(), "{what}");
    }
    assert_eq!(good.ask(&rpc(3, b"c")), Got::rpc_reply(3, b"c"));
}

#[test]
fn an_answer_that_nobody_asked_for_is_dropped() {
    let server = server();
    let mut peer = Raw::connect(server.port());
    let unasked = [
        frame(4, &[0; 12], b"body"),
        frame(1, &[0; 12], &[7; 50_000]),
        frame(2, &[&[0; 12][..], &text("why")].concat(), &[]),
        frame(5, &[&[0; 8][..], &text("why")].concat(), &[]),
        frame(7, &[&text("s")[..], &5i64.to_be_bytes()].concat(), &[]),
        b"12345".to_vec(),
        frame(8, &[text("s"), text("why")].concat(), &[]),
        frame(12, &[0; 12], b"body"),
    ];
    peer.send(&unasked.concat());
    assert_eq!(peer.ask(&rpc(1, b"a")), Got::rpc_reply(1, b"a"));
}
