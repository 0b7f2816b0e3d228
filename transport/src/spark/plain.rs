//! In the place of authentication where the crate is built without its feature `spark`: it does not exist.

/// Placeholder without values: without the feature `spark`, a server demands no authentication.
#[derive(Clone, Copy, Debug)]
pub enum ServerAuthentication {}

/// Without the feature `spark`, a client cannot authenticate.
#[derive(Clone, Copy, Debug)]
pub enum ClientAuthentication {}
