//! Requests of this side: taken in, written out, timed, resolved.

use std::time::Duration;

use ringrail_codec::archive::Encode;
use ringrail_codec::native::{OneWay, RpcRequest};

use crate::buf::{Body, Lease, ManagedBuffer};
use crate::error::RequestError;
use crate::metrics::RequestKind;

use super::Conn;
use super::archive::{Archived, Unwritten};
use super::reply_to::ReplyTo;
use crate::conn::deadlines::Timeout;
use crate::conn::pending::CallKind;
use crate::conn::send_queue::NoMemory;
use crate::conn::transfer::Carries;

/// The body of an RPC.
#[derive(Debug)]
pub(crate) enum RpcBody<'a> {
    /// Copied behind its header.
    Copied(&'a [u8]),
    /// Sent without a copy.
    Shared(Body),
}

impl RpcBody<'_> {
    pub(crate) fn len(&self) -> usize {
        match self {
            RpcBody::Copied(bytes) => bytes.len(),
            RpcBody::Shared(body) => body.len(),
        }
    }
}

impl Conn {
    /// Sends a request that wants a reply.
    #[inline]
    pub(crate) fn send_rpc(
        &self,
        body: RpcBody<'_>,
        timeout: Option<Duration>,
        sink: impl FnOnce() -> ReplyTo,
    ) -> Result<u64, RequestError> {
        let timeout = self.timeout(timeout);
        self.admit()?;
        self.check_rpc_len(body.len())?;
        self.admit_own_body(body.len())?;
        let id = self
            .calls
            .borrow_mut()
            .insert(CallKind::Rpc, sink, self.due(timeout));
        let deadline_us = timeout.us;
        let len = body.len();
        let request = RpcRequest {
            id,
            total_len: len as u64,
            deadline_us,
        };
        let carries = Carries::Request { deadline_us };
        let written = self.write_rpc(id, carries, body, |body_len| request.header(body_len));
        self.sent_request(id, written, timeout, RequestKind::Rpc)
    }

    /// Sends a request whose body is the archive of `value`, serialised into the send buffer.
    #[inline]
    pub(crate) fn send_archive(
        &self,
        value: &impl Encode,
        timeout: Option<Duration>,
        sink: impl FnOnce() -> ReplyTo,
    ) -> Result<u64, RequestError> {
        let timeout = self.timeout(timeout);
        self.admit()?;
        let id = self
            .calls
            .borrow_mut()
            .insert(CallKind::Rpc, sink, self.due(timeout));
        let deadline_us = timeout.us;
        let written = self.write_archive(value, |len| {
            RpcRequest {
                id,
                total_len: u64::from(len),
                deadline_us,
            }
            .header(len)
        });
        match written {
            Ok(Archived::Written) => self.sent_request(id, Ok(()), timeout, RequestKind::Rpc),
            Ok(Archived::Apart(lease)) => self.send_apart(id, lease, timeout),
            Err(why) => self.refuse_unwritten(id, why),
        }
    }

    #[cold]
    fn refuse_unwritten(&self, id: u64, why: Unwritten) -> Result<u64, RequestError> {
        self.refuse_entered(id, self.unwritten(why))
    }

    /// Sends a request whose archive is in memory of its own.
    #[cold]
    fn send_apart(&self, id: u64, archive: Lease, timeout: Timeout) -> Result<u64, RequestError> {
        let len = archive.len();
        let fits = self.check_rpc_len(len);
        if let Err(error) = fits.and_then(|()| self.admit_own_body(len)) {
            return self.refuse_entered(id, error);
        }
        let deadline_us = timeout.us;
        let request = RpcRequest {
            id,
            total_len: len as u64,
            deadline_us,
        };
        let carries = Carries::Request { deadline_us };
        let body = RpcBody::Shared(Body::Lease(archive));
        let written = self.write_rpc(id, carries, body, |body_len| request.header(body_len));
        self.sent_request(id, written, timeout, RequestKind::Rpc)
    }

    /// Sends a message that wants no reply.
    pub(crate) fn send_one_way(&self, body: RpcBody<'_>) -> Result<(), RequestError> {
        self.admit()?;
        self.check_rpc_len(body.len())?;
        self.admit_message(body.len())?;
        let id = self.calls.borrow_mut().fresh_id();
        let message = OneWay {
            id,
            total_len: body.len() as u64,
        };
        self.write_rpc(id, Carries::OneWay, body, |body_len| {
            message.header(body_len)
        })
        .map_err(|NoMemory| self.busy_memory())?;
        self.sent_message();
        Ok(())
    }

