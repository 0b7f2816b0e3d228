//! A process without a free descriptor gets an error that names its limit. Alone in its file,
//! because the limit holds for the whole process.

use ringrail_transport::sys::socket::{FileLimit, ListenSpec, SocketError, SocketSpec};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

fn set_limit(limit: u64) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limits = Rlimit {
        current: Some(limit),
        maximum,
    };
    setrlimit(Resource::Nofile, limits).unwrap();
}

#[test]
fn running_out_of_descriptors_names_the_limit() {
    let addr = "127.0.0.1:0".parse().unwrap();
    let normal = getrlimit(Resource::Nofile).current.unwrap();
    set_limit(0);
    let errors = [
        SocketSpec::default().open(&addr).unwrap_err(),
        ListenSpec::new(addr.clone()).bind().unwrap_err(),
    ];
    set_limit(normal);
    for error in errors {
        let expected = FileLimit::Process { limit: 0 };
        assert!(matches!(error, SocketError::TooManyFiles(limit) if limit == expected));
        let text = error.to_string();
        assert!(text.contains("open 0 files") && text.contains("ulimit -n"));
    }
    assert!(ListenSpec::new(addr).bind().is_ok(), "and it recovers");
}
