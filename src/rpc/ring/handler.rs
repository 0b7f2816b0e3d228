//! Takes in messages from the engine's connections, for the dispatcher of their shard.

use std::rc::Rc;
use std::sync::Arc;

use ringrail_transport::server::StreamManager;
use ringrail_transport::{
    CloseReason, Connection, Engine, ReceivedBytes, RequestError, Responder, RpcHandler,
    TransportContext,
};

use crate::rpc::body::BodyRef;
use crate::rpc::dispatcher::{Dispatcher, dispatcher_of};
use crate::rpc::error::{ENV_STOPPED, RpcError};
use crate::rpc::files::FileStreams;
use crate::rpc::peer::Peer;
use crate::rpc::reply::{FromPeer, Reply};
use crate::rpc::shared::EnvShared;
use crate::rpc::{RpcAddress, connection};

/// The env's servers, or its clients; `greets` says whether a connection greets its peer as soon as it is
/// open, or only when somebody has prepared it.
pub(super) fn context(env: &Arc<EnvShared>, engine: Engine, greets: bool) -> TransportContext {
    let env = env.id();
    // One per shard, made there when its first connection comes.
    TransportContext::new(engine, move || {
        let dispatcher = dispatcher_of(env);
        let files = dispatcher
            .as_ref()
            .map(|dispatcher| FileStreams::new(Arc::clone(dispatcher.env())));
        Rc::new(RingHandler {
            dispatcher,
            files,
            greets,
        })
    })
}

/// The connections of one shard.
struct RingHandler {
    /// None where the env has ended meanwhile.
    dispatcher: Option<Rc<Dispatcher>>,
    files: Option<FileStreams>,
    greets: bool,
}

/// The peer that is kept with a connection.
fn peer_of(connection: &Connection) -> Option<&Arc<Peer>> {
    connection.extension()?.downcast_ref()
}

impl RingHandler {
    fn live(&self) -> Option<&Rc<Dispatcher>> {
        self.dispatcher
            .as_ref()
            .filter(|dispatcher| !dispatcher.has_ended())
    }
}

impl RpcHandler for RingHandler {
    #[inline]
    fn receive(&self, from: &Connection, body: ReceivedBytes<'_>, reply: Responder<'_>) {
        match (self.live(), peer_of(from)) {
            (Some(dispatcher), Some(peer)) => {
                dispatcher.receive(&mut FromPeer {
                    body: BodyRef::of_wire(&body),
                    peer,
                    reply: Reply::Responder(reply),
                });
            }
            _ => reply.fail(&ENV_STOPPED.to_failure()),
        }
    }

    fn receive_one_way(&self, from: &Connection, body: ReceivedBytes<'_>) {
        if let (Some(dispatcher), Some(peer)) = (self.live(), peer_of(from)) {
            dispatcher.receive(&mut FromPeer {
                body: BodyRef::of_wire(&body),
                peer,
                reply: Reply::OneWay,
            });
        }
    }

    fn stream_manager(&self) -> Option<&dyn StreamManager> {
        let files = self.files.as_ref()?;
        Some(files)
    }

    fn channel_active(&self, connection: &Connection) {
        let Some(dispatcher) = self.live() else {
            return connection.close();
        };
        let socket = RpcAddress::of_socket(connection.peer());
        let (env, host) = (
            Arc::clone(dispatcher.env()),
            Arc::clone(dispatcher.handle()),
        );
        let peer = Peer::new(env, socket, host, connection.id());
        // Fresh: nobody else gives this env's connections state.
        let is_fresh = connection.set_extension(Rc::new(Arc::clone(&peer)));
        assert!(is_fresh, "a connection has one peer");
        let ring = connection::Connection::Ring(connection.clone());
        dispatcher.add_link(ring, peer, self.greets);
    }

    fn channel_inactive(&self, connection: &Connection) {
        if let Some(dispatcher) = &self.dispatcher {
            dispatcher.remove_link(connection.id(), failure(connection));
        }
    }
}

/// The failure that ended a connection, if one did: a peer that closes is no failure.
fn failure(connection: &Connection) -> Option<RpcError> {
    let reason = connection.close_reason()?;
    match &*reason {
        CloseReason::Peer
        | CloseReason::Drained { .. }
        | CloseReason::Local
        | CloseReason::Shutdown
        | CloseReason::Idle { .. } => None,
        _ => Some(RpcError::from(RequestError::Closed {
            peer: Arc::new(connection.peer().clone()),
            reason,
        })),
    }
}
