//! Takes the place of authentication in builds without the feature `spark`.

/// Placeholder without values: without the feature `spark`, a server demands no authentication.
#[derive(Clone, Copy, Debug)]
pub enum ServerAuthentication {}

/// Without the feature `spark`, a client cannot authenticate.
#[derive(Clone, Copy, Debug)]
pub enum ClientAuthentication {}
