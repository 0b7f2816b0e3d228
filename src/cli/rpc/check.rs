//! `ringrail rpc check`.

use std::process::ExitCode;

use clap::Args;
use ringrail::rpc::{RpcEndpointAddress, RpcEnv, RpcError};
use serde::Serialize;

use crate::cli::failure::{FAILED, Outcome};
use crate::cli::output;

/// Find out whether an endpoint exists: exit code 0 if it does, 1 if not, 4 if nobody answers
#[derive(Debug, Args)]
pub(super) struct Check {
    /// The endpoint: rail://name@host:port
    uri: RpcEndpointAddress,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Found<'a> {
    endpoint: &'a str,
    exists: bool,
}

impl Check {
    pub(super) fn run(&self, env: &RpcEnv) -> Outcome {
        let uri = self.uri.to_string();
        let exists = match env.setup_endpoint_ref_by_uri_blocking(&uri) {
            Ok(_) => true,
            Err(RpcError::EndpointNotFound { .. }) => false,
            Err(error) => return Err(super::unanswered(error)),
        };
        if self.json {
            output::json(&Found {
                endpoint: &uri,
                exists,
            })?;
        } else if exists {
            output::line(format_args!("{uri} exists"))?;
        } else {
            output::line(format_args!(
                "{uri} does not exist; its environment answers"
            ))?;
        }
        Ok(if exists {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(FAILED)
        })
    }
}
