//! Accepting connections, a thread for each, and ending all of them when the harness lets go.

use super::{chunk_server, rpc_server};
use crate::net;
use crate::role::{Served, Serving};
use crate::workload::Work;
use anyhow::{Context, Result};
use std::net::{TcpListener, TcpStream};
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

/// Serves the workload on `listener` until the other end of `stop` is closed.
pub(crate) fn serve(
    serving: &Serving<'_>,
    listener: &TcpListener,
    stop: BorrowedFd<'_>,
) -> Result<Served> {
    accept_each(listener, stop, |stream, served| {
        match serving.workload.work {
            Work::Rpc { .. } => rpc_server::answer(serving.workload, stream, served),
            Work::Chunks { .. } => chunk_server::answer(serving, stream, served),
        }
    })
}

/// Runs `connection` on a thread of its own for each connection, until the other end of `stop` is
/// closed.
pub(crate) fn accept_each(
    listener: &TcpListener,
    stop: BorrowedFd<'_>,
    connection: impl Fn(&TcpStream, &mut Served) -> Result<()> + Sync,
) -> Result<Served> {
    let open = Mutex::new(Vec::new());
    let is_over = AtomicBool::new(false);
    let total = Mutex::new(Served::default());
    let serve_one = |stream: &TcpStream| {
        let mut served = Served::default();
        if let Err(error) = connection(stream, &mut served) {
            eprintln!("a connection ended early: {error:#}");
        }
        net::shut_down(stream);
        lock(&total).add(&served);
    };
    thread::scope(|scope| -> Result<()> {
        scope.spawn(|| {
            while let Ok((stream, _)) = listener.accept() {
                let Ok(handle) = stream.try_clone() else {
                    break;
                };
                lock(&open).push(handle);
                // Otherwise the thread that ends the connections finds it in the list.
                if is_over.load(Ordering::SeqCst) {
                    net::shut_down(&stream);
                }
                let serve_one = &serve_one;
                scope.spawn(move || serve_one(&stream));
            }
        });
        let ended = net::wait_for_end(stop).context("waiting for the end of stdin");
        is_over.store(true, Ordering::SeqCst);
        net::shut_down(listener);
        lock(&open).iter().for_each(net::shut_down);
        ended
    })?;
    Ok(total.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
