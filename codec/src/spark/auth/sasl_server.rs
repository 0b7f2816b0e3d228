//! The server's side of SASL: a challenge, and the judgement of its answer.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use subtle::ConstantTimeEq;

use super::digest::{DIGEST_URI, Exchange, NONCE_COUNT, NONCE_LEN, REALM, USER};
use super::directives::{Directives, once};
use super::message::SaslMessage;
use super::random::bytes;
use super::{AuthError, Random, Secret};

/// The rest of the challenge, in Spark's words. It offers encryption (auth-conf) as Spark does, in order to
/// refuse a client that wants it with words that tell what to do; a client that is not offered it says only
/// that there is no common protection layer.
const OFFER: &str =
    "qop=\"auth-conf,auth\",charset=utf-8,cipher=\"3des,rc4,des,rc4-56,rc4-40\",algorithm=md5-sess";

/// A server that has sent its challenge.
#[derive(Debug)]
pub(super) struct SaslServer {
    app_id: String,
    /// The application's; without one the handshake goes on all the same, and fails like one with a wrong
    /// secret.
    secret: Option<Secret>,
    nonce: String,
}

impl SaslServer {
    /// Takes the client's first message and appends the challenge to `reply`.
    pub(super) fn begin(
        first: &SaslMessage<'_>,
        secret: Option<Secret>,
        random: &mut dyn Random,
        reply: &mut Vec<u8>,
    ) -> Result<Self, AuthError> {
        if !first.token.is_empty() {
            return Err(AuthError::Digest("the first token is not empty"));
        }
        let nonce = BASE64_STANDARD.encode(bytes::<NONCE_LEN>(random));
        let challenge = format!("realm=\"{REALM}\",nonce=\"{nonce}\",{OFFER}");
        reply.extend_from_slice(challenge.as_bytes());
        Ok(Self {
            app_id: first.app_id.to_owned(),
            secret,
            nonce,
        })
    }

    /// Takes the client's second message, appends the server's own proof to `reply` and gives the application
    /// that the client has proved to be.
    pub(super) fn finish(
        self,
        second: &SaslMessage<'_>,
        reply: &mut Vec<u8>,
    ) -> Result<String, AuthError> {
        if second.app_id != self.app_id {
            let (first, then) = (self.app_id, second.app_id.to_owned());
            return Err(AuthError::OtherApp { first, then });
        }
        let answer = Answer::read(second.token)?;
        answer.check(&self.nonce)?;
        let exchange = Exchange {
            realm: REALM,
            nonce: &self.nonce,
            cnonce: &answer.cnonce,
        };
        let Some(secret) = &self.secret else {
            return Err(AuthError::UnknownApp {
                app_id: self.app_id,
            });
        };
        let expected = exchange.response(secret);
        if !bool::from(expected[..].ct_eq(answer.response.as_bytes())) {
            return Err(AuthError::WrongSecret {
                app_id: self.app_id,
            });
        }
        reply.extend_from_slice(b"rspauth=");
        reply.extend_from_slice(&exchange.rspauth(secret));
        Ok(self.app_id)
    }
}

/// The fields of the client's second message.
struct Answer {
    username: String,
    realm: String,
    nonce: String,
    cnonce: String,
    nc: String,
    qop: String,
    digest_uri: String,
    response: String,
}

impl Answer {
    fn read(token: &[u8]) -> Result<Self, AuthError> {
        let mut directives = Directives::new(token)?;
        let (mut username, mut realm, mut nonce, mut cnonce) = (None, None, None, None);
        let (mut nc, mut qop, mut digest_uri, mut response) = (None, None, None, None);
        while let Some((name, value)) = directives.next()? {
            let slot = match name {
                "username" => &mut username,
                "realm" => &mut realm,
                "nonce" => &mut nonce,
                "cnonce" => &mut cnonce,
                "nc" => &mut nc,
                "qop" => &mut qop,
                "digest-uri" => &mut digest_uri,
                "response" => &mut response,
                // charset, maxbuf and what is not known.
                _ => continue,
            };
            once(slot, value)?;
        }
        let missing = AuthError::Digest("an answer without all that it must have");
        let need = |value: Option<std::borrow::Cow<'_, str>>| {
            value
                .map(|value| value.into_owned())
                .ok_or_else(|| missing.clone())
        };
        Ok(Self {
            username: need(username)?,
            realm: need(realm)?,
            nonce: need(nonce)?,
            cnonce: need(cnonce)?,
            nc: need(nc)?,
            qop: qop.map_or_else(|| "auth".to_owned(), |qop| qop.into_owned()),
            digest_uri: need(digest_uri)?,
            response: need(response)?,
        })
    }

    /// Everything but the proof.
    fn check(&self, nonce: &str) -> Result<(), AuthError> {
        if self.qop != "auth" {
            return Err(AuthError::SaslEncryptionWanted);
        }
        let wrong = match () {
            () if self.nonce != nonce => "an answer to another challenge",
            () if self.username != USER => "a user other than sparkSaslUser",
            () if self.realm != REALM => "a realm other than default",
            () if self.nc != NONCE_COUNT => "a nonce that is used again",
            () if !self.digest_uri.eq_ignore_ascii_case(DIGEST_URI) => {
                "a service other than null/default"
            }
            () if self.cnonce.is_empty() => "an empty cnonce",
            () => return Ok(()),
        };
        Err(AuthError::Digest(wrong))
    }
}
