//! Choice of the port to listen on (Spark: `Utils.startServiceOnPort`).

use crate::rpc::error::RpcError;

/// Why a backend cannot listen.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{text}")]
pub(crate) struct ListenError {
    /// Somebody else listens there: another port may do.
    pub(crate) in_use: bool,
    /// Why.
    pub(crate) text: String,
}

/// The first port that users may listen on.
const FIRST_PORT: u32 = 1024;

/// The port that is tried after `offset` others were in use; those of the system are stepped over.
fn nth_port(start: u16, offset: u32) -> u16 {
    if start == 0 {
        return 0;
    }
    let span = 65536 - FIRST_PORT;
    assert!(
        u32::from(start) >= FIRST_PORT,
        "ports of the system were refused"
    );
    ((u32::from(start) + offset - FIRST_PORT) % span + FIRST_PORT) as u16
}

/// Listens on `start`, or, where that is in use, on one of the ports after it. 0 means any free one,
/// and is tried again as it is.
///
/// # Errors
/// The port is one of the system's; all that were tried are in use; or listening failed for another
/// reason, and then no further port is tried.
pub(crate) fn start_on_port<T>(
    service: &str,
    start: u16,
    max_retries: u32,
    mut listen: impl FnMut(u16) -> Result<T, ListenError>,
) -> Result<T, RpcError> {
    if start != 0 && u32::from(start) < FIRST_PORT {
        return Err(RpcError::Start(
            format!(
                "startPort should be between 1024 and 65535 (inclusive), or 0 for a random free \
                 port; it is {start}"
            )
            .into(),
        ));
    }
    let mut offset = 0;
    loop {
        let port = nth_port(start, offset);
        let error = match listen(port) {
            Ok(listening) => {
                tracing::info!(target: "ringrail::rpc", service, "Successfully started service");
                return Ok(listening);
            }
            Err(error) => error,
        };
        if !error.in_use {
            return Err(RpcError::Start(
                format!("service '{service}' cannot listen on port {port}: {error}").into(),
            ));
        }
        if offset >= max_retries {
            return Err(RpcError::Start(
                format!(
                    "{error}: Service '{service}' failed after {max_retries} retries (starting \
                     from {start})! Consider explicitly setting the appropriate port for the \
                     service '{service}' to an available port or increasing \
                     ringrail.port.maxRetries."
                )
                .into(),
            ));
        }
        offset += 1;
        let next = nth_port(start, offset);
        tracing::warn!(
            target: "ringrail::rpc",
            "Service '{service}' could not bind on port {port}. Attempting port {next}."
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_use() -> ListenError {
        ListenError {
            in_use: true,
            text: "Address already in use".into(),
        }
    }

    fn tried(start: u16, retries: u32, free_after: usize) -> (Vec<u16>, Result<u16, RpcError>) {
        let mut tried = Vec::new();
        let outcome = start_on_port("it", start, retries, |port| {
            tried.push(port);
            if tried.len() > free_after {
                Ok(port)
            } else {
                Err(in_use())
            }
        });
        (tried, outcome)
    }

    #[test]
    fn a_busy_port_is_followed_by_the_next() {
        let (ports, outcome) = tried(7077, 16, 2);
        assert_eq!(ports, [7077, 7078, 7079]);
        assert_eq!(outcome.unwrap(), 7079);
    }

    #[test]
    fn past_the_last_port_the_systems_are_stepped_over() {
        assert_eq!(tried(65534, 16, 3).0, [65534, 65535, 1024, 1025]);
    }

    #[test]
    fn port_0_stays_0() {
        assert_eq!(tried(0, 16, 3).0, [0, 0, 0, 0]);
    }

    #[test]
    fn after_the_retries_the_error_names_service_tries_and_key() {
        let (ports, outcome) = tried(7077, 2, 9);
        assert_eq!(ports.len(), 3);
        let text = outcome.unwrap_err().to_string();
        for part in [
            "'it'",
            "2 retries",
            "starting from 7077",
            "ringrail.port.maxRetries",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn other_failures_are_not_retried_and_ports_of_the_system_not_tried() {
        let mut tries = 0;
        let outcome = start_on_port("it", 7077, 16, |_| -> Result<(), ListenError> {
            tries += 1;
            Err(ListenError {
                in_use: false,
                text: "no such address".into(),
            })
        });
        assert!(outcome.unwrap_err().to_string().contains("no such address"));
        assert_eq!(tries, 1);
        let (ports, outcome) = tried(80, 16, 0);
        assert!(ports.is_empty() && outcome.is_err());
    }
}
