//! The next send: what is queued, then slices of bodies, in one vectored send.
//!
//! [`Composer`] cuts the bodies; it asks for what it cannot know, and the pump, which has the driver, answers.

use std::rc::Rc;

use ringrail_codec::native::{Cancel, Kind};

use crate::buf::Gather;
use crate::conf::Checksum;
use crate::conn::composer::{Ask, Composed, Composer, Discipline, FileAnswer, FileAsk, Portions};
use crate::conn::file_sums::SumTicket;
use crate::conn::send_queue::SendQueue;
use crate::conn::transfer::{Carries, FileRange, Transfer};
use crate::error::{CloseReason, RequestError, RpcFailure};

use super::Conn;

/// A send on its way to be posted.
#[derive(Debug)]
pub(crate) enum Composing {
    /// It is complete.
    Done(Outgoing),
    /// Bodies are being cut for it: call [`Conn::go_on_composing`], answer, and at last [`Conn::end_compose`].
    Bodies(Composer),
}

/// The operation that the pump is to post.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// Nothing to send.
    Nothing,
    /// One vectored send.
    Gather(Gather),
    /// A gather, then a part of a file straight from it, then zeros up to the alignment.
    File {
        /// Control frames and the slice's header.
        head: Gather,
        /// The slice's body.
        range: FileRange,
        /// Zeros behind it.
        padding: usize,
    },
}

/// A send of more bytes than this is bulk: its end is waited for, to go on.
pub(crate) const BULK_LEN: usize = 16 << 10;

impl Outgoing {
    /// Whether there is so much of it that the socket is filled, and waited for.
    pub(crate) fn is_bulk(&self) -> bool {
        match self {
            Outgoing::Nothing => false,
            Outgoing::Gather(gather) => gather.remaining() > BULK_LEN,
            Outgoing::File { .. } => true,
        }
    }
}

impl Conn {
    /// Begins the next send: what is queued, then slices of bodies.
    #[inline]
    pub(super) fn begin_compose_native(&self) -> Composing {
        let mut tx = self.tx.borrow_mut();
        let Some(gather) = tx.take(&self.local.pool) else {
            return Composing::Done(Outgoing::Nothing);
        };
        if tx.has_backlog() || tx.transfers.ready_len() == 0 {
            return Composing::Done(Outgoing::Gather(gather));
        }
        let (slice_max, batch) = self.portions();
        self.composer(&mut tx, gather, Discipline::Interleaved, (slice_max, batch))
    }

    pub(super) fn composer(
        &self,
        tx: &mut SendQueue,
        gather: Gather,
        discipline: Discipline,
        (slice_max, batch): (u32, usize),
    ) -> Composing {
        let portions = Portions {
            slice_max,
            batch,
            now_ns: self.local.now_ns(),
        };
        let ended = std::mem::take(&mut tx.ended);
        let composer = Composer::new(gather, discipline, portions, &tx.transfers, ended);
        Composing::Bodies(composer)
    }

    /// Goes on with a send until the pump has to answer something.
    pub(crate) fn go_on_composing(&self, composer: &mut Composer) -> Ask {
        let mut tx = self.tx.borrow_mut();
        let sums = self.local.file_sums.borrow();
        loop {
            match composer.run(&mut tx.transfers, &sums) {
                Ask::Failed(at, failure) => {
                    if let Some((body, failure)) = self.fail_ready(&mut tx, at, failure) {
                        composer.ended((body, Some(failure)));
                    }
                }
                ask => return ask,
            }
        }
    }

    /// The way in which the range of a file leaves that the composer asked for.
    pub(crate) fn answer_file(&self, composer: &mut Composer, asked: FileAsk, answer: FileAnswer) {
        let mut tx = self.tx.borrow_mut();
        composer.answer(&mut tx.transfers, asked, answer);
    }

