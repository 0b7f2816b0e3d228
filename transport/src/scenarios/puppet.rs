//! A peer whose every frame a test decides: a raw socket past its handshake.

use ringrail_codec::native::{Header, Limits};

use crate::client::TransportClient;
use crate::sys::socket::Addr;

use super::cluster::Cluster;
use super::ground::Ground;
use super::wire;

/// A frame that came: its header and its body.
pub(super) type Frame = (Header, Vec<u8>);

impl<G: Ground> Cluster<G> {
    /// A client by hand, connected to the server at `addr`; its number.
    pub(super) fn puppet_client(&mut self, addr: &Addr, limits: Limits) -> usize {
        let raw = self.add_raw();
        self.raws[raw].connect(addr);
        self.until(|cluster| cluster.raws[raw].is_connected());
        let hello = wire::hello(limits);
        let len = hello.len();
        self.raws[raw].send(hello);
        self.until(|cluster| cluster.raws[raw].received.len() >= len);
        self.raws[raw].taken = len;
        raw
    }

    /// A server by hand, and a connection of a shard to it.
    pub(super) fn puppet_server(
        &mut self,
        shard: usize,
        limits: Limits,
    ) -> (usize, TransportClient) {
        let raw = self.add_raw();
        let addr = self.raws[raw].listen(G::ADDRESS);
        let connecting = self.connecting(shard, &addr);
        let connecting = self.spawn(connecting);
        self.until(|cluster| wire::answer(limits, &cluster.raws[raw].received).is_some());
        let answer = wire::answer(limits, &self.raws[raw].received);
        let (hello, taken) = answer.expect("it was there just now");
        self.raws[raw].taken = taken;
        self.raws[raw].send(hello);
        let client = self.block_on(connecting).expect("a connection");
        (raw, client)
    }

    /// Sends a frame.
    pub(super) fn tell(&mut self, raw: usize, header: Header, body: &[u8]) {
        self.raws[raw].send(wire::frame(header, body));
    }

    /// The frames that have come since the last look.
    pub(super) fn hear(&mut self, raw: usize) -> Vec<Frame> {
        let raw = &mut self.raws[raw];
        let (frames, len) = wire::split(&raw.received[raw.taken..]);
        raw.taken += len;
        frames
    }

    /// Drives everything until frames come, and takes them.
    pub(super) fn hear_some(&mut self, raw: usize) -> Vec<Frame> {
        loop {
            let frames = self.hear(raw);
            if !frames.is_empty() {
                return frames;
            }
            let before = self.raws[raw].received.len();
            self.until(|cluster| {
                cluster.raws[raw].received.len() > before || cluster.raws[raw].ended
            });
            let ended = self.raws[raw].ended && self.raws[raw].received.len() == before;
            assert!(!ended, "the connection ended");
        }
    }

    /// Drives everything until a frame comes that fits; those before it are dropped.
    pub(super) fn hear_one(&mut self, raw: usize, fits: impl Fn(&Header) -> bool) -> Frame {
        loop {
            if let Some(frame) = self.hear_some(raw).into_iter().find(|it| fits(&it.0)) {
                return frame;
            }
        }
    }
}
