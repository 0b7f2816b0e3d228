//! Tests of addresses, options and listeners against the standard library's
//! sockets.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use rustix::io::Errno;
use rustix::net::{accept, sockopt};

use super::{
    Addr, AddrError, ListenSpec, Listener, SocketError, SocketSpec, UnixAddr, local_addr, peer_addr,
};

fn addr(text: &str) -> Addr {
    text.parse().unwrap()
}

fn tcp(listener: &Listener) -> SocketAddr {
    match listener.addr() {
        Addr::Tcp(addr) => *addr,
        Addr::Unix(_) => panic!("a TCP listener"),
    }
}

/// How many connections wait on a listener.
fn accept_all(listener: &Listener) -> usize {
    let mut accepted = 0;
    loop {
        match accept(listener.as_fd()) {
            Ok(_) => accepted += 1,
            Err(Errno::AGAIN) => return accepted,
            Err(errno) => panic!("accept: {errno}"),
        }
    }
}

#[test]
fn addresses_read_and_print_alike() {
    let cases = [
        ("127.0.0.1:7077", Addr::Tcp(([127, 0, 0, 1], 7077).into())),
        ("[::1]:0", Addr::Tcp(([0, 0, 0, 0, 0, 0, 0, 1], 0).into())),
        (
            "unix:/run/x.sock",
            Addr::Unix(UnixAddr::Path("/run/x.sock".into())),
        ),
        ("unix:x.sock", Addr::Unix(UnixAddr::Path("x.sock".into()))),
        ("unix:@name", Addr::Unix(UnixAddr::Abstract("name".into()))),
        ("unix:./@x", Addr::Unix(UnixAddr::Path("./@x".into()))),
    ];
    for (text, expected) in cases {
        let read = addr(text);
        assert_eq!(read, expected);
        assert_eq!(read.to_string(), text);
    }
    let like_abstract = Addr::Unix(UnixAddr::Path("@x".into()));
    assert_eq!(like_abstract.to_string(), "unix:./@x");
}

#[test]
fn a_text_that_is_no_address_is_told_why() {
    let long = format!("unix:/{}", "x".repeat(107));
    let cases = [
        ("", "lacks a port"),
        ("host", "lacks a port"),
        ("host:", "lacks a port"),
        (":80", "lacks a port"),
        ("[::1]", "lacks a port"),
        ("::1:80", "in brackets"),
        ("127.0.0.1:65536", "from 0 to 65535"),
        ("127.0.0.1:http", "from 0 to 65535"),
        ("host:80", "not a numeric address"),
        ("unix:", "1 to 107 bytes"),
        ("unix:@", "1 to 107 bytes"),
        ("unix:/a\0b", "1 to 107 bytes"),
        (&long, "1 to 107 bytes"),
    ];
    for (text, reason) in cases {
        let error = text.parse::<Addr>().unwrap_err().to_string();
        assert!(error.contains(reason), "{text}: {error}");
    }
    assert!(long[..long.len() - 1].parse::<Addr>().is_ok());
}

#[test]
fn host_names_are_resolved_only_on_request() {
    let found = Addr::resolve("localhost:7077").unwrap();
    assert!(found.iter().all(|addr| addr.port() == Some(7077)));
    assert!(found.iter().any(|addr| match addr {
        Addr::Tcp(addr) => addr.ip().is_loopback(),
        Addr::Unix(_) => false,
    }));
    assert_eq!(Addr::resolve("[::1]:1").unwrap(), [addr("[::1]:1")]);
    assert!(matches!(
        Addr::resolve("localhost"),
        Err(AddrError::MissingPort { .. })
    ));
}

#[test]
fn addresses_are_encoded_as_the_kernel_defines_them() {
    let encoded = |text: &str| {
        let sockaddr = addr(text).to_sockaddr().unwrap();
        // SAFETY: the pointer and the length are those of the owned address.
        unsafe {
            std::slice::from_raw_parts(sockaddr.as_ptr().cast::<u8>(), sockaddr.len() as usize)
        }
        .to_vec()
    };
    assert_eq!(
        encoded("10.1.2.3:258"),
        [2, 0, 1, 2, 10, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0]
    );
    let mut v6 = vec![10, 0, 1, 2, 0, 0, 0, 0];
    v6.extend([0; 15]);
    v6.extend([1, 0, 0, 0, 0]);
    assert_eq!(encoded("[::1]:258"), v6);
    assert_eq!(encoded("unix:/ab"), *b"\x01\0/ab\0");
    assert_eq!(encoded("unix:@ab"), *b"\x01\0\0ab");
}

