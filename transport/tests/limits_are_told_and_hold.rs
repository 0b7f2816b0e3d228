//! Bounds of this side: each has a clear error that names its key, and none is passed.

mod support;

use std::net::TcpListener;
use std::process::Command;
use std::rc::Rc;

use ringrail_transport::spark::Protocols;
use ringrail_transport::{
    Connection, Engine, IoDriver, ReceivedBytes, Responder, RpcHandler, TransportConf,
    TransportContext,
};
use support::{engine, eventually, serve};

#[test]
fn a_port_in_use_says_which_and_how_to_find_the_holder() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = holder.local_addr().unwrap();
    let context = TransportContext::client_only(engine(TransportConf::default()));
    let error = context.create_server(addr.into()).unwrap_err().to_string();
    assert!(error.contains(&addr.port().to_string()), "{error}");
    assert!(error.contains("in use"), "{error}");
}

#[test]
fn settings_that_do_not_fit_are_refused_by_name() {
    let conf = TransportConf {
        slice_len: 100,
        ..TransportConf::default()
    };
    let error = Engine::builder(conf).start().unwrap_err().to_string();
    assert!(error.contains("ringrail.transport.sliceLen"), "{error}");
    let conf = TransportConf {
        pool_reserve: 1,
        ..TransportConf::default()
    };
    let error = Engine::builder(conf).start().unwrap_err().to_string();
    assert!(error.contains("ringrail.transport.poolReserve"), "{error}");
}

#[test]
fn connections_beyond_the_limit_are_turned_away() {
    let side = serve(TransportConf {
        max_connections: 2,
        ..TransportConf::default()
    });
    let (_a, first) = side.client();
    let (_b, second) = side.client();
    let third = TransportContext::client_only(engine(TransportConf::default()));
    let refused = third
        .create_client_factory(Vec::new())
        .create_client_blocking(&side.address());
    assert!(refused.is_err());
    for client in [first, second] {
        assert_eq!(&client.send_rpc("x").wait().unwrap()[..], b"x");
    }
    assert!(side.context.engine().metrics().connections_refused >= 1);
}

/// Answers as the README's example does, or without the copy where the request begins with `k`.
struct EchoOf;

impl RpcHandler for EchoOf {
    fn receive(&self, _: &Connection, body: ReceivedBytes<'_>, reply: Responder<'_>) {
        match body.bytes().first() {
            Some(b'k') => reply.reply_body(body.keep()),
            _ => reply.reply(body.bytes()),
        }
    }
}

/// A request that fits the pool, whose copy does not fit beside it.
#[test]
fn an_echo_without_room_for_its_copy_says_what_to_write_instead() {
    let conf = TransportConf {
        pool_budget: 31 << 20,
        pool_reserve: 8 << 20,
        ..TransportConf::default()
    };
    let context =
        TransportContext::new(engine(conf), || Rc::new(EchoOf)).with_protocols(Protocols::Either);
    let server = context
        .create_server("127.0.0.1:0".parse().unwrap())
        .unwrap();
    let address = server.local_addr().to_string();
    let asking = TransportContext::client_only(engine(TransportConf::default()));
    for clients in [
        asking.create_client_factory(Vec::new()),
        asking.create_spark_client_factory(None, Vec::new()),
    ] {
        let client = clients.create_client_blocking(&address).unwrap();
        let mut body = vec![b'c'; 11 << 20];
        let error = client
            .send_rpc(body.clone())
            .wait()
            .unwrap_err()
            .to_string();
        for part in [
            "reply_body",
            "ReceivedBytes::keep",
            "ringrail.transport.poolBudget",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
        body[0] = b'k';
        let echo = client.send_rpc(body.clone()).wait().unwrap();
        assert!(echo[..] == body[..]);
    }
}

#[test]
fn requests_beyond_the_peers_table_are_refused_here() {
    let mut conf = TransportConf::default();
    conf.limits.max_outstanding = 4;
    let side = serve(conf);
    let (_context, client) = side.client();
    // The requests are posted faster than their answers can empty the table.
    let many: Vec<_> = (0..64).map(|_| client.send_rpc("x")).collect();
    let outcomes: Vec<_> = many.into_iter().map(|request| request.wait()).collect();
    let refused = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
    for error in refused {
        assert!(error.to_string().contains("maxOutstanding"), "{error}");
    }
    assert!(outcomes.iter().any(Result::is_ok));
    assert_eq!(&client.send_rpc("after").wait().unwrap()[..], b"after");
}

#[test]
fn a_request_longer_than_the_peer_accepts_is_refused_here() {
    let mut conf = TransportConf::default();
    conf.limits.max_rpc_len = 64 << 10;
    let side = serve(conf);
    let (_context, client) = side.client();
    let error = client
        .send_rpc(vec![0; (64 << 10) + 1])
        .wait()
        .unwrap_err()
        .to_string();
    assert!(error.contains("ringrail.transport.maxRpcLen"), "{error}");
    assert_eq!(&client.send_rpc("after").wait().unwrap()[..], b"after");
}

#[test]
fn a_thousand_readers_that_do_not_read_stay_inside_the_budget() {
    use std::io::Write;
    let budget = 64 << 20;
    let conf = TransportConf {
        pool_budget: budget,
        pool_reserve: budget / 2,
        ..TransportConf::default()
    };
    let side = serve(conf);
    let terms = ringrail_codec::native::Terms::new(&Default::default());
    let mut hello = vec![0; 4096];
    let len = ringrail_codec::native::Hello { terms, ext: &[] }
        .encode(&mut hello)
        .unwrap();
    hello.truncate(len);
    let mut request = ringrail_codec::native::RpcRequest {
        id: 1,
        total_len: 4096,
        deadline_us: 0,
    }
    .header(4096)
    .encode()
    .to_vec();
    request.extend(vec![9; 4096]);
    let mut readers: Vec<_> = (0..1000).map(|_| side.raw()).collect();
    for reader in &mut readers {
        reader.write_all(&hello).unwrap();
        reader.set_nonblocking(true).unwrap();
    }
    let requests = request.repeat(200);
    let mut written = vec![0; readers.len()];
    for _ in 0..200 {
        for (reader, written) in readers.iter_mut().zip(&mut written) {
            let end = requests.len().min(*written + request.len());
            // Full sockets are the point; what a full one has not taken is written next.
            *written += reader.write(&requests[*written..end]).unwrap_or(0);
        }
    }
    eventually("all served as far as they may", || {
        side.context.engine().metrics().connections_active == 1000
    });
    let metrics = side.context.engine().metrics();
    assert!(
        metrics.pool_bytes_high_water <= budget as u64,
        "{}",
        metrics.pool_bytes_high_water
    );
    assert_eq!(
        metrics.connections_closed, 0,
        "nobody is closed for reading slowly"
    );
    side.assert_alive();
}

/// Runs this test program's `probe` in a process with a limit of its own.
fn limited(limit: &str) -> String {
    let program = std::env::current_exe().unwrap();
    let script = format!(
        "{limit}; exec {} --exact start_an_engine --ignored --nocapture",
        program.display()
    );
    let out = Command::new("sh").arg("-c").arg(script).output().unwrap();
    String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr)
}

