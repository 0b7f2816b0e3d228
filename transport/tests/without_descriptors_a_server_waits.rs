//! A server that has no descriptor left to accept with waits for one: it neither burns its processor
//! nor floods its log, tells those who wait too long, and serves again as soon as there are some.
//!
//! The server is a process of its own, for the limit holds for a whole process: this very program,
//! started again with an environment variable that makes one of its tests be that server.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ringrail_codec::native::{Hello, Limits, Terms};
use ringrail_transport::TransportConf;
use rustix::process::{Resource, Rlimit, setrlimit};
use support::serve;

const ROLE: &str = "RINGRAIL_TEST_WITHOUT_DESCRIPTORS";
const LIMIT: u64 = 64;
const PEERS: usize = 120;

static LINES: AtomicU64 = AtomicU64::new(0);

/// Counts what a program would write to its log.
struct Counter;

impl tracing::Subscriber for Counter {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::WARN
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        LINES.fetch_add(1, Ordering::Relaxed);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

/// Tells the test's other half something: on a line of its own, beside what the harness prints.
fn say(text: &str) {
    let mut out = std::io::stdout();
    out.write_all(format!("\n{text}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

/// The server: tells its address, then the lines of its log for every line that it reads.
#[test]
fn the_server_itself() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    let limit = Some(LIMIT);
    let limits = Rlimit {
        current: limit,
        maximum: limit,
    };
    setrlimit(Resource::Nofile, limits).unwrap();
    tracing::subscriber::set_global_default(Counter).unwrap();
    let side = serve(TransportConf::default());
    say(&format!("address {}", side.address()));
    for line in std::io::stdin().lines() {
        line.unwrap();
        say(&format!("lines {}", LINES.load(Ordering::Relaxed)));
    }
}

struct Server {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Server {
    fn start() -> (Self, String) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_server_itself", "--nocapture"])
            .env(ROLE, "server")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut server = Self {
            child,
            orders,
            answers,
        };
        let address = server.answer("address ");
        (server, address)
    }

    fn answer(&mut self, to: &str) -> String {
        let lines = self.answers.by_ref().lines();
        let mut said = lines.map(Result::unwrap);
        let line = said.find(|line| line.starts_with(to)).expect("an answer");
        line[to.len()..].to_owned()
    }

    fn log_lines(&mut self) -> u64 {
        self.orders.write_all(b"\n").unwrap();
        self.answer("lines ").parse().unwrap()
    }

    /// Time on processors so far, in clock ticks of 10 ms.
    fn cpu_ticks(&self) -> u64 {
        let path = format!("/proc/{}/stat", self.child.id());
        let text = std::fs::read_to_string(path).unwrap();
        let (_, fields) = text.rsplit_once(')').unwrap();
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks = |at: usize| fields[at].parse::<u64>().unwrap();
        ticks(11) + ticks(12)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    let patience = Some(Duration::from_secs(20));
    stream.set_read_timeout(patience).unwrap();
    stream
}

/// Says hello; whether the server did so too.
fn is_greeted(stream: &mut TcpStream) -> bool {
    let mut hello = [0; 4096];
    let terms = Terms::new(&Limits::DEFAULT);
    let len = Hello { terms, ext: &[] }.encode(&mut hello).unwrap();
    stream.write_all(&hello[..len]).is_ok() && stream.read_exact(&mut hello[..len]).is_ok()
}

#[test]
fn without_descriptors_a_server_waits_for_them_quietly() {
    if std::env::var_os(ROLE).is_some() {
        return;
    }
    let (mut server, address) = Server::start();
    let mut peers: Vec<TcpStream> = (0..PEERS).map(|_| connect(&address)).collect();
    // The first peers are unaffected.
    assert!(peers[..20].iter_mut().all(is_greeted));
    let before = server.cpu_ticks();
    // Peers without a descriptor are disconnected after a while.
    let last = peers.last_mut().unwrap();
    let refused = matches!(last.read(&mut [0; 1]), Ok(0) | Err(_));
    assert!(refused, "whoever waits for long is told");
    let quiet = Instant::now() + Duration::from_secs(2);
    while Instant::now() < quiet {
        std::thread::sleep(Duration::from_millis(100));
    }
    let used = server.cpu_ticks() - before;
    assert!(
        used < 100,
        "{used} ticks of 10 ms in some seconds of waiting"
    );
    let lines = server.log_lines();
    assert!((1..10).contains(&lines), "{lines} lines in the log");
    drop(peers);
    let served = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        is_greeted(&mut connect(&address))
    });
    assert!(served, "with descriptors again, it serves again");
}
