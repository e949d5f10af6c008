//! `tenantry batch`: one verb for many tenants, on a frozen selection.
//!
//! Each tenant is asked with the version that the plan saw, so that one that moved on in between is left alone, and one
//! that came to be meanwhile is not meant. As with dead letters nothing here writes to the store: the fleet decides about
//! each operation by its id, which follows from selection and tenant, so that a run that was killed is simply run again.

mod plan;
mod run;
mod selection;
mod sent;
mod verb;

use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand};

/// One verb for many tenants: freeze a selection, look at it, send the verb to exactly those
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Plan(Box<plan::Args>),
    Run(Box<run::Args>),
}

/// Runs one of them.
///
/// # Errors
/// Where the fleet cannot be found or reached, or there is no such selection.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.what {
        What::Plan(args) => plan::run(*args).await,
        What::Run(args) => run::run(*args).await,
    }
}
