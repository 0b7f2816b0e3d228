//! The kinds of authentication that Spark has.

use ringrail::transport::spark::{AuthEngine, Cipher, EngineVersion};

use super::{Conf, conf};

/// SASL alone, and the AES engine in both versions with both ciphers: as ringrail is told, and as Spark is.
pub(crate) fn kinds() -> Vec<(Option<AuthEngine>, Conf)> {
    let mut kinds = vec![(None, Conf::new())];
    for cipher in [Cipher::AesCtr, Cipher::AesGcm] {
        for (version, number) in [(EngineVersion::V1, "1"), (EngineVersion::V2, "2")] {
            let named = conf(&[
                ("spark.network.crypto.enabled", "true"),
                ("spark.network.crypto.saslFallback", "false"),
                ("spark.network.crypto.authEngineVersion", number),
                ("spark.network.crypto.cipher", cipher.name()),
            ]);
            kinds.push((Some(AuthEngine { version, cipher }), named));
        }
    }
    kinds
}
