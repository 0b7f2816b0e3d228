//! Metrics over HTTP, for Prometheus: one thread, one request at a time.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// The longest head of a request, in bytes.
const MAX_HEAD_LEN: usize = 8 << 10;

/// How long one may take to come, and its answer to leave.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often an address that is in use is tried again.
const TRY_EVERY: Duration = Duration::from_millis(20);

/// Serves `page` at `/metrics` of `address`; returns the address with the chosen port. If the address is in use,
/// waits up to `wait`: the service that this one takes over from serves its metrics until it has drained.
///
/// # Errors
/// The address cannot be listened on, or the thread not started.
pub(super) fn start(
    address: &str,
    wait: Duration,
    page: impl Fn() -> String + Send + 'static,
) -> io::Result<SocketAddr> {
    let listener = bind(address, wait)?;
    let at = listener.local_addr()?;
    std::thread::Builder::new()
        .name(String::from("ringrail-metrics"))
        .spawn(move || {
            for stream in listener.incoming() {
                if let Err(error) = stream.and_then(|stream| answer(stream, &page)) {
                    tracing::debug!(%error, "a request for metrics was not answered");
                    // After an accept failed for lack of descriptors, an immediate retry would fail
                    // too.
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
        })?;
    Ok(at)
}

fn bind(address: &str, wait: Duration) -> io::Result<TcpListener> {
    let since = Instant::now();
    let mut told = false;
    loop {
        match TcpListener::bind(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && since.elapsed() < wait => {
                if !told {
                    tracing::warn!(address, "the address for metrics is in use; waiting for it");
                    told = true;
                }
                std::thread::sleep(TRY_EVERY);
            }
            bound => return bound,
        }
    }
}

fn answer(mut stream: TcpStream, page: &impl Fn() -> String) -> io::Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    let head = read_head(&mut stream)?;
    let mut words = head.split(' ');
    let (method, target) = (words.next(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    let (status, body) = match (method, path) {
        (Some("GET" | "HEAD"), "/metrics" | "/") => ("200 OK", page()),
        (Some("GET" | "HEAD"), _) => ("404 Not Found", String::from("see /metrics\n")),
        _ => ("405 Method Not Allowed", String::from("GET alone\n")),
    };
    let len = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: {len}\r\nConnection: close\r\n\r\n"
    )?;
    if method != Some("HEAD") {
        stream.write_all(body.as_bytes())?;
    }
    stream.flush()
}

/// The head of a request; its end if it is too long is of no interest.
fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let until = Instant::now() + PATIENCE;
    let mut head = Vec::new();
    let mut part = [0; 1024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < MAX_HEAD_LEN {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let len = stream.read(&mut part)?;
        if len == 0 {
            break;
        }
        head.extend_from_slice(&part[..len]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(at: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(at).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn the_page_is_served_and_nothing_else() {
        let at = start("127.0.0.1:0", Duration::ZERO, || String::from("a 1\n")).unwrap();
        // A silent client delays others for a bounded time only.
        let silent = TcpStream::connect(at).unwrap();
        let page = ask(at, "GET /metrics?x=1 HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
        assert!(
            page.contains("Content-Length: 4\r\n") && page.ends_with("\r\n\r\na 1\n"),
            "{page}"
        );
        let other = ask(at, "GET /etc/passwd HTTP/1.1\r\n\r\n");
        assert!(other.starts_with("HTTP/1.1 404"), "{other}");
        let post = ask(at, "POST /metrics HTTP/1.1\r\n\r\n");
        assert!(post.starts_with("HTTP/1.1 405"), "{post}");
        let head = ask(at, "HEAD /metrics HTTP/1.1\r\n\r\n");
        assert!(head.ends_with("\r\n\r\n"), "{head}");
        drop(silent);
    }

    #[test]
    fn an_address_in_use_is_waited_for_and_not_for_ever() {
        let before = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = before.local_addr().unwrap();
        let address = at.to_string();
        let refused = start(&address, Duration::ZERO, String::new).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
        let next = std::thread::spawn(move || {
            start(&address, Duration::from_secs(60), || String::from("b 2\n")).unwrap()
        });
        drop(before);
        assert_eq!(next.join().unwrap(), at);
        assert!(ask(at, "GET / HTTP/1.1\r\n\r\n").ends_with("b 2\n"));
    }
}
