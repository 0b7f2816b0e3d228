//! A connection between two threads of this process.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::rpc::RpcAddress;
use crate::rpc::body::{AlignedBytes, BodyBuf};
use crate::rpc::error::{ENV_STOPPED, RpcError};
use crate::rpc::peer::Peer;
use crate::rpc::reply::{Answer, NewAnswer, PeerMessage, SendReply};
use crate::rpc::settings::INBOX_KEY;
use crate::rpc::shared::{EnvShared, next_serial};
use crate::rpc::sync::AtomicBool;
use crate::rpc::thread::{Job, PostError, ThreadHandle};

use super::Connection;

/// One side of a connection: the peer as this side sees it, on the thread of its link.
pub(crate) struct Side {
    pub(crate) peer: Arc<Peer>,
    /// Its endpoints have no room for messages: the other side's are refused.
    refuses: AtomicBool,
}

impl Side {
    pub(crate) fn host(&self) -> &Arc<ThreadHandle> {
        self.peer.host()
    }
}

/// A connection; side 0 made it.
pub(crate) struct Channel {
    pub(crate) sides: [Side; 2],
    closed: AtomicBool,
}

impl Channel {
    /// A connection of these envs' threads: the second one's is the side that listens.
    pub(crate) fn new(sides: [(&Arc<EnvShared>, Arc<ThreadHandle>, RpcAddress); 2]) -> Arc<Self> {
        Arc::new(Self {
            sides: sides.map(|(env, host, socket)| Side {
                peer: Peer::new(Arc::clone(env), socket, host, next_serial()),
                refuses: AtomicBool::new(false),
            }),
            closed: AtomicBool::new(false),
        })
    }

    pub(crate) fn end(self: &Arc<Self>, side: usize) -> Connection {
        assert!(side < self.sides.len(), "a connection has two sides");
        Connection::Memory(End {
            channel: Arc::clone(self),
            side,
        })
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Ends the connection; both sides are told.
    pub(crate) fn close(&self) {
        if self.closed.swap(true, Ordering::SeqCst) {
            return;
        }
        for side in &self.sides {
            let link = side.peer.link();
            side.host()
                .run(move |dispatcher| dispatcher.remove_link(link, None));
        }
    }
}

/// One end of a connection.
#[derive(Clone)]
pub(crate) struct End {
    channel: Arc<Channel>,
    side: usize,
}

impl End {
    fn other(&self) -> &Side {
        &self.channel.sides[1 - self.side]
    }

    /// Posts a message, bounded, to the other side's thread.
    ///
    /// # Errors
    /// It was not taken.
    pub(crate) fn send(
        &self,
        body: AlignedBytes,
        answer: Option<NewAnswer>,
    ) -> Result<(), RpcError> {
        let there = self.other();
        if self.channel.is_closed() {
            return Err(RpcError::OutboxStopped);
        }
        if there.refuses.load(Ordering::Acquire) {
            return Err(RpcError::Busy {
                what: "an inbox of the peer",
                limit: 0,
                key: INBOX_KEY,
            });
        }
        let reply = match answer {
            None => SendReply::OneWay,
            Some(answer) => {
                let to = self.channel.sides[self.side].host();
                SendReply::Memory(Box::new(Answer::new(to, answer)))
            }
        };
        let message = PeerMessage {
            envelope: None,
            body: BodyBuf::Shared(Arc::new(body), 0),
            peer: Arc::clone(&there.peer),
            reply,
        };
        match there.host().post(Job::Message(Box::new(message))) {
            Ok(()) => Ok(()),
            Err(PostError::Closed(_)) => Err(ENV_STOPPED),
            Err(PostError::Full(_)) => Err(there.host().full("the mailbox of the peer's thread")),
        }
    }

    /// Refuses the other side's messages, or takes them again.
    pub(crate) fn refuse(&self, refuse: bool) {
        let here = &self.channel.sides[self.side];
        here.refuses.store(refuse, Ordering::Release);
    }

    pub(crate) fn close(&self) {
        self.channel.close();
    }
}

debug_text!(End, |this| "End({:?})", this.other().peer);
