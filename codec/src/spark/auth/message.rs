//! The two messages of handshakes: bodies of RpcRequests, told apart by their first byte.

use super::{AuthError, MAX_HANDSHAKE_LEN};
use crate::spark::FieldError;
use crate::spark::wire::{Field, Fields, Writer};

/// Begins a [`SaslMessage`].
const SASL_TAG: u8 = 0xea;
/// Begins an [`EngineMessage`].
const ENGINE_TAG: u8 = 0xfb;

/// The length of [`EngineMessage::salt`].
pub(super) const SALT_LEN: usize = 16;
/// The length of [`EngineMessage::ciphertext`]: IV, X25519 public key, tag.
pub(super) const WRAPPED_LEN: usize = 12 + 32 + 16;

/// A client's SASL token. (The server's are sent bare.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SaslMessage<'a> {
    pub(super) app_id: &'a str,
    pub(super) token: &'a [u8],
}

impl<'a> SaslMessage<'a> {
    /// Whether `body` begins as one.
    pub(super) fn is(body: &[u8]) -> bool {
        body.first() == Some(&SASL_TAG)
    }

    /// The token is what is left: its length field is not looked at, as Spark's reader does it.
    pub(super) fn decode(body: &'a [u8]) -> Result<Self, AuthError> {
        let mut fields = tagged(body, SASL_TAG)?;
        let app_id = fields.get("app_id")?;
        let _token_len: i32 = fields.get("token_len")?;
        let token = fields.rest();
        Ok(Self { app_id, token })
    }

    pub(super) fn append_to(&self, out: &mut Vec<u8>) {
        append(out, SASL_TAG, &[&self.app_id.as_bytes(), &self.token]);
    }
}

/// A public key on its way, encrypted with a key made from the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EngineMessage<'a> {
    pub(super) app_id: &'a str,
    pub(super) salt: &'a [u8; SALT_LEN],
    pub(super) ciphertext: &'a [u8; WRAPPED_LEN],
}

impl<'a> EngineMessage<'a> {
    /// Whether `body` begins as one.
    pub(super) fn is(body: &[u8]) -> bool {
        body.first() == Some(&ENGINE_TAG)
    }

    pub(super) fn decode(body: &'a [u8]) -> Result<Self, AuthError> {
        let mut fields = tagged(body, ENGINE_TAG)?;
        let app_id = fields.get("app_id")?;
        let salt = exactly(&mut fields, "salt", "16 bytes")?;
        let ciphertext = exactly(&mut fields, "ciphertext", "60 bytes")?;
        fields.end()?;
        Ok(Self {
            app_id,
            salt,
            ciphertext,
        })
    }

    pub(super) fn append_to(&self, out: &mut Vec<u8>) {
        let Self {
            app_id,
            salt,
            ciphertext,
        } = self;
        append(
            out,
            ENGINE_TAG,
            &[&app_id.as_bytes(), &&salt[..], &&ciphertext[..]],
        );
    }
}

fn tagged(body: &[u8], tag: u8) -> Result<Fields<'_>, AuthError> {
    let len = body.len();
    if len > MAX_HANDSHAKE_LEN {
        let limit = MAX_HANDSHAKE_LEN;
        return Err(AuthError::TooLong { len, limit });
    }
    let mut fields = Fields::new(body);
    let found: u8 = fields.get("tag")?;
    if found != tag {
        return Err(AuthError::ExpectedSasl);
    }
    Ok(fields)
}

fn exactly<'a, const N: usize>(
    fields: &mut Fields<'a>,
    field: &'static str,
    expected: &'static str,
) -> Result<&'a [u8; N], FieldError> {
    let bytes: &[u8] = fields.get(field)?;
    bytes.as_array().ok_or(FieldError::Value {
        field,
        value: bytes.len() as i64,
        expected,
    })
}

fn append(out: &mut Vec<u8>, tag: u8, parts: &[&&[u8]]) {
    let len = parts.iter().map(|part| part.wire_len()).sum::<usize>();
    let at = out.len();
    out.resize(at + 1 + len, tag);
    let mut writer = Writer::new(&mut out[at + 1..]);
    parts.iter().for_each(|part| writer.put(*part));
}
