//! Spark authentication settings of a server or a client. Read by the handshakes of `conn::spark`.

use std::fmt;
use std::sync::Arc;

use ringrail_codec::spark::auth::{ClientMode, Secret, ServerMode};

/// Finds the secret of an application.
type SecretOf = dyn Fn(&str) -> Option<Secret> + Send + Sync;

/// The authentication that a server asks of Spark's clients (Spark: `AuthServerBootstrap`,
/// `SaslServerBootstrap`, `SecretKeyHolder`).
///
/// ```
/// use ringrail_transport::spark::{Secret, ServerAuthentication, ServerMode};
/// let auth = ServerAuthentication::new(ServerMode::Sasl, |app_id| {
///     (app_id == "app-1").then(|| Secret::from("of app-1 alone"))
/// });
/// assert_eq!(format!("{auth:?}"), "ServerAuthentication(Sasl)");
/// ```
#[derive(Clone)]
pub struct ServerAuthentication {
    mode: ServerMode,
    secret_of: Arc<SecretOf>,
}

impl ServerAuthentication {
    /// Takes handshakes of this kind; `secret_of` tells the secret of an application by its id. It is called
    /// on the shard and must not wait.
    pub fn new(
        mode: ServerMode,
        secret_of: impl Fn(&str) -> Option<Secret> + Send + Sync + 'static,
    ) -> Self {
        let secret_of = Arc::new(secret_of);
        Self { mode, secret_of }
    }

    /// As [`new`](Self::new), where all applications have one secret (`spark.authenticate.secret`).
    pub fn shared(mode: ServerMode, secret: Secret) -> Self {
        Self::new(mode, move |_| Some(secret.clone()))
    }

    pub(crate) fn mode(&self) -> ServerMode {
        self.mode
    }

    pub(crate) fn secret_of(&self, app_id: &str) -> Option<Secret> {
        (self.secret_of)(app_id)
    }
}

impl fmt::Debug for ServerAuthentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerAuthentication({:?})", self.mode)
    }
}

/// How this side authenticates at Spark's servers (Spark: `AuthClientBootstrap`, `SaslClientBootstrap`).
#[derive(Clone, Debug)]
pub struct ClientAuthentication {
    mode: ClientMode,
    app_id: String,
    secret: Secret,
}

impl ClientAuthentication {
    /// Protocol for the application of this id.
    pub fn new(mode: ClientMode, app_id: impl Into<String>, secret: Secret) -> Self {
        let app_id = app_id.into();
        Self {
            mode,
            app_id,
            secret,
        }
    }

    pub(crate) fn mode(&self) -> ClientMode {
        self.mode
    }

    pub(crate) fn app_id(&self) -> &str {
        &self.app_id
    }

    pub(crate) fn secret(&self) -> &Secret {
        &self.secret
    }
}
