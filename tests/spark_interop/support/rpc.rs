//! A process with endpoints of Spark's RPC environment, played by a test: it answers as the test says, and
//! keeps what it is told.

use std::rc::Rc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use ringrail::codec::java::{Limits, Profile};
use ringrail::codec::native::FailureCode;
use ringrail::codec::spark::rpc::{
    CheckExistence, JavaValue, Message, NettyRpcEndpointRef, RequestHead, RpcAddress, SocketName,
    Version, encode,
};
use ringrail::transport::spark::Protocols;
use ringrail::{
    Connection, ReceivedBytes, Responder, RpcFailure, RpcHandler, TransportClient,
    TransportContext, TransportServer,
};

use super::echo::engine;

/// How long a test waits for a message.
const PATIENCE: Duration = Duration::from_secs(60);

/// A one-way message, or an ask that was answered.
pub(crate) struct Told {
    pub(crate) endpoint: String,
    pub(crate) message: Message,
    /// The connection it came on, for messages to who sent it.
    pub(crate) from: TransportClient,
}

/// The process.
pub(crate) struct Node {
    profile: &'static Profile,
    port: u16,
    told: Receiver<Told>,
    context: TransportContext,
    _server: TransportServer,
}

impl Node {
    /// Listens, with these endpoints and the verifier. Every ask but the verifier's is answered with true.
    pub(crate) fn start(version: Version, endpoints: &'static [&'static str]) -> Self {
        Self::answering(version.profile(), endpoints, |_, _| Message::Boolean(true))
    }

    /// As [`Node::start`], with another answer to asks; it gets the port too.
    pub(crate) fn answering(
        profile: &'static Profile,
        endpoints: &'static [&'static str],
        answer: fn(&Message, u16) -> Message,
    ) -> Self {
        let (sender, told) = channel();
        let sender = Arc::new(std::sync::Mutex::new(sender));
        let port = Arc::new(OnceLock::new());
        let known = Arc::clone(&port);
        let context = TransportContext::new(engine(), move || {
            let sender = sender.lock().expect("no panic").clone();
            Rc::new(Endpoints {
                profile,
                endpoints,
                answer,
                port: Arc::clone(&known),
                sender,
            })
        });
        let context = context.with_protocols(Protocols::Either);
        let addr = "127.0.0.1:0".parse().expect("an address");
        let server = context.create_server(addr).expect("a port");
        let own = server.port().expect("a port");
        port.set(own).expect("set once");
        Self {
            profile,
            port: own,
            told,
            context,
            _server: server,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The process's address.
    pub(crate) fn address(&self) -> RpcAddress {
        local(self.port)
    }

    /// A reference to an endpoint here.
    pub(crate) fn endpoint(&self, name: &str) -> NettyRpcEndpointRef {
        NettyRpcEndpointRef::new(name, Some(self.address()), 120)
    }

    /// Connects to another process.
    pub(crate) fn connect(&self, port: u16) -> TransportClient {
        let clients = self.context.create_spark_client_factory(None, Vec::new());
        let client = clients.create_client_blocking(&format!("127.0.0.1:{port}"));
        client.expect("connected")
    }

    fn body(&self, endpoint: &str, message: &impl JavaValue) -> Vec<u8> {
        let head = RequestHead {
            sender: Some(("127.0.0.1", self.port).into()),
            receiver: None::<SocketName<'_>>,
            endpoint: endpoint.into(),
        };
        let mut body = Vec::new();
        head.append_to(&mut body).expect("short names");
        encode(message, self.profile, &Limits::DEFAULT, &mut body).expect("a message");
        body
    }

    /// Tells an endpoint of a peer.
    pub(crate) fn send(&self, to: &TransportClient, endpoint: &str, message: &impl JavaValue) {
        to.send(self.body(endpoint, message)).expect("sent");
    }

    /// Asks an endpoint of a peer.
    pub(crate) fn ask(
        &self,
        to: &TransportClient,
        endpoint: &str,
        message: &impl JavaValue,
    ) -> Message {
        let reply = to.send_rpc(self.body(endpoint, message)).wait();
        let reply = reply.unwrap_or_else(|error| panic!("{error}"));
        Message::decode(&reply, &Limits::DEFAULT).expect("a reply")
    }

    /// Asks the verifier of a peer.
    pub(crate) fn exists(&self, at: &TransportClient, endpoint: &str) -> Message {
        let name = endpoint.to_owned();
        self.ask(at, RequestHead::VERIFIER, &CheckExistence { name })
    }

    /// The next message that `wanted` takes; others are passed over. A daemon that is silent shows its log.
    pub(crate) fn next<T>(
        &self,
        log: impl Fn() -> String,
        mut wanted: impl FnMut(Told) -> Option<T>,
    ) -> T {
        let started = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(started.elapsed());
            match self.told.recv_timeout(left) {
                Ok(told) => {
                    if let Some(found) = wanted(told) {
                        return found;
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("no such message came: {}", log())
                }
            }
        }
    }
}

/// An address on this host.
pub(crate) fn local(port: u16) -> RpcAddress {
    RpcAddress {
        host: "127.0.0.1".to_owned(),
        port: i32::from(port),
    }
}

/// The endpoints on one shard.
struct Endpoints {
    profile: &'static Profile,
    endpoints: &'static [&'static str],
    answer: fn(&Message, u16) -> Message,
    port: Arc<OnceLock<u16>>,
    sender: Sender<Told>,
}

impl Endpoints {
    fn decode(&self, from: &Connection, body: &[u8]) -> Result<Told, String> {
        let (head, stream) = RequestHead::decode(body).map_err(|error| error.to_string())?;
        let message =
            Message::decode(stream, &Limits::DEFAULT).map_err(|error| error.to_string())?;
        let endpoint = head.endpoint.into_owned();
        if endpoint != RequestHead::VERIFIER && !self.endpoints.contains(&endpoint.as_str()) {
            return Err(format!(
                "org.apache.spark.SparkException: Could not find {endpoint}."
            ));
        }
        Ok(Told {
            endpoint,
            message,
            from: from.client(),
        })
    }
}

impl RpcHandler for Endpoints {
    fn receive(&self, from: &Connection, body: ReceivedBytes<'_>, reply: Responder<'_>) {
        let told = match self.decode(from, body.bytes()) {
            Ok(told) => told,
            Err(text) => return reply.fail(&RpcFailure::new(FailureCode::Internal, text)),
        };
        let answer = match &told.message {
            Message::CheckExistence(asked) => {
                Message::Boolean(self.endpoints.contains(&asked.name.as_str()))
            }
            asked => (self.answer)(asked, *self.port.get().expect("listening")),
        };
        let mut stream = Vec::new();
        encode(&answer, self.profile, &Limits::DEFAULT, &mut stream).expect("an answer");
        // The test may have ended.
        let _ = self.sender.send(told);
        reply.reply(&stream);
    }

    fn receive_one_way(&self, from: &Connection, body: ReceivedBytes<'_>) {
        match self.decode(from, body.bytes()) {
            Ok(told) => drop(self.sender.send(told)),
            Err(text) => panic!("an undecodable message: {text}"),
        }
    }
}
