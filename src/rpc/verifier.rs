//! The endpoint that says whether another exists (Spark: `RpcEndpointVerifier`).

use std::sync::Arc;

use rkyv::{Archive, Deserialize, Serialize};

use super::RpcEndpointAddress;
use super::address::RpcAddress;
use super::ask::block_on;
use super::dispatcher::may_block;
use super::endpoint::RpcEndpoint;
use super::endpoint_ref::RpcEndpointRef;
use super::env::{EndpointOptions, RpcEnv};
use super::error::RpcError;
use super::failure::Failure;
use super::handler::Handler;
use super::message::Message;
use super::pending_ask::SendOptions;
use super::received::{Received, View};
use super::shared::EnvShared;

/// The verifier's name in every env that listens.
pub const VERIFIER_NAME: &str = "endpoint-verifier";

/// Asks the verifier whether an endpoint exists.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct CheckExistence {
    /// Its name.
    pub name: String,
}

impl Message for CheckExistence {
    type Reply = bool;
    const NAME: &'static str = "rpc.CheckExistence";
}

struct Verifier {
    env: Arc<EnvShared>,
}

impl RpcEndpoint for Verifier {
    type Messages = (CheckExistence,);
}

impl Handler<CheckExistence> for Verifier {
    fn handle(&mut self, message: Received<'_, CheckExistence>) -> Result<bool, Failure> {
        Ok(self.env.registry.has(match message.view() {
            View::Archived(check) => &check.name,
            View::Local(check) => &check.name,
        }))
    }
}

/// Sets the verifier up, on every shard.
pub(crate) fn set_up(env: &RpcEnv) -> Result<(), RpcError> {
    let shared = Arc::clone(env.shared());
    let make = move || Verifier {
        env: Arc::clone(&shared),
    };
    env.setup_replicated(VERIFIER_NAME, EndpointOptions::default(), make)?;
    Ok(())
}

/// A ref to an endpoint, once its env has said that it exists.
pub(crate) async fn look_up(
    env: &Arc<EnvShared>,
    uri: RpcEndpointAddress,
) -> Result<RpcEndpointRef, RpcError> {
    let text = uri.to_string();
    let (address, name) = uri.into_parts();
    let address = address.ok_or(RpcError::NoListenAddress)?;
    let verifier = env.ref_at(address.clone(), VERIFIER_NAME.into())?;
    let verifier: RpcEndpointRef = RpcEndpointRef::new(verifier);
    let check = CheckExistence {
        name: name.to_string(),
    };
    let options = SendOptions::within(env.settings.lookup_timeout.clone());
    if !verifier.ask_by(check, options).await? {
        return Err(RpcError::EndpointNotFound { uri: text.into() });
    }
    Ok(RpcEndpointRef::new(env.ref_at(address, name)?))
}

impl RpcEnv {
    /// A ref to the endpoint with this URI, once its env has said that it exists (Spark:
    /// `asyncSetupEndpointRefByURI`). Takes up to `ringrail.rpc.lookupTimeout`.
    ///
    /// # Errors
    /// The text is no URI, there is no such endpoint, or its env does not answer.
    pub async fn setup_endpoint_ref_by_uri(&self, uri: &str) -> Result<RpcEndpointRef, RpcError> {
        let address: RpcEndpointAddress = uri.parse()?;
        look_up(self.shared(), address).await
    }

    /// As [`setup_endpoint_ref_by_uri`](Self::setup_endpoint_ref_by_uri), blocking this thread.
    ///
    /// # Errors
    /// As there; [`RpcError::WouldBlock`] on a thread that runs endpoints.
    pub fn setup_endpoint_ref_by_uri_blocking(
        &self,
        uri: &str,
    ) -> Result<RpcEndpointRef, RpcError> {
        may_block("setup_endpoint_ref_by_uri_blocking")?;
        block_on(self.setup_endpoint_ref_by_uri(uri))
    }

    /// A ref to an endpoint at an address, once its env has said that it exists (Spark:
    /// `setupEndpointRef`).
    ///
    /// # Errors
    /// There is no such endpoint, or its env does not answer.
    pub async fn setup_endpoint_ref(
        &self,
        address: &RpcAddress,
        name: &str,
    ) -> Result<RpcEndpointRef, RpcError> {
        let address = RpcEndpointAddress::new(Some(address.clone()), name);
        look_up(self.shared(), address).await
    }

    /// As [`setup_endpoint_ref`](Self::setup_endpoint_ref), blocking this thread.
    ///
    /// # Errors
    /// As there; [`RpcError::WouldBlock`] on a thread that runs endpoints.
    pub fn setup_endpoint_ref_blocking(
        &self,
        address: &RpcAddress,
        name: &str,
    ) -> Result<RpcEndpointRef, RpcError> {
        may_block("setup_endpoint_ref_blocking")?;
        block_on(self.setup_endpoint_ref(address, name))
    }
}
