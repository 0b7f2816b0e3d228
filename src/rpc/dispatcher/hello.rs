//! The messages of peers' envs themselves, on the thread of their connections.

use std::rc::Rc;
use std::sync::Arc;

use ringrail_codec::archive::access;
use ringrail_codec::native::FailureCode;
use ringrail_transport::RpcFailure;

use crate::rpc::error::RpcError;
use crate::rpc::event::NetworkEvent;
use crate::rpc::hello::{ArchivedHello, ArchivedLost, Hello, Lost, Names, Notice, Schemas};
use crate::rpc::id::{EndpointId, MessageId};
use crate::rpc::lost::LostMessage;
use crate::rpc::peer::{Peer, PeerEnv};
use crate::rpc::{RpcAddress, schema};

use super::Dispatcher;

/// A peer tells something.
pub(crate) fn receive(
    dispatcher: &Rc<Dispatcher>,
    peer: &Arc<Peer>,
    endpoint: EndpointId,
    body: &[u8],
) {
    let understood = if endpoint == Hello::TO {
        access::<Hello>(body).map(|hello| introduced(dispatcher, peer, hello))
    } else if endpoint == Schemas::TO {
        access::<Schemas>(body).map(|schemas| {
            for schema in schemas.schemas.iter() {
                compare(peer, schema.0.to_native(), schema.1.to_native());
            }
        })
    } else if endpoint == Lost::TO {
        access::<Lost>(body).map(|lost| lost_there(peer, lost))
    } else {
        access::<Names>(body).map(|names| {
            for name in names.names.iter() {
                peer.learn(name.0.to_native(), &name.1);
            }
        })
    };
    if let Err(error) = understood {
        tracing::warn!(target: "ringrail::rpc", peer = %peer.address(), %error, "not understood");
    }
}

fn introduced(dispatcher: &Rc<Dispatcher>, peer: &Arc<Peer>, hello: &ArchivedHello) {
    let address = hello
        .address
        .as_ref()
        .map(|address| RpcAddress::new(address.0.as_str(), address.1.to_native()));
    let socket = peer.socket().clone();
    let says = PeerEnv {
        id: hello.env.to_native(),
        address: address.clone(),
    };
    // A repeated hello is ignored; the socket's address was told when it connected.
    if let (true, Some(address)) = (peer.introduce(says), address)
        && address != socket
    {
        dispatcher.broadcast(peer, NetworkEvent::Connected(address));
    }
}

/// Compares a peer's meaning of a message's name with this program's.
fn compare(peer: &Arc<Peer>, id: u64, fingerprint: u64) {
    let Some(known) = schema::known(id) else {
        return;
    };
    if known.fingerprint != fingerprint {
        tracing::error!(
            target: "ringrail::rpc",
            peer = %peer.address(),
            message = known.name,
            here = known.type_name,
            fingerprint_here = known.fingerprint,
            fingerprint_there = fingerprint,
            "the peer's message of this name is another type: it is refused"
        );
        peer.mistrust(id);
    }
}

/// Why a peer's message is refused that is another type there.
#[cold]
pub(crate) fn another_type(peer: &Arc<Peer>, message: MessageId) -> RpcError {
    let known = schema::known(message.to_wire());
    RpcError::SchemaMismatch {
        message: peer.message_name(message),
        from: peer.address().to_string().into(),
        here: known.map_or("not known any more", |known| known.type_name),
    }
}

/// A message of this env was not handled by the peer's.
fn lost_there(peer: &Arc<Peer>, lost: &ArchivedLost) {
    let code = FailureCode::from_wire(lost.code.to_native());
    peer.env().losses.note(&LostMessage {
        endpoint: lost.endpoint.as_str().into(),
        message: lost.message.as_str().into(),
        cause: RpcError::Remote {
            address: peer.address().clone(),
            failure: RpcFailure::new(code, lost.cause.as_str()),
        },
    });
}
