//! [`RpcChannel`]: reading a file of another env.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ringrail_transport::buf::Lease;
use ringrail_transport::client::StreamReader;
use ringrail_transport::{RequestError, TransportClient};
use tokio::io::{AsyncRead, ReadBuf};

use crate::rpc::ask::block_on;
use crate::rpc::dispatcher::may_block;
use crate::rpc::error::ENV_STOPPED;
use crate::rpc::shared::FileSource;
use crate::rpc::{RpcEnv, RpcError, uri};

/// Bytes taken at once from a file of the same process.
const LOCAL_READ: usize = 64 << 10;

/// Reads a file of another env, as it arrives (Spark: the channel of `openChannel`).
///
/// Blocking ([`Read`]) or asynchronous ([`AsyncRead`], tokio's); [`next`](Self::next) gives what has
/// arrived without a copy. The sender runs ahead by a bounded window. What goes wrong on the way, also
/// that there is no such file, is an error of the next read.
pub struct RpcChannel {
    source: Source,
}

enum Source {
    Remote {
        stream: StreamReader,
        /// Bytes that have arrived and are not read yet.
        data: Option<Lease>,
        at: usize,
        /// Its connection stays as long as it is read.
        _client: TransportClient,
    },
    /// In the same process.
    Local(File),
    /// There; the first read tells.
    Failed(Option<io::Error>),
}

impl RpcEnv {
    /// Opens a file of another env by its URI (`rail://host:port/files/name`; `spark://` is read as
    /// well). It comes over a connection of its own to that env, shared by all downloads from there.
    ///
    /// # Errors
    /// The text is no URI, or the other env cannot be reached. That there is no such file is an error
    /// of the first read.
    pub async fn open_channel(&self, uri: &str) -> Result<RpcChannel, RpcError> {
        let (address, name) = uri::split(uri)?;
        if self.is_stopped() {
            return Err(ENV_STOPPED);
        }
        let network = self.shared().network()?;
        let clients = match network.file_source(&address, &name)? {
            FileSource::Stream(clients) => clients,
            FileSource::File(file) => {
                let source = file.map_or_else(|error| Source::Failed(Some(error)), Source::Local);
                return Ok(RpcChannel { source });
            }
        };
        drop(network);
        let connected = clients.create_client(&address.to_string()).await;
        let client = connected.map_err(|error| RpcError::not_connected(&address, &error))?;
        let stream = client.stream(name, 0).await.map_err(RpcError::from)?;
        let source = Source::Remote {
            stream,
            data: None,
            at: 0,
            _client: client,
        };
        Ok(RpcChannel { source })
    }

    /// As [`open_channel`](Self::open_channel), blocking this thread.
    ///
    /// # Errors
    /// As there; [`RpcError::WouldBlock`] on a thread that runs endpoints.
    pub fn open_channel_blocking(&self, uri: &str) -> Result<RpcChannel, RpcError> {
        may_block("open_channel_blocking")?;
        block_on(self.open_channel(uri))
    }
}

impl RpcChannel {
    /// The next bytes that have arrived; `None` at the end. Copies nothing where the file comes from another
    /// process.
    ///
    /// # Errors
    /// Why there is no more.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<io::Result<bytes::Bytes>> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<bytes::Bytes>>> {
        match &mut self.source {
            Source::Failed(error) => Poll::Ready(error.take().map(Err)),
            Source::Local(file) => {
                let mut buf = vec![0; LOCAL_READ];
                Poll::Ready(match file.read(&mut buf) {
                    Ok(0) => None,
                    Ok(count) => {
                        buf.truncate(count);
                        Some(Ok(buf.into()))
                    }
                    Err(error) => Some(Err(error)),
                })
            }
            Source::Remote {
                stream, data, at, ..
            } => {
                if let Some(data) = data.take() {
                    let rest = data.slice(std::mem::take(at)..data.len());
                    return Poll::Ready(Some(Ok(rest.into())));
                }
                let next = ready!(stream.poll_next(cx));
                Poll::Ready(next.map(|data| data.map(Into::into).map_err(failed)))
            }
        }
    }

    /// Sees that there is something to read; false at the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let Source::Remote {
            stream, data, at, ..
        } = &mut self.source
        else {
            return Poll::Ready(Ok(true));
        };
        while data.as_ref().is_none_or(|data| *at >= data.len()) {
            (*data, *at) = (None, 0);
            match ready!(stream.poll_next(cx)) {
                None => return Poll::Ready(Ok(false)),
                Some(next) => *data = Some(next.map_err(failed)?),
            }
        }
        Poll::Ready(Ok(true))
    }

    /// Copies what is there.
    fn copy_out(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match &mut self.source {
            Source::Failed(error) => error.take().map_or(Ok(0), Err),
            Source::Local(file) => file.read(out),
            Source::Remote { data, at, .. } => {
                let rest = data.as_deref().map_or(&[][..], |data| &data[*at..]);
                let count = rest.len().min(out.len());
                out[..count].copy_from_slice(&rest[..count]);
                *at += count;
                Ok(count)
            }
        }
    }
}

impl Read for RpcChannel {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        may_block("reading a channel").map_err(io::Error::other)?;
        let more = block_on(std::future::poll_fn(|cx| self.poll_fill(cx)))?;
        if more { self.copy_out(out) } else { Ok(0) }
    }
}

impl AsyncRead for RpcChannel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if out.remaining() == 0 || !ready!(self.poll_fill(cx))? {
            return Poll::Ready(Ok(()));
        }
        let count = self.copy_out(out.initialize_unfilled())?;
        out.advance(count);
        Poll::Ready(Ok(()))
    }
}

fn failed(error: RequestError) -> io::Error {
    let kind = match &error {
        RequestError::Remote { failure, .. }
            if failure.code() == ringrail_codec::native::FailureCode::NotFound =>
        {
            io::ErrorKind::NotFound
        }
        RequestError::Closed { .. } => io::ErrorKind::ConnectionReset,
        RequestError::TimedOut { .. } => io::ErrorKind::TimedOut,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

impl fmt::Debug for RpcChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::Remote { stream, .. } => write!(f, "RpcChannel({stream:?})"),
            Source::Local(_) => f.write_str("RpcChannel(local)"),
            Source::Failed(_) => f.write_str("RpcChannel(failed)"),
        }
    }
}
