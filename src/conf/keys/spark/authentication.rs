//! Keys of authentication and encryption.
//!
//! The shuffle service asks Spark's clients for it. Nothing else has either yet (`docs/security.md`), so there
//! [`Conf::validate`] refuses a configuration that turns one of them on, instead of running without.
//!
//! [`Conf::validate`]: crate::conf::Conf::validate

use std::time::Duration;

use super::super::entries;
use crate::conf::entry::{choice, flag, int, list, size, text, time};
use crate::conf::size::ByteUnit::Byte;
use crate::conf::time::TimeUnit::Millis;

entries! {
    /// Whether peers must know a shared secret: asked of the clients of a shuffle service, an error elsewhere.
    AUTHENTICATE: bool = "spark.authenticate", flag()
        .default("false");

    /// The secret.
    AUTHENTICATE_SECRET: Option<String> = "spark.authenticate.secret", text();

    /// Whether SASL encrypts as well. Turning it on is refused: it is 3DES or RC4. Use
    /// `spark.network.crypto.enabled`.
    SASL_ENCRYPTION: bool = "spark.authenticate.enableSaslEncryption", flag()
        .default("false");

    /// Whether connections are encrypted with AES, likewise.
    CRYPTO_ENABLED: bool = "spark.network.crypto.enabled", flag()
        .default("false");

    /// Version of the key exchange; both sides must have the same.
    AUTH_ENGINE_VERSION: u32 = "spark.network.crypto.authEngineVersion", int()
        .default("1")
        .range("1", "2");

    /// The cipher; both sides must have the same.
    CRYPTO_CIPHER: String = "spark.network.crypto.cipher",
        choice(&["AES/CTR/NoPadding", "AES/GCM/NoPadding"])
        .default("AES/CTR/NoPadding");

    /// Whether SASL is used where the peer does not know the key exchange.
    SASL_FALLBACK: bool = "spark.network.crypto.saslFallback", flag()
        .default("true");

    /// Whether a server refuses SASL without encryption. Turning it on is refused, likewise.
    SASL_SERVER_ALWAYS_ENCRYPT: bool = "spark.network.sasl.serverAlwaysEncrypt", flag()
        .default("false");

    /// Bytes that SASL encrypts at a time.
    SASL_MAX_ENCRYPTED_BLOCK_SIZE: u64 = "spark.network.sasl.maxEncryptedBlockSize", size(Byte)
        .default("64k");

    /// Whether authentication that ran out of time is tried again.
    SASL_ENABLE_RETRIES: bool = "spark.shuffle.sasl.enableRetries", flag()
        .default("false");

    /// Bytes that TLS encrypts at a time.
    SSL_MAX_ENCRYPTED_BLOCK_SIZE: u64 = "spark.network.ssl.maxEncryptedBlockSize", size(Byte)
        .default("64k");

    /// Whether connections use TLS. Turning it on is refused: there is no TLS.
    SSL_ENABLED: bool = "spark.ssl.rpc.enabled", flag()
        .default("false");

    /// Version of TLS.
    SSL_PROTOCOL: Option<String> = "spark.ssl.rpc.protocol", text();

    /// The cipher suites that are allowed.
    SSL_ENABLED_ALGORITHMS: Option<Vec<String>> = "spark.ssl.rpc.enabledAlgorithms", list();

    /// The Java key store with this side's key.
    SSL_KEY_STORE: Option<String> = "spark.ssl.rpc.keyStore", text();

    /// Its password.
    SSL_KEY_STORE_PASSWORD: Option<String> = "spark.ssl.rpc.keyStorePassword", text();

    /// The password of the key in it.
    SSL_KEY_PASSWORD: Option<String> = "spark.ssl.rpc.keyPassword", text();

    /// This side's key, as PEM.
    SSL_PRIVATE_KEY: Option<String> = "spark.ssl.rpc.privateKey", text();

    /// Its password.
    SSL_PRIVATE_KEY_PASSWORD: Option<String> = "spark.ssl.rpc.privateKeyPassword", text();

    /// This side's certificates, as PEM.
    SSL_CERT_CHAIN: Option<String> = "spark.ssl.rpc.certChain", text();

    /// The Java key store with the certificates that are trusted. Without one, Spark trusts all.
    SSL_TRUST_STORE: Option<String> = "spark.ssl.rpc.trustStore", text();

    /// Its password.
    SSL_TRUST_STORE_PASSWORD: Option<String> = "spark.ssl.rpc.trustStorePassword", text();

    /// Whether it is read again when it changes.
    SSL_TRUST_STORE_RELOADING: bool = "spark.ssl.rpc.trustStoreReloadingEnabled", flag()
        .default("false");

    /// How often it is looked at.
    SSL_TRUST_STORE_RELOAD_INTERVAL: Duration = "spark.ssl.rpc.trustStoreReloadIntervalMs",
        time(Millis).default("10s");

    /// Whether OpenSSL is used in place of Java's TLS.
    SSL_OPEN_SSL_ENABLED: bool = "spark.ssl.rpc.openSslEnabled", flag()
        .default("false");
}
