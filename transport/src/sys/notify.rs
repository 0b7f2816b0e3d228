//! Waiting, inside a tokio runtime, for a driver to have completions.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A driver's notification descriptor, watched by the runtime's reactor.
#[derive(Debug)]
pub(crate) struct Notify {
    fd: AsyncFd<OwnedFd>,
}

impl Notify {
    /// Watches `fd`, an eventfd. To be called inside the runtime.
    ///
    /// # Errors
    /// The reactor does not take the descriptor.
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Self> {
        // SAFETY: an OwnedFd is one open descriptor for its whole life, and the AsyncFd owns it.
        let fd = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?;
        Ok(Self { fd })
    }

    /// Waits until there is something, and resets the eventfd for what comes next.
    ///
    /// # Errors
    /// The reactor is shutting down.
    pub(crate) async fn wait(&self) -> io::Result<()> {
        let mut ready = self.fd.readable().await?;
        let mut count = [0; 8];
        // An eventfd that is empty already has nothing to tell.
        let _ = rustix::io::read(ready.get_inner(), &mut count);
        ready.clear_ready();
        Ok(())
    }
}