/// Not a test: the body of those below, in their processes.
#[test]
#[ignore = "run by other tests, in processes with limits of their own"]
fn start_an_engine() {
    if std::env::var_os(FORBID).is_some() {
        forbid_io_uring();
    }
    let asked = std::env::var_os(ASK).is_some();
    match Engine::builder(TransportConf::default())
        .driver(if asked {
            IoDriver::IoUring
        } else {
            IoDriver::Auto
        })
        .shards(4)
        .unpinned()
        .start()
    {
        Ok(engine) => eprintln!("started: {:?}", engine.driver()),
        Err(error) => eprintln!("refused: {error}"),
    }
}

/// Has `start_an_engine` ask for io_uring.
const ASK: &str = "RINGRAIL_TEST_ASK_FOR_IO_URING";

/// Has `start_an_engine` forbid itself io_uring first.
const FORBID: &str = "RINGRAIL_TEST_FORBID_IO_URING";

/// A seccomp filter as containers have it: `io_uring_setup` fails with `EPERM`.
fn forbid_io_uring() {
    let op = |code: u32, k: u32, jump_true: u8, jump_false: u8| libc::sock_filter {
        code: code as u16,
        jt: jump_true,
        jf: jump_false,
        k,
    };
    let mut filter = [
        op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        op(
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            libc::SYS_io_uring_setup as u32,
            0,
            1,
        ),
        op(
            libc::BPF_RET | libc::BPF_K,
            libc::SECCOMP_RET_ERRNO | libc::EPERM as u32,
            0,
            0,
        ),
        op(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0, 0),
    ];
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: the program is whole and live during the calls, which change this process alone.
    let done = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            | libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER,
                &raw const program,
            )
    };
    assert_eq!(done, 0, "the filter was not taken");
}

#[test]
fn a_system_that_forbids_io_uring_is_told_what_to_allow() {
    let said = limited(&format!("export {FORBID}=1 {ASK}=1"));
    assert!(said.contains("refused:"), "{said}");
    assert!(said.contains("seccomp"), "{said}");
    assert!(said.contains("io_uring_disabled"), "{said}");
}

#[test]
fn epoll_stands_in_where_nobody_asked_for_io_uring() {
    let said = limited(&format!("export {FORBID}=1"));
    assert!(said.contains("started: Epoll"), "{said}");
}

#[test]
fn a_tiny_memlock_limit_says_so() {
    // Root is exempt from the limit: a copy of this program runs as another user.
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("probe");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode;
    std::fs::set_permissions(dir.path(), open(0o755)).unwrap();
    std::fs::set_permissions(&copy, open(0o755)).unwrap();
    let script = format!(
        "ulimit -l 64; if [ $(id -u) = 0 ]; then su='setpriv --reuid=65534 --clear-groups'; fi; \
         exec $su {} --exact start_an_engine --ignored --nocapture",
        copy.display()
    );
    let out = Command::new("sh").arg("-c").arg(script).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    // Kernels before some version do not count rings against the limit.
    assert!(
        said.contains("started") || said.contains("ulimit -l"),
        "{said}"
    );
}

#[test]
fn too_few_descriptors_say_so() {
    let said = limited("ulimit -n 8");
    assert!(
        said.contains("refused:") && said.contains("ulimit -n"),
        "{said}"
    );
    assert!(limited("true").contains("started"));
}
