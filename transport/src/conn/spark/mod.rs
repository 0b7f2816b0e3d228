//! State that a connection has in addition while its peer speaks Spark's protocol.

pub(crate) mod chunk_calls;
pub(crate) mod lead;
pub(crate) mod requests;
