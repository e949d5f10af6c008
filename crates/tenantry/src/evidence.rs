//! `tenantry evidence`: what an auditor is given, and how it is made.

mod bundle;
mod controls;
mod export;
mod open;
mod papers;
mod provenance;
mod sheaf;

use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand};

/// Evidence for audits: signed bundles that verify offline, openings of personal data, the control map
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Export(Box<export::Args>),
    Open(Box<open::Args>),
    Controls(controls::Args),
}

/// Runs one of them.
///
/// # Errors
/// Where the fleet cannot be found or reached, or what is asked for cannot be proved.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.what {
        What::Export(args) => export::run(*args).await,
        What::Open(args) => open::run(*args).await,
        What::Controls(args) => controls::run(&args),
    }
}
