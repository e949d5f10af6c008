//! `tenantry fleet`: what a person decides about the fleet itself, not about a tenant.

use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand};

use crate::accept_restore;

/// The fleet itself: decide about its lanes
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    AcceptRestore(accept_restore::Args),
}

/// Runs one of them.
///
/// # Errors
/// Where the fleet cannot be found or reached.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.what {
        What::AcceptRestore(args) => accept_restore::run(args).await,
    }
}
