//! Accepting connections, a thread for each, and ending all of them when the harness lets go.

use super::{chunk_server, rpc_server};
use crate::net;
use crate::role::{Served, Serving};
use crate::workload::Work;
use anyhow::{Context, Result};
use std::net::{TcpListener, TcpStream};
use std::os::fd::BorrowedFd;
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Serves the workload on `listener` until the other end of `stop` is closed.
pub(crate) fn serve(
    serving: &Serving<'_>,
    listener: &TcpListener,
    stop: BorrowedFd<'_>,
) -> Result<Served> {
    let open = Mutex::new(Vec::new());
    let total = Mutex::new(Served::default());
    thread::scope(|scope| -> Result<()> {
        scope.spawn(|| {
            while let Ok((stream, _)) = listener.accept() {
                let Ok(handle) = stream.try_clone() else {
                    break;
                };
                open.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(handle);
                let total = &total;
                scope.spawn(move || {
                    let mut served = Served::default();
                    if let Err(error) = connection(serving, &stream, &mut served) {
                        eprintln!("a connection ended early: {error:#}");
                    }
                    net::shut_down(&stream);
                    total
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .add(&served);
                });
            }
        });
        let ended = net::wait_for_end(stop).context("waiting for the end of stdin");
        net::shut_down(listener);
        for stream in open.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            net::shut_down(stream);
        }
        ended
    })?;
    Ok(total.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn connection(serving: &Serving<'_>, stream: &TcpStream, served: &mut Served) -> Result<()> {
    match serving.workload.work {
        Work::Rpc { .. } => rpc_server::answer(serving.workload, stream, served),
        Work::Chunks { .. } => chunk_server::answer(serving, stream, served),
    }
}