#[test]
fn the_kernel_s_addresses_are_read_back() {
    for text in ["127.0.0.1:0", "[::1]:0"] {
        let listener = TcpListener::bind(text).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert_eq!(
            local_addr(&listener).unwrap(),
            Addr::Tcp(listener.local_addr().unwrap())
        );
        assert_eq!(peer_addr(&client).unwrap(), local_addr(&listener).unwrap());
        assert!(peer_addr(&listener).is_err(), "it is not connected");
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let client = UnixStream::connect(&path).unwrap();
    assert_eq!(
        peer_addr(&client).unwrap(),
        Addr::Unix(UnixAddr::Path(path))
    );
    let (server, _) = listener.accept().unwrap();
    assert_eq!(peer_addr(&server).unwrap(), Addr::Unix(UnixAddr::Unnamed));
}

#[test]
fn an_abstract_listener_is_reached_by_its_name() {
    let name = format!("ringrail-test-{}", std::process::id());
    let listener = ListenSpec::new(addr(&format!("unix:@{name}")))
        .bind()
        .unwrap();
    let peer = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let _client = UnixStream::connect_addr(&peer).unwrap();
    assert_eq!(accept_all(&listener), 1);
    assert_eq!(listener.addr().to_string(), format!("unix:@{name}"));
}

#[test]
fn sockets_do_not_block_and_close_on_exec() {
    let listener = ListenSpec::new(addr("127.0.0.1:0")).bind().unwrap();
    let socket = SocketSpec::default().open(listener.addr()).unwrap();
    for fd in [listener.as_fd(), socket.as_fd()] {
        let status = rustix::fs::fcntl_getfl(fd).unwrap();
        assert!(status.contains(rustix::fs::OFlags::NONBLOCK));
        let flags = rustix::io::fcntl_getfd(fd).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    }
}

fn notsent_lowat(fd: impl AsFd) -> u32 {
    let (mut value, mut len) = (0_u32, 4);
    // SAFETY: the option is read into an integer of the given length.
    let result = unsafe {
        libc::getsockopt(
            fd.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_NOTSENT_LOWAT,
            (&raw mut value).cast(),
            &raw mut len,
        )
    };
    assert_eq!(result, 0);
    value
}

#[test]
fn options_are_set_and_accepted_connections_inherit_them() {
    let plain = SocketSpec::default().open(&addr("127.0.0.1:0")).unwrap();
    assert!(sockopt::tcp_nodelay(&plain).unwrap());
    assert!(sockopt::socket_keepalive(&plain).unwrap());

    let spec = SocketSpec {
        nodelay: true,
        keepalive: true,
        send_buffer_len: Some(30_000),
        recv_buffer_len: Some(40_000),
        congestion: Some("reno".into()),
        notsent_lowat_len: Some(12_345),
    };
    for text in ["127.0.0.1:0", "[::1]:0"] {
        let listener = ListenSpec {
            socket: spec.clone(),
            ..ListenSpec::new(addr(text))
        }
        .bind()
        .unwrap();
        let _client = TcpStream::connect(tcp(&listener)).unwrap();
        let accepted = accept(listener.as_fd()).unwrap();
        assert!(sockopt::tcp_nodelay(&accepted).unwrap());
        assert!(sockopt::socket_keepalive(&accepted).unwrap());
        // The kernel doubles what is asked, for its own bookkeeping.
        let sent = sockopt::socket_send_buffer_size(&accepted).unwrap();
        let received = sockopt::socket_recv_buffer_size(&accepted).unwrap();
        assert_eq!((sent, received), (60_000, 80_000));
        assert_eq!(sockopt::tcp_congestion(&accepted).unwrap(), "reno");
        assert_eq!(notsent_lowat(&accepted), 12_345);
    }
}

#[test]
fn unix_sockets_take_the_options_they_have() {
    let spec = SocketSpec {
        send_buffer_len: Some(30_000),
        congestion: Some("reno".into()),
        ..SocketSpec::default()
    };
    let socket = spec.open(&addr("unix:@none")).unwrap();
    assert_eq!(sockopt::socket_send_buffer_size(&socket).unwrap(), 60_000);
}

#[test]
fn an_unknown_congestion_control_is_refused_with_those_there_are() {
    let spec = SocketSpec {
        congestion: Some("warp".into()),
        ..SocketSpec::default()
    };
    let error = spec.open(&addr("127.0.0.1:0")).unwrap_err().to_string();
    assert!(
        error.contains("`warp`") && error.contains("reno"),
        "{error}"
    );
}

#[test]
fn a_taken_port_is_named_with_the_way_to_its_holder() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = Addr::Tcp(holder.local_addr().unwrap());
    for reuse_port in [false, true] {
        let spec = ListenSpec {
            reuse_port,
            ..ListenSpec::new(taken.clone())
        };
        let error = spec.bind().unwrap_err();
        assert!(matches!(error, SocketError::InUse { .. }));
        let text = error.to_string();
        let port = holder.local_addr().unwrap().port();
        assert!(text.contains(&taken.to_string()), "{text}");
        assert!(text.contains(&format!("sport = :{port}")), "{text}");
    }
}

