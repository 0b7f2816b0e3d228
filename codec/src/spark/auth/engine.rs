//! The auth engine's one round trip: X25519, each public key encrypted under a key made from the secret.
//!
//! A side that can decrypt the other's key knows the secret. The answer is bound to the challenge, because
//! its key is derived from it. Spark's `AuthEngine`.

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes128Gcm, KeyInit};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::message::{EngineMessage, SALT_LEN, WRAPPED_LEN};
use super::random::bytes;
use super::session::{SessionKey, SessionKeys, derive};
use super::{AuthError, EngineVersion, Random, Secret};

/// The length of the AES-GCM nonce in front of a wrapped key.
const IV_LEN: usize = 12;

/// A client's side between challenge and response.
pub(super) struct Challenge {
    app_id: String,
    secret: Secret,
    private: StaticSecret,
    message: Vec<u8>,
}

impl Challenge {
    /// Makes a key and wraps its public half.
    pub(super) fn new(app_id: &str, secret: &Secret, random: &mut dyn Random) -> Self {
        let private = key(random);
        let message = wrap(app_id, secret, &PublicKey::from(&private), &[], random);
        Self {
            app_id: app_id.to_owned(),
            secret: secret.clone(),
            private,
            message,
        }
    }

    /// The body of the client's RPC.
    pub(super) fn message(&self) -> &[u8] {
        &self.message
    }

    /// Takes the body of the server's answer.
    pub(super) fn finish(
        self,
        answer: &[u8],
        version: EngineVersion,
    ) -> Result<SessionKeys, AuthError> {
        let response = EngineMessage::decode(answer)?;
        if response.app_id != self.app_id {
            return Err(AuthError::OtherApp {
                first: self.app_id,
                then: response.app_id.to_owned(),
            });
        }
        let theirs = unwrap(&response, &self.secret, &self.message)?;
        let (key, toward_client, toward_server) =
            agree(&self.private, &theirs, [&self.message, answer], version)?;
        Ok(SessionKeys {
            key,
            send_iv: toward_server,
            receive_iv: toward_client,
        })
    }
}

/// The server's side: takes the challenge, and gives the body of the answer and the keys.
pub(super) fn respond(
    challenge: &EngineMessage<'_>,
    secret: &Secret,
    version: EngineVersion,
    random: &mut dyn Random,
) -> Result<(Vec<u8>, SessionKeys), AuthError> {
    let mut asked = Vec::new();
    challenge.append_to(&mut asked);
    let theirs = unwrap(challenge, secret, &[])?;
    let private = key(random);
    let public = PublicKey::from(&private);
    let answer = wrap(challenge.app_id, secret, &public, &asked, random);
    let (key, toward_client, toward_server) = agree(&private, &theirs, [&asked, &answer], version)?;
    let keys = SessionKeys {
        key,
        send_iv: toward_client,
        receive_iv: toward_server,
    };
    Ok((answer, keys))
}

fn key(random: &mut dyn Random) -> StaticSecret {
    let seed = Zeroizing::new(bytes::<32>(random));
    StaticSecret::from(*seed)
}

/// The key that a public key is encrypted under: from the secret, the salt and everything said before.
fn wrapping_key(app_id: &str, secret: &Secret, salt: &[u8; SALT_LEN], before: &[u8]) -> Aes128Gcm {
    let mut key = Zeroizing::new([0; 16]);
    derive(
        secret.bytes(),
        salt,
        &[app_id.as_bytes(), salt, before],
        &mut key[..],
    );
    Aes128Gcm::new((&*key).into())
}

fn associated(app_id: &str, salt: &[u8; SALT_LEN], before: &[u8]) -> Vec<u8> {
    [app_id.as_bytes(), salt, before].concat()
}

