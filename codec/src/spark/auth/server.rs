//! The server's side of a handshake, of either kind.

use super::engine::respond;
use super::message::{EngineMessage, SaslMessage};
use super::sasl_server::SaslServer;
use super::{AuthEngine, AuthError, Authenticated, Random, Secret, ServerMode};

/// The next action of a server.
#[derive(Debug)]
pub enum ServerStep {
    /// Send the reply and wait for the next RPC.
    Reply,
    /// Send the reply, in plain: behind it the connection is authenticated, and everything in both directions
    /// goes through the records, if there are any.
    Done(Authenticated),
}

/// One connection's handshake: give it the body of every RPC until it is done.
///
/// While it is not, everything else that the peer sends is to be refused: one-way messages, uploads, chunks
/// and streams too. (Spark's own server guards only RPCs.)
///
/// ```
/// use ringrail_codec::spark::auth::{
///     ClientAuth, ClientMode, ClientStep, Secret, ServerAuth, ServerMode, ServerStep,
/// };
/// // For an example only: not random at all.
/// let mut random = |out: &mut [u8]| out.fill(7);
/// let secrets = |app_id: &str| (app_id == "app-1").then(|| Secret::from("s3cret"));
///
/// let mut client = ClientAuth::new(ClientMode::Sasl, "app-1", Secret::from("s3cret"));
/// let mut server = ServerAuth::new(ServerMode::Sasl);
/// let (mut asked, mut reply) = (Vec::new(), Vec::new());
/// client.start(&mut random, &mut asked)?;
/// let step = server.receive(&asked, &secrets, &mut random, &mut reply)?;
/// assert!(matches!(step, ServerStep::Reply));
/// asked.clear();
/// assert!(matches!(client.receive(&reply, &mut random, &mut asked)?, ClientStep::Send));
/// reply.clear();
/// let step = server.receive(&asked, &secrets, &mut random, &mut reply)?;
/// assert!(matches!(step, ServerStep::Done(client) if client.app_id == "app-1"));
/// assert!(matches!(client.receive(&reply, &mut random, &mut asked)?, ClientStep::Done(_)));
/// # Ok::<(), ringrail_codec::spark::auth::AuthError>(())
/// ```
#[derive(Debug)]
pub struct ServerAuth {
    mode: ServerMode,
    state: State,
}

#[derive(Debug)]
enum State {
    Start,
    Challenged(SaslServer),
    Over,
}

impl ServerAuth {
    /// A server at the beginning of a connection.
    pub const fn new(mode: ServerMode) -> Self {
        let state = State::Start;
        Self { mode, state }
    }

    /// Takes the body of an RPC and appends the body of its answer to `reply`. `secrets` gives an
    /// application's secret, if it has one.
    ///
    /// # Errors
    /// [`AuthError`]: answer with an RpcFailure of [`AuthError::peer_text`] and, unless
    /// [`AuthError::keeps_connection`], close.
    pub fn receive(
        &mut self,
        body: &[u8],
        secrets: &dyn Fn(&str) -> Option<Secret>,
        random: &mut dyn Random,
        reply: &mut Vec<u8>,
    ) -> Result<ServerStep, AuthError> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Start => self.begin(body, secrets, random, reply),
            State::Challenged(sasl) => {
                let app_id = sasl.finish(&SaslMessage::decode(body)?, reply)?;
                let records = None;
                Ok(ServerStep::Done(Authenticated { app_id, records }))
            }
            State::Over => Err(AuthError::OutOfTurn("a connection has one attempt")),
        }
    }

    fn begin(
        &mut self,
        body: &[u8],
        secrets: &dyn Fn(&str) -> Option<Secret>,
        random: &mut dyn Random,
        reply: &mut Vec<u8>,
    ) -> Result<ServerStep, AuthError> {
        match self.mode {
            ServerMode::Engine { engine, .. } if EngineMessage::is(body) => {
                return finish_engine(engine, body, secrets, random, reply);
            }
            ServerMode::Engine {
                sasl_fallback: false,
                ..
            } => return Err(AuthError::UnknownChallenge),
            _ => {}
        }
        if !SaslMessage::is(body) {
            self.state = State::Start;
            return Err(AuthError::ExpectedSasl);
        }
        let first = SaslMessage::decode(body)?;
        let secret = secrets(first.app_id);
        self.state = State::Challenged(SaslServer::begin(&first, secret, random, reply)?);
        Ok(ServerStep::Reply)
    }
}

fn finish_engine(
    engine: AuthEngine,
    body: &[u8],
    secrets: &dyn Fn(&str) -> Option<Secret>,
    random: &mut dyn Random,
    reply: &mut Vec<u8>,
) -> Result<ServerStep, AuthError> {
    let challenge = EngineMessage::decode(body)?;
    let app_id = challenge.app_id.to_owned();
    let Some(secret) = secrets(&app_id) else {
        return Err(AuthError::UnknownApp { app_id });
    };
    let (answer, keys) = respond(&challenge, &secret, engine.version, random)?;
    reply.extend_from_slice(&answer);
    let records = Some(keys.records(engine.cipher));
    Ok(ServerStep::Done(Authenticated { app_id, records }))
}