#[test]
fn a_group_shares_one_port_and_every_listener_gets_connections() {
    let group = ListenSpec::new(addr("127.0.0.1:0")).bind_group(2).unwrap();
    assert_eq!(group[0].addr(), group[1].addr());
    let clients: Vec<_> = (0..64)
        .map(|_| TcpStream::connect(tcp(&group[0])).unwrap())
        .collect();
    let accepted = [accept_all(&group[0]), accept_all(&group[1])];
    assert_eq!(accepted.iter().sum::<usize>(), clients.len());
    assert!(accepted.iter().all(|&count| count > 0), "{accepted:?}");
}

#[test]
fn a_second_server_cannot_slip_into_a_shared_port() {
    let group = ListenSpec::new(addr("127.0.0.1:0")).bind_group(2).unwrap();
    let spec = ListenSpec::new(group[0].addr().clone());
    for count in [1, 2] {
        let error = spec.bind_group(count).unwrap_err();
        assert!(matches!(error, SocketError::InUse { .. }), "{error}");
    }
    let shared = ListenSpec {
        reuse_port: true,
        ..spec
    };
    assert!(shared.bind().is_ok(), "unless it asks to share");
}

#[test]
fn an_address_of_another_host_is_refused_as_such() {
    let error = ListenSpec::new(addr("192.0.2.1:0")).bind().unwrap_err();
    assert!(matches!(error, SocketError::NotAvailable { .. }), "{error}");
    assert!(error.to_string().contains("ip addr"));
}

#[test]
fn missing_permission_says_what_would_grant_it() {
    let on = |text| SocketError::from_errno("bind to", &addr(text), Errno::ACCESS).to_string();
    assert!(on("0.0.0.0:80").contains("CAP_NET_BIND_SERVICE"));
    assert!(on("unix:/run/x/s").contains("directory /run/x must"));
    assert!(on("unix:s").contains("directory . must"));
}

fn socket_path() -> (tempfile::TempDir, PathBuf, ListenSpec) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let spec = ListenSpec::new(Addr::Unix(UnixAddr::Path(path.clone())));
    (directory, path, spec)
}

#[test]
fn a_stale_socket_file_is_replaced_and_a_living_one_is_not() {
    let (_directory, path, spec) = socket_path();
    let holder = UnixListener::bind(&path).unwrap();
    let error = spec.bind().unwrap_err();
    assert!(matches!(error, SocketError::InUse { .. }), "{error}");
    assert!(error.to_string().contains("ss -lxp"), "{error}");
    assert!(UnixStream::connect(&path).is_ok(), "the holder goes on");

    drop(holder);
    assert!(path.exists(), "left behind by its owner");
    let listener = spec.bind().unwrap();
    let _client = UnixStream::connect(&path).unwrap();
    assert_eq!(accept_all(&listener), 1);
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let (_directory, path, spec) = socket_path();
    fs::write(&path, "precious").unwrap();
    let error = spec.bind().unwrap_err();
    assert!(matches!(error, SocketError::NotASocket { .. }), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn the_last_listener_of_a_group_removes_the_socket_file() {
    let (_directory, path, spec) = socket_path();
    let mut group = spec.bind_group(3).unwrap();
    let _clients = [(); 2].map(|()| UnixStream::connect(&path).unwrap());
    let accepted: Vec<_> = group.iter().map(accept_all).collect();
    assert_eq!(accepted, [2, 0, 0], "one queue that all accept from");
    while let Some(listener) = group.pop() {
        assert!(path.exists());
        drop(listener);
    }
    assert!(!path.exists());
}

#[test]
fn a_socket_file_that_another_server_replaced_is_not_removed() {
    let (directory, path, spec) = socket_path();
    let listener = spec.bind().unwrap();
    // Renamed, not removed, so that its inode cannot be given to the successor.
    fs::rename(&path, directory.path().join("old")).unwrap();
    let _successor = UnixListener::bind(&path).unwrap();
    drop(listener);
    assert!(UnixStream::connect(&path).is_ok());
}

#[test]
fn a_socket_file_in_no_directory_is_refused_as_such() {
    let (_directory, path, _) = socket_path();
    let spec = ListenSpec::new(Addr::Unix(UnixAddr::Path(path.join("deeper"))));
    let error = spec.bind().unwrap_err();
    assert!(matches!(error, SocketError::NoDirectory { .. }), "{error}");
}