    /// A range that the composer asked for is being read ahead.
    pub(crate) fn answer_ahead(
        &self,
        composer: &Composer,
        asked: &FileAsk,
        ticket: Option<SumTicket>,
    ) {
        let mut tx = self.tx.borrow_mut();
        composer.answer_ahead(&mut tx.transfers, asked, ticket);
    }

    /// The composer is done: ends the bodies that are through.
    pub(crate) fn end_compose(self: &Rc<Self>, composer: Composer) -> Composing {
        let Composed {
            gather,
            direct,
            mut ended,
            counts,
        } = composer.finish();
        let metrics = &self.local.metrics;
        metrics.frames_out.add(counts.frames);
        metrics.requests_timed_out.add(counts.timed_out);
        metrics.bytes_out_summed.add(counts.summed);
        metrics.bytes_out_sum_known.add(counts.sum_known);
        assert!(
            direct.is_none() || !gather.is_empty() || !self.wire().frames_in_place(),
            "a range of a file has a header in front of it"
        );
        let some_ended = !ended.is_empty();
        for (transfer, failure) in ended.drain(..) {
            self.end_transfer(&transfer, failure);
        }
        self.tx.borrow_mut().ended = ended;
        if let Some((range, padding)) = direct {
            let head = gather;
            return Composing::Done(Outgoing::File {
                head,
                range,
                padding,
            });
        }
        if gather.is_empty() {
            self.local.pool.recycle(gather);
            // In order, a body that had ended before may have blocked those after it.
            return match some_ended && self.wire().sends_bodies_in_order() {
                true => self.begin_compose(),
                false => Composing::Done(Outgoing::Nothing),
            };
        }
        Composing::Done(self.encrypted(gather))
    }

    pub(crate) fn sends_crc(&self) -> bool {
        self.local.conf.checksum != Checksum::Never && self.terms.get().send_crc
    }

    /// The last step of a body on its way out, whole or not.
    pub(super) fn end_transfer(&self, transfer: &Transfer, failure: Option<RpcFailure>) {
        if let Carries::Chunk { stream } = transfer.carries {
            self.chunks_sent(&[stream]);
        }
        if let Some(failure) = failure.as_ref().filter(|_| transfer.has_begun()) {
            // Its head has promised what cannot follow, and nothing else can.
            let text = failure.to_string();
            return self.close(CloseReason::BodyBroken(text));
        }
        let kind = match transfer.carries {
            Carries::Chunk { .. } => Kind::ChunkFailure,
            Carries::Stream => Kind::StreamFailure,
            Carries::Reply | Carries::Merged => Kind::RpcFailure,
            // It was the answer itself, and counted out when it was given.
            Carries::Refusal => return self.note_end(),
            Carries::Upload | Carries::Request { .. } | Carries::OneWay => {
                if let Some(failure) = failure {
                    let peer = self.peer.clone();
                    let error = RequestError::Source { peer, failure };
                    self.control(&Cancel { id: transfer.id }.header(), &[]);
                    self.resolve_failure(transfer.id, error);
                }
                return;
            }
        };
        match failure {
            Some(failure) => self.answer_failure_as(kind, transfer.id, &failure),
            None => {
                self.forget_asked(transfer.id);
                // Large replies were counted out when they were given.
                if transfer.carries != Carries::Reply {
                    self.answered();
                }
                self.note_end();
            }
        }
    }

    /// A gather has been sent: its memory is used again.
    pub(crate) fn gather_sent(&self, gather: Gather) {
        let (bodies, mapped) = gather.body_bytes();
        let metrics = &self.local.metrics;
        metrics
            .bytes_out_gathered
            .add((gather.total() - mapped) as u64);
        if mapped > 0 {
            metrics.bytes_out_mapped.add(mapped as u64);
        }
        let _ = bodies;
        self.tx.borrow_mut().sent(&self.local.pool, gather);
    }

    /// True where nothing is left to be sent.
    pub(crate) fn is_flushed(&self) -> bool {
        self.tx.borrow().is_empty() && !self.is_encrypting()
    }
}
