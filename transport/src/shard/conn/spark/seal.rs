//! Encryption of sent bytes and decryption of received bytes, once a handshake has agreed on it.
//!
//! Every send is copied once, into memory of its own, and encrypted there, because its source may be
//! shared. Received bytes are decrypted in place; AES-GCM returns its plaintext in segments, which
//! are copied together.

use ringrail_codec::spark::auth::{GCM_SEGMENT_LEN, Opener, RecordError, Sealer};

use crate::buf::{Body, Gather, LeaseMut};
use crate::error::CloseReason;
use crate::shard::conn::Conn;
use crate::shard::conn::compose::Outgoing;

use super::SparkState;
use super::auth::Entropy;

impl Conn {
    /// Encrypts a gathered send, if the connection is encrypted.
    pub(in crate::shard::conn) fn sealed(&self, side: &SparkState, gather: Gather) -> Outgoing {
        if side.is_sealed() && gather.body_bytes().1 > 0 {
            // Reading a mapping that another process truncates raises SIGBUS; file reads return an
            // error instead.
            let text = "mapped memory is not encrypted: give it as a part of its file";
            self.close(CloseReason::BodyBroken(text.into()));
            return Outgoing::Nothing;
        }
        let mut sealer = side.sealer.borrow_mut();
        let Some(sealer) = sealer.as_mut() else {
            return Outgoing::Gather(gather);
        };
        let pool = &self.local.pool;
        let Some(mut fresh) = pool.gather(crate::buf::MIN_LEASE_LEN) else {
            return self.seal_later(side, gather);
        };
        let sealed = match sealer {
            Sealer::Ctr(stream) => match pool.lease_reserved(gather.total()) {
                None => {
                    pool.recycle(fresh);
                    return self.seal_later(side, gather);
                }
                Some(mut lease) => {
                    gather.slices().for_each(|part| lease.put(part));
                    let len = lease.len();
                    assert_eq!(len, gather.total(), "all of a send is encrypted");
                    stream.apply(&mut lease.buffer_mut()[..len]);
                    Ok(Body::Lease(lease.freeze()))
                }
            },
            Sealer::Gcm(_) => seal_messages(sealer, &gather),
        };
        match sealed {
            Ok(body) => {
                let metrics = &self.local.metrics;
                metrics.copies_sealed.increment();
                metrics.copies_sealed_bytes.add(gather.total() as u64);
                fresh.put_body(body);
                pool.recycle(gather);
                Outgoing::Gather(fresh)
            }
            Err(reason) => {
                self.close(reason);
                Outgoing::Nothing
            }
        }
    }

    /// There is no memory to encrypt into: the connection retries when there may be some.
    #[cold]
    fn seal_later(&self, side: &SparkState, gather: Gather) -> Outgoing {
        *side.unsealed.borrow_mut() = Some(gather);
        self.wait_to_send();
        Outgoing::Nothing
    }

    /// Decrypts the bytes `from..` of the received ones in place; with AES-GCM they move to another
    /// buffer. `None` if there is no memory for that.
    pub(crate) fn unseal(
        &self,
        side: &SparkState,
        mut data: LeaseMut,
        from: usize,
    ) -> Result<LeaseMut, Box<CloseReason>> {
        let mut opener = side.opener.borrow_mut();
        let len = data.len();
        match opener.as_mut() {
            None => Ok(data),
            Some(Opener::Ctr(stream)) => {
                stream.apply(&mut data.buffer_mut()[from..len]);
                Ok(data)
            }
            Some(opener) => {
                // A segment that was begun earlier may be complete now.
                let room = len - from + GCM_SEGMENT_LEN;
                let Some(mut plain) = self.local.pool.lease_reserved(room) else {
                    return Err(self.no_memory());
                };
                open_segments(opener, &mut data.buffer_mut()[from..len], &mut plain)
                    .map_err(|error| Box::new(CloseReason::Unsealed(error)))?;
                Ok(plain)
            }
        }
    }
}

/// True if received bytes differ from those of the frames.
pub(super) fn comes_in_segments(opener: &Opener) -> bool {
    matches!(opener, Opener::Gcm(_))
}

fn open_segments(
    opener: &mut Opener,
    mut input: &mut [u8],
    plain: &mut LeaseMut,
) -> Result<(), RecordError> {
    while !input.is_empty() {
        let opened = opener.open(input)?;
        plain.put(opened.plaintext);
        let used = opened.used;
        input = &mut input[used..];
    }
    Ok(())
}

fn seal_messages(sealer: &mut Sealer, gather: &Gather) -> Result<Body, CloseReason> {
    let parts: Vec<&[u8]> = gather.slices().collect();
    let mut random = Entropy::gather().map_err(CloseReason::Io)?;
    let mut out = Vec::new();
    sealer
        .seal(&parts, &mut random, &mut out)
        .map_err(CloseReason::Unsealed)?;
    Ok(Body::Bytes(out.into()))
}
