//! Requests of this side for chunks and streams, and its uploads.

use std::convert::Infallible;
use std::time::Duration;

use ringrail_codec::native::{ChunkRequest, Credit, HEADER_LEN, StreamRequest, Upload};

use crate::buf::ManagedBuffer;
use crate::error::RequestError;
use crate::metrics::RequestKind;

use super::Conn;
use super::reply_to::ReplyTo;
use crate::conn::pending::CallKind;
use crate::conn::transfer::{Carries, Transfer};

/// Options of a chunk request, in 16 bytes: a command of another thread has no space for more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChunkWish {
    /// Its probable length; `u64::MAX` if unknown.
    len: u64,
    /// Its slices carry checksums if the connection has them.
    checksum: bool,
}

impl ChunkWish {
    /// A chunk of probably that many bytes, with checksums or without.
    pub(crate) fn new(len_hint: Option<u64>, checksum: bool) -> Self {
        let len = len_hint.unwrap_or(u64::MAX);
        Self { len, checksum }
    }

    fn len_hint(&self) -> Option<u64> {
        (self.len != u64::MAX).then_some(self.len)
    }
}

impl Conn {
    /// Requests a chunk of a stream, from `offset` on, at most `max_len` bytes. Memory for its probable
    /// length is leased before the request leaves.
    pub(super) fn fetch_native_chunk(
        &self,
        (stream_id, chunk_index): (u64, u32),
        (offset, max_len): (u64, u64),
        wish: ChunkWish,
        timeout: Option<Duration>,
        sink: impl FnOnce() -> ReplyTo,
    ) -> Result<u64, RequestError> {
        let timeout = self.timeout(timeout);
        self.admit()?;
        let id = self
            .calls
            .borrow_mut()
            .insert(CallKind::Chunk, sink, self.due(timeout));
        let credit = self.lease_for_chunk(id, wish.len_hint(), max_len);
        let deadline_us = timeout.us;
        let request = ChunkRequest {
            id,
            stream_id,
            chunk_index,
            offset,
            max_len,
            credit,
            deadline_us,
            unsummed: !wish.checksum,
        };
        let mut tx = self.tx.borrow_mut();
        let written = tx.frame(&self.local.pool, &request.header(), &request.body());
        drop(tx);
        self.forecast.borrow_mut().begin();
        self.sent_request(id, written, timeout, RequestKind::Chunk)
    }

    /// Requests a stream by name, from `offset` on, with a first grant of `credit` bytes.
    pub(super) fn open_native_stream(
        &self,
        name: &str,
        (offset, credit): (u64, u64),
        timeout: Option<Duration>,
        sink: impl FnOnce() -> ReplyTo,
    ) -> Result<u64, RequestError> {
        let timeout = self.timeout(timeout);
        let limit = self.local.conf.limits.max_stream_name_len as usize;
        self.admit()?;
        self.check_len(
            name.len(),
            limit as u64,
            "ringrail.transport.maxStreamNameLen",
        )?;
        let id = self
            .calls
            .borrow_mut()
            .insert(CallKind::Stream, sink, self.due(timeout));
        if let Some(bulk) = self.calls.borrow_mut().bulk(id) {
            bulk.granted = credit;
        }
        let deadline_us = timeout.us;
        let request = StreamRequest {
            id,
            offset,
            deadline_us,
            credit,
            name,
        };
        let room = name.len() + 2 * HEADER_LEN;
        let written = self
            .tx
            .borrow_mut()
            .frame_with(&self.local.pool, room, |body| {
                let fits = request.encode_body(body).is_ok();
                Ok::<_, Infallible>(fits.then(|| request.header()))
            });
        self.forecast.borrow_mut().begin();
        self.sent_request(id, written.map(|_| ()), timeout, RequestKind::Stream)
    }

    /// Sends `data` as an upload with `meta` in front (Spark: `uploadStream`).
    pub(super) fn upload_native(
        &self,
        meta: &[u8],
        data: ManagedBuffer,
        timeout: Option<Duration>,
        sink: impl FnOnce() -> ReplyTo,
    ) -> Result<u64, RequestError> {
        let timeout = self.timeout(timeout);
        let limit = u64::from(self.local.conf.limits.max_meta_len);
        self.admit()?;
        self.check_len(meta.len(), limit, "ringrail.transport.maxMetaLen")?;
        let id = self
            .calls
            .borrow_mut()
            .insert(CallKind::Upload, sink, self.due(timeout));
        let deadline_us = timeout.us;
        let head = Upload {
            id,
            total_len: data.len(),
            deadline_us,
        }
        .header(meta.len() as u32);
        let written = self.tx.borrow_mut().frame(&self.local.pool, &head, meta);
        if written.is_ok() {
            self.push_transfer(id, Carries::Upload, data, self.peer_credit(), u64::MAX);
        }
        self.sent_request(id, written, timeout, RequestKind::Upload)
    }

    /// The reader of a stream has taken slices: grants more to the sender.
    pub(crate) fn grant_stream(&self, id: u64, bytes: u64) {
        let mut calls = self.calls.borrow_mut();
        let Some(bulk) = calls.bulk(id) else { return };
        bulk.granted += bytes;
        drop(calls);
        // Spark's protocol has no credit frame: control() only marks the connection for the pump.
        self.control(
            &Credit {
                id,
                bytes,
                by_responder: false,
            }
            .header(),
            &[],
        );
    }

    pub(super) fn peer_credit(&self) -> u64 {
        self.terms.get().initial_credit
    }

    pub(crate) fn push_transfer(
        &self,
        id: u64,
        carries: Carries,
        data: ManagedBuffer,
        credit: u64,
        deadline_ns: u64,
    ) {
        let summed = self.sends_crc();
        self.push_body((id, carries), data, (credit, deadline_ns), summed);
    }

    /// Sends a body in slices, with checksums or without.
    pub(super) fn push_body(
        &self,
        (id, carries): (u64, Carries),
        data: ManagedBuffer,
        (credit, deadline_ns): (u64, u64),
        summed: bool,
    ) {
        let slice_max = self.local.conf.slice_len.min(self.terms.get().max_body_len);
        let transfer = Transfer::new(id, carries, data, slice_max, credit, deadline_ns);
        let transfer = match summed {
            true => transfer.with_sums(),
            false => transfer,
        };
        self.tx.borrow_mut().transfers.push(transfer);
        self.mark_dirty();
    }
}
