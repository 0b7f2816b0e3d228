//! Messages between two envs themselves: their identities, and the names of their ids.
//!
//! One-way messages to endpoints whose names no user can register. *Hello* is the first message of
//! either side; *names* and *schemas* precede the first message that uses them; *lost* tells that a message which wanted no
//! reply was not handled.

use std::rc::Rc;
use std::sync::Arc;

use rkyv::{Archive, Deserialize, Serialize};

use ringrail_codec::archive::access;
use ringrail_codec::native::FailureCode;
use ringrail_transport::RpcFailure;

use super::RpcAddress;
use super::dispatcher::Dispatcher;
use super::error::RpcError;
use super::id::{EndpointId, MessageId};
use super::inbox::NetworkEvent;
use super::lost::LostMessage;
use super::message::Message;
use super::outbox::Link;
use super::peer::{Peer, PeerEnv};
use super::schema::{self, Schema};

/// Takes hellos.
const HELLO: EndpointId = EndpointId::of("/hello");

/// Takes names.
const NAMES: EndpointId = EndpointId::of("/names");

/// Takes fingerprints of messages.
const SCHEMAS: EndpointId = EndpointId::of("/schemas");

/// Takes news of lost messages.
const LOST: EndpointId = EndpointId::of("/lost");

/// Whether messages to this endpoint are the env's own.
pub(crate) fn is_reserved(endpoint: EndpointId) -> bool {
    [HELLO, NAMES, SCHEMAS, LOST].contains(&endpoint)
}

/// The identity of an env.
#[derive(Archive, Serialize, Deserialize)]
struct Hello {
    /// Tells the env from all others.
    env: u64,
    /// Its name.
    name: String,
    /// The address that it listens at; none in client mode.
    address: Option<(String, u16)>,
}

impl Message for Hello {
    type Reply = ();
    const NAME: &'static str = "rpc.Hello";
}

/// Names of ids.
#[derive(Archive, Serialize, Deserialize)]
struct Names {
    names: Vec<(u64, String)>,
}

impl Message for Names {
    type Reply = ();
    const NAME: &'static str = "rpc.Names";
}

/// Layouts of messages: id and fingerprint.
#[derive(Archive, Serialize, Deserialize)]
struct Schemas {
    schemas: Vec<(u64, u64)>,
}

impl Message for Schemas {
    type Reply = ();
    const NAME: &'static str = "rpc.Schemas";
}

/// Tells a peer what a message looks like.
pub(crate) fn tell_schema(link: &Link, schema: &Schema) {
    let schemas = vec![(schema.id.to_wire(), schema.fingerprint)];
    if let Err(error) = link.send_raw(SCHEMAS, &Schemas { schemas }) {
        tracing::debug!(target: "ringrail::rpc", peer = %link.peer().address(), %error, "schema not told");
    }
}

/// A message that wanted no reply came and was not handled.
#[derive(Archive, Serialize, Deserialize)]
struct Lost {
    /// The endpoint's name.
    endpoint: String,
    /// The message's name.
    message: String,
    /// Why it was not handled.
    cause: String,
    /// The number of the kind of failure.
    code: u16,
}

impl Message for Lost {
    type Reply = ();
    const NAME: &'static str = "rpc.Lost";
}

/// Tells a peer that a message of its env is lost.
pub(crate) fn tell_lost(link: &Link, lost: &LostMessage) {
    let notice = Lost {
        endpoint: lost.endpoint.to_string(),
        message: lost.message.to_string(),
        cause: lost.cause.to_string(),
        code: lost.cause.code().to_wire(),
    };
    if let Err(error) = link.send_raw(LOST, &notice) {
        tracing::debug!(target: "ringrail::rpc", peer = %link.peer().address(), %error, "loss not told");
    }
}

/// Tells a new peer who we are, once.
pub(crate) fn greet(link: &Link) {
    if !link.is_first_greeting() {
        return;
    }
    let env = link.peer().env();
    let hello = Hello {
        env: env.id(),
        name: env.name().to_owned(),
        address: env
            .address()
            .map(|address| (address.host().to_owned(), address.port())),
    };
    if let Err(error) = link.send_raw(HELLO, &hello) {
        tracing::debug!(target: "ringrail::rpc", peer = %link.peer().address(), %error, "not greeted");
    }
}

/// Tells a peer what ids stand for.
pub(crate) fn tell_names(link: &Link, names: Vec<(u64, String)>) {
    if let Err(error) = link.send_raw(NAMES, &Names { names }) {
        tracing::debug!(target: "ringrail::rpc", peer = %link.peer().address(), %error, "names not told");
    }
}

/// A peer tells something.
pub(crate) fn receive(
    dispatcher: &Rc<Dispatcher>,
    peer: &Arc<Peer>,
    endpoint: EndpointId,
    body: &[u8],
) {
    let understood = if endpoint == HELLO {
        access::<Hello>(body).map(|hello| introduced(dispatcher, peer, hello))
    } else if endpoint == SCHEMAS {
        access::<Schemas>(body).map(|schemas| {
            for schema in schemas.schemas.iter() {
                compare(peer, schema.0.to_native(), schema.1.to_native());
            }
        })
    } else if endpoint == LOST {
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
    peer.env().losses().note(&LostMessage {
        endpoint: lost.endpoint.as_str().into(),
        message: lost.message.as_str().into(),
        cause: RpcError::Remote {
            address: peer.address().clone(),
            failure: RpcFailure::new(code, lost.cause.as_str()),
        },
    });
}
