//! The client's side of a handshake, of either kind.

use super::engine::Challenge;
use super::sasl_client::{self, SaslClient};
use super::{AuthEngine, AuthError, Authenticated, ClientMode, MAX_HANDSHAKE_LEN, Random, Secret};

/// The next action of a client.
#[derive(Debug)]
pub enum ClientStep {
    /// Send the next RPC.
    Send,
    /// The connection is authenticated; from here on everything in both directions goes through the records,
    /// if there are any.
    Done(Authenticated),
}

/// One connection's handshake: send what it writes as the body of an RPC, and give it the answer.
pub struct ClientAuth {
    mode: ClientMode,
    app_id: String,
    secret: Secret,
    state: State,
    /// The server's text when it refused the engine; SASL follows in its place.
    engine_refused: Option<String>,
}

enum State {
    Start,
    Engine(AuthEngine, Challenge),
    /// SASL's first message is sent.
    Asked,
    Answered(SaslClient),
    Over,
}

impl ClientAuth {
    /// A client that speaks for `app_id`.
    pub fn new(mode: ClientMode, app_id: &str, secret: Secret) -> Self {
        Self {
            mode,
            app_id: app_id.to_owned(),
            secret,
            state: State::Start,
            engine_refused: None,
        }
    }

    /// Appends the body of the first RPC to `out`.
    ///
    /// # Errors
    /// [`AuthError::OutOfTurn`] if it is called again.
    pub fn start(&mut self, random: &mut dyn Random, out: &mut Vec<u8>) -> Result<(), AuthError> {
        if !matches!(self.state, State::Start) {
            return Err(AuthError::OutOfTurn("a client starts once"));
        }
        self.state = match self.mode {
            ClientMode::Sasl => {
                sasl_client::begin(&self.app_id, out);
                State::Asked
            }
            ClientMode::Engine { engine, .. } => {
                let challenge = Challenge::new(&self.app_id, &self.secret, random);
                out.extend_from_slice(challenge.message());
                State::Engine(engine, challenge)
            }
        };
        Ok(())
    }

    /// Takes the body of an RpcResponse, and appends the body of the next RPC to `out` if there is one.
    ///
    /// # Errors
    /// [`AuthError`]: close the connection.
    pub fn receive(
        &mut self,
        answer: &[u8],
        random: &mut dyn Random,
        out: &mut Vec<u8>,
    ) -> Result<ClientStep, AuthError> {
        let len = answer.len();
        if len > MAX_HANDSHAKE_LEN {
            self.state = State::Over;
            let limit = MAX_HANDSHAKE_LEN;
            return Err(AuthError::TooLong { len, limit });
        }
        let records = match std::mem::replace(&mut self.state, State::Over) {
            State::Engine(engine, challenge) => {
                let keys = challenge.finish(answer, engine.version)?;
                Some(keys.records(engine.cipher))
            }
            State::Asked => {
                let sasl = SaslClient::answer(&self.app_id, &self.secret, answer, random, out)?;
                self.state = State::Answered(sasl);
                return Ok(ClientStep::Send);
            }
            State::Answered(sasl) => {
                sasl.finish(&self.app_id, answer)?;
                None
            }
            State::Start | State::Over => {
                return Err(AuthError::OutOfTurn("an answer that nobody waits for"));
            }
        };
        let app_id = self.app_id.clone();
        Ok(ClientStep::Done(Authenticated { app_id, records }))
    }

    /// Takes the text of an RpcFailure. If the engine is refused and SASL is allowed as a fallback, SASL
    /// begins on the same connection: the body of its first RPC is appended to `out`.
    ///
    /// # Errors
    /// [`AuthError::Refused`], or [`AuthError::FallbackRefused`] where SASL was tried already: close the connection.
    pub fn failed(&mut self, text: &str, out: &mut Vec<u8>) -> Result<ClientStep, AuthError> {
        let was = std::mem::replace(&mut self.state, State::Over);
        let fallback = matches!(
            self.mode,
            ClientMode::Engine {
                sasl_fallback: true,
                ..
            }
        );
        let text = first_line(text);
        if fallback && matches!(was, State::Engine(..)) {
            sasl_client::begin(&self.app_id, out);
            self.state = State::Asked;
            self.engine_refused = Some(text);
            return Ok(ClientStep::Send);
        }
        Err(match self.engine_refused.take() {
            Some(engine) => AuthError::FallbackRefused { engine, sasl: text },
            None => AuthError::Refused { text },
        })
    }

    /// The error for a connection that ends during the handshake: a server that has refused the engine usually
    /// closes instead of answering SASL. `None` if no refusal came before.
    pub fn ended(&self) -> Option<AuthError> {
        let engine = self.engine_refused.clone()?;
        let sasl = "the server closed the connection".to_owned();
        Some(AuthError::FallbackRefused { engine, sasl })
    }
}

/// The first line of a failure's text says why; a stack stands behind it.
fn first_line(text: &str) -> String {
    let text = crate::spark::failure_text(text);
    text.lines()
        .next()
        .unwrap_or_default()
        .trim_end()
        .to_owned()
}

impl std::fmt::Debug for ClientAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ClientAuth({}, {:?})", self.app_id, self.mode)
    }
}
