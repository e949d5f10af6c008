//! `tenantry tenant`: what there is, what became of it, and the verbs of people.

mod decide;
pub(crate) mod find;
pub(crate) mod ls;
mod operate;
mod receipts;
mod show;
mod timeline;

use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand};

/// Tenants: list them, look at one, decide about one
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Ls(ls::Args),
    Show(show::Args),
    Timeline(timeline::Args),
    Receipts(receipts::Args),
    /// Go on from what failed (HELD, STUCK)
    Retry(operate::Args),
    /// Undo everything (until the pivot)
    Cancel(operate::Args),
    /// Say yes at a gate (AWAITING)
    Approve(decide::Args),
    /// Say no at a gate (AWAITING)
    Reject(decide::Args),
}

/// Runs one of them.
///
/// # Errors
/// Where the fleet cannot be found or reached, or there is no such tenant.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    use tenantry_contracts::operation::OperationVerb;
    match args.what {
        What::Ls(args) => ls::run(args).await,
        What::Show(args) => show::run(args).await,
        What::Timeline(args) => timeline::run(args).await,
        What::Receipts(args) => receipts::run(args).await,
        What::Retry(args) => operate::run(args, OperationVerb::Retry, None).await,
        What::Cancel(args) => operate::run(args, OperationVerb::Cancel, None).await,
        What::Approve(args) => decide::run(args, true).await,
        What::Reject(args) => decide::run(args, false).await,
    }
}
