//! `ringrail rpc list`.

use std::process::ExitCode;

use clap::Args;
use ringrail::rpc::{RpcAddress, RpcEnv};

use crate::cli::failure::Outcome;
use crate::cli::output;

use super::table::{Document, Endpoints};

/// List the endpoints of an environment, with what they have handled and what waits
#[derive(Debug, Args)]
pub(super) struct List {
    /// Address of the env: rail://host:port
    address: RpcAddress,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) fn run(&self, env: &RpcEnv) -> Outcome {
        let report = super::inspect(&super::inspector(env, &self.address)?)?;
        if self.json {
            output::json(&Document::from(&report))?;
        } else {
            output::line(Endpoints(&report))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