    /// As [`send_one_way`](Self::send_one_way), with the archive of `value`, serialised into the
    /// send buffer.
    pub(crate) fn send_archive_one_way(&self, value: &impl Encode) -> Result<(), RequestError> {
        self.admit()?;
        let id = self.calls.borrow_mut().fresh_id();
        let written = self.write_archive(value, |len| {
            let total_len = u64::from(len);
            OneWay { id, total_len }.header(len)
        });
        match written.map_err(|why| self.unwritten(why))? {
            Archived::Written => self.sent_message(),
            Archived::Apart(lease) => {
                return self.send_one_way(RpcBody::Shared(Body::Lease(lease)));
            }
        }
        Ok(())
    }

    fn sent_message(&self) {
        let metrics = &self.local.metrics;
        metrics.requests_out(RequestKind::OneWay).increment();
        metrics.frames_out.increment();
        self.note_use();
        self.mark_dirty();
    }

    /// Writes the body of a request, reply or one-way message; its size decides whether it is
    /// copied.
    #[inline]
    pub(super) fn write_native_rpc(
        &self,
        id: u64,
        carries: Carries,
        body: RpcBody<'_>,
        header: impl FnOnce(u32) -> ringrail_codec::native::Header,
    ) -> Result<(), NoMemory> {
        let conf = &self.local.conf;
        let pool = &self.local.pool;
        let body = match body {
            RpcBody::Copied(bytes) if bytes.len() <= conf.inline_max => {
                return self
                    .tx
                    .borrow_mut()
                    .frame(pool, &header(bytes.len() as u32), bytes);
            }
            RpcBody::Copied(bytes) => Body::Lease(self.copy_out(bytes)?),
            RpcBody::Shared(body) => body,
        };
        let len = body.len();
        if len <= conf.inline_max
            && let Some(bytes) = body.as_slice()
        {
            let metrics = &self.local.metrics;
            metrics.copies_coalesced.increment();
            metrics.copies_coalesced_bytes.add(len as u64);
            return self.tx.borrow_mut().frame(pool, &header(len as u32), bytes);
        }
        if len <= conf.slice_len as usize {
            return self
                .tx
                .borrow_mut()
                .frame_by_reference(pool, &header(len as u32), body);
        }
        self.push_transfer(
            id,
            carries,
            ManagedBuffer::Memory(body),
            self.peer_credit(),
            u64::MAX,
        );
        Ok(())
    }

    /// Copies a large borrowed body into pooled memory.
    pub(super) fn copy_out(&self, bytes: &[u8]) -> Result<Lease, NoMemory> {
        let mut lease = self.local.pool.lease(bytes.len()).ok_or(NoMemory)?;
        lease.put(bytes);
        let metrics = &self.local.metrics;
        metrics.copies_coalesced.increment();
        metrics.copies_coalesced_bytes.add(bytes.len() as u64);
        Ok(lease.freeze())
    }

    /// The last step of every request: sets its timer and counts it; or fails it if it was not
    /// written.
    #[inline(always)]
    pub(super) fn sent_request(
        &self,
        id: u64,
        written: Result<(), NoMemory>,
        timeout: Timeout,
        kind: RequestKind,
    ) -> Result<u64, RequestError> {
        if written.is_err() {
            return self.refuse_entered(id, self.busy_memory());
        }
        let now = self.local.now_ns();
        self.expect_by(now.saturating_add(timeout.ns));
        self.note_activity(|activity| {
            activity.requested(now);
            if kind == RequestKind::Rpc {
                activity.rpc(now);
            }
        });
        self.local.metrics.requests_out(kind).increment();
        self.local.metrics.frames_out.increment();
        self.mark_dirty();
        Ok(id)
    }

    /// A request that is in the table and cannot be sent. A caller on this shard gets the error as
    /// that of any other refusal; a caller on another thread waits at the sink.
    #[cold]
    fn refuse_entered(&self, id: u64, error: RequestError) -> Result<u64, RequestError> {
        match self.forget(id) {
            Some(ReplyTo::Remote(sink)) => {
                sink.send(Err(error));
                Ok(id)
            }
            _ => Err(error),
        }
    }
}
