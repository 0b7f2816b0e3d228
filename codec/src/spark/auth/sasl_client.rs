//! The client's side of SASL: an answer to the challenge, and the judgement of the server's proof.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use subtle::ConstantTimeEq;

use super::digest::{DIGEST_URI, Exchange, NONCE_COUNT, NONCE_LEN, REALM, USER};
use super::directives::{Directives, once, quote};
use super::message::SaslMessage;
use super::random::bytes;
use super::{AuthError, Random, Secret};

/// Appends the client's first message, which has an empty token, to `out`.
pub(super) fn begin(app_id: &str, out: &mut Vec<u8>) {
    SaslMessage { app_id, token: b"" }.append_to(out);
}

/// A client that has answered the challenge.
#[derive(Debug)]
pub(super) struct SaslClient {
    /// The proof expected from the server.
    rspauth: [u8; 32],
}

impl SaslClient {
    /// Takes the server's challenge and appends the answer to `out`.
    pub(super) fn answer(
        app_id: &str,
        secret: &Secret,
        challenge: &[u8],
        random: &mut dyn Random,
        out: &mut Vec<u8>,
    ) -> Result<Self, AuthError> {
        let (realm, nonce) = read_challenge(challenge)?;
        let cnonce = BASE64_STANDARD.encode(bytes::<NONCE_LEN>(random));
        let exchange = Exchange {
            realm: &realm,
            nonce: &nonce,
            cnonce: &cnonce,
        };
        let response = exchange.response(secret);
        let mut token = String::from("charset=utf-8,");
        quote(&mut token, "username", USER);
        token.push(',');
        quote(&mut token, "realm", &realm);
        token.push(',');
        quote(&mut token, "nonce", &nonce);
        let response: String = response.map(char::from).iter().collect();
        token.push_str(&format!(
            ",nc={NONCE_COUNT},cnonce=\"{cnonce}\",digest-uri=\"{DIGEST_URI}\",maxbuf=65536,\
             response={response},qop=auth"
        ));
        let token = token.as_bytes();
        SaslMessage { app_id, token }.append_to(out);
        let rspauth = exchange.rspauth(secret);
        Ok(Self { rspauth })
    }

    /// Takes the server's proof.
    pub(super) fn finish(self, app_id: &str, token: &[u8]) -> Result<(), AuthError> {
        let mut rspauth = None;
        let mut directives = Directives::new(token)?;
        while let Some((name, value)) = directives.next()? {
            if name == "rspauth" {
                once(&mut rspauth, value)?;
            }
        }
        let rspauth = rspauth.ok_or(AuthError::Digest("the server proves nothing"))?;
        if !bool::from(self.rspauth[..].ct_eq(rspauth.as_bytes())) {
            let app_id = app_id.to_owned();
            return Err(AuthError::WrongSecret { app_id });
        }
        Ok(())
    }
}

/// The realm and the nonce of a challenge that can be answered.
fn read_challenge(token: &[u8]) -> Result<(String, String), AuthError> {
    let mut directives = Directives::new(token)?;
    let (mut realm, mut nonce, mut qop, mut algorithm) = (None, None, None, None);
    while let Some((name, value)) = directives.next()? {
        match name {
            // There may be several; the first is as good as any.
            "realm" => realm = realm.or(Some(value)),
            "nonce" => once(&mut nonce, value)?,
            "qop" => once(&mut qop, value)?,
            "algorithm" => once(&mut algorithm, value)?,
            _ => {}
        }
    }
    if algorithm.as_deref() != Some("md5-sess") {
        return Err(AuthError::Digest(
            "a challenge of another algorithm than md5-sess",
        ));
    }
    if qop.is_some_and(|qop| !qop.split(',').any(|one| one.trim() == "auth")) {
        return Err(AuthError::SaslEncryptionRequired);
    }
    let nonce = nonce.ok_or(AuthError::Digest("a challenge without a nonce"))?;
    let realm = realm.map_or_else(|| REALM.to_owned(), |realm| realm.into_owned());
    Ok((realm, nonce.into_owned()))
}