fn wrap(
    app_id: &str,
    secret: &Secret,
    public: &PublicKey,
    before: &[u8],
    random: &mut dyn Random,
) -> Vec<u8> {
    let salt = bytes(random);
    let aead = wrapping_key(app_id, secret, &salt, before);
    let mut ciphertext = [0; WRAPPED_LEN];
    let (iv, rest) = ciphertext.split_at_mut(IV_LEN);
    let (key, tag) = rest.split_at_mut(32);
    random.fill(iv);
    key.copy_from_slice(public.as_bytes());
    let nonce = (&*iv).try_into().expect("a nonce has 12 bytes");
    let associated = associated(app_id, &salt, before);
    let made = aead.encrypt_inout_detached(nonce, &associated, key.into());
    tag.copy_from_slice(&made.expect("32 bytes are not too many"));
    let mut message = Vec::new();
    EngineMessage {
        app_id,
        salt: &salt,
        ciphertext: &ciphertext,
    }
    .append_to(&mut message);
    message
}

fn unwrap(
    message: &EngineMessage<'_>,
    secret: &Secret,
    before: &[u8],
) -> Result<PublicKey, AuthError> {
    let aead = wrapping_key(message.app_id, secret, message.salt, before);
    let (iv, rest) = message.ciphertext.split_at(IV_LEN);
    let (wrapped, tag) = rest.split_at(32);
    let mut key = [0; 32];
    key.copy_from_slice(wrapped);
    let nonce = iv.try_into().expect("a nonce has 12 bytes");
    let tag = tag.try_into().expect("a tag has 16 bytes");
    let associated = associated(message.app_id, message.salt, before);
    aead.decrypt_inout_detached(nonce, &associated, key.as_mut_slice().into(), tag)
        .map_err(|_| AuthError::WrongSecret {
            app_id: message.app_id.to_owned(),
        })?;
    Ok(PublicKey::from(key))
}

/// The session's key, the IV toward the client and the IV toward the server.
fn agree(
    private: &StaticSecret,
    theirs: &PublicKey,
    said: [&[u8]; 2],
    version: EngineVersion,
) -> Result<(SessionKey, [u8; 16], [u8; 16]), AuthError> {
    let shared = private.diffie_hellman(theirs);
    if !shared.was_contributory() {
        return Err(AuthError::WeakKey);
    }
    let shared = shared.as_bytes();
    let transcript = said.concat();
    let key = match version {
        EngineVersion::V1 => SessionKey::long(shared),
        EngineVersion::V2 => SessionKey::derived(16, shared, &transcript, &[b"derivedKey"]),
    };
    let (mut toward_client, mut toward_server) = ([0; 16], [0; 16]);
    derive(shared, &transcript, &[b"inputIv"], &mut toward_client);
    derive(shared, &transcript, &[b"outputIv"], &mut toward_server);
    Ok((key, toward_client, toward_server))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A peer that knows the secret and wants a session that others can read.
    #[test]
    fn keys_without_a_secret_are_refused() {
        let secret = Secret::from("s3cret");
        let mut random = |out: &mut [u8]| out.fill(9);
        // Points of order 1 and 2: what comes of them does not depend on the other key.
        for weak in [0, 1] {
            let mut point = [0; 32];
            point[0] = weak;
            let sent = wrap("app", &secret, &PublicKey::from(point), &[], &mut random);
            let challenge = EngineMessage::decode(&sent).expect("well made");
            let answer = respond(&challenge, &secret, EngineVersion::V2, &mut random);
            assert_eq!(answer.err(), Some(AuthError::WeakKey));
        }
        let good = PublicKey::from(&key(&mut random));
        let sent = wrap("app", &secret, &good, &[], &mut random);
        let challenge = EngineMessage::decode(&sent).expect("well made");
        assert!(respond(&challenge, &secret, EngineVersion::V2, &mut random).is_ok());
    }

    /// An answer to one challenge is none to another.
    #[test]
    fn an_answer_is_bound_to_its_challenge() {
        let secret = Secret::from("s3cret");
        let mut next = 0;
        let mut random = |out: &mut [u8]| {
            next += 1;
            out.fill(next);
        };
        let first = Challenge::new("app", &secret, &mut random);
        let second = Challenge::new("app", &secret, &mut random);
        let asked = EngineMessage::decode(first.message()).expect("well made");
        let (answer, _) = respond(&asked, &secret, EngineVersion::V1, &mut random).expect("good");
        let app_id = "app".to_owned();
        let refused = second.finish(&answer, EngineVersion::V1);
        assert_eq!(refused.err(), Some(AuthError::WrongSecret { app_id }));
        assert!(first.finish(&answer, EngineVersion::V1).is_ok());
    }
}
