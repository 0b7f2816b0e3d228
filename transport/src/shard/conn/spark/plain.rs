//! Takes the place of `auth` and `seal` in builds without the feature `spark`: no peer authenticates, and nothing
//! is encrypted. Neither a handshake nor a cipher can exist, so functions that take one are never called.

use std::rc::Rc;

use ringrail_codec::spark::Head;

use crate::buf::{Gather, LeaseMut};
use crate::error::CloseReason;
use crate::shard::conn::Conn;
use crate::shard::conn::compose::Outgoing;
use crate::shard::conn::dispatch::Handled;
use crate::spark::{ClientAuthentication, ServerAuthentication};

use super::SparkState;

/// A handshake.
pub(super) enum Auth {}

/// Placeholder for the decryptor in builds without Spark's authentication; has no values.
pub(super) enum Opener {}

/// Placeholder for the encryptor in builds without Spark's authentication; has no values.
pub(super) enum Sealer {}

pub(super) fn comes_in_segments(opener: &Opener) -> bool {
    match *opener {}
}

impl Auth {
    pub(super) fn server(with: &ServerAuthentication) -> Self {
        match *with {}
    }

    pub(super) fn client(with: &ClientAuthentication) -> Self {
        match *with {}
    }
}

impl Conn {
    pub(super) fn begin_auth(self: &Rc<Self>) {}

    pub(crate) fn is_too_long_for_auth(_: &Head<'_>) -> bool {
        false
    }

    pub(crate) fn on_auth_frame(
        self: &Rc<Self>,
        _: &SparkState,
        _: &Head<'_>,
        _: &[u8],
    ) -> Handled {
        Ok(())
    }

    pub(super) fn note_auth_sent(self: &Rc<Self>, _: &SparkState) {}

    pub(crate) fn refuse_long_auth(self: &Rc<Self>, _: &SparkState, _: &Head<'_>) -> CloseReason {
        CloseReason::Authentication(String::from("this program is built without it"))
    }

    pub(in crate::shard::conn) fn auth_end_reason(&self) -> Option<CloseReason> {
        None
    }

    pub(in crate::shard::conn) fn sealed(&self, _: &SparkState, gather: Gather) -> Outgoing {
        Outgoing::Gather(gather)
    }

    pub(crate) fn unseal(
        &self,
        _: &SparkState,
        data: LeaseMut,
        _from: usize,
    ) -> Result<LeaseMut, Box<CloseReason>> {
        Ok(data)
    }
}
