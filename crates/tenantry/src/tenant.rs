//! `tenantry tenant`: what there is, what became of it, and the verbs of people.

mod correct;
mod decide;
pub(crate) mod find;
pub(crate) mod ls;
mod operate;
pub(crate) mod receipts;
mod row;
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
    /// Go on from what failed (HELD, STUCK, BLOCKED); what is done stays done
    Retry(operate::Args),
    /// Ask a step again that was asked before, and everything that was built on it
    Rerun(row::Args),
    Correct(correct::Args),
    /// Give a failed step up and go on without it: where its own look proves that nothing half made is left, or with --second
    Skip(row::Args),
    /// Say that a failed undo was done by hand: where the step's own look proves it, or with --second
    MarkDone(row::Args),
    /// Let nothing of it be destroyed from here on (legal hold)
    Hold(operate::Args),
    /// Lift the legal hold; needs --second
    Release(operate::Args),
    /// Ask nothing new about it from here on; what runs is heard
    Pause(operate::Args),
    /// Go on where it was paused
    Resume(operate::Args),
    /// Destroy the key of its personal data: a tenant that is over; needs --second
    Forget(operate::Args),
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
    use tenantry_contracts::operation::{OperationVerb, Scope};
    match args.what {
        What::Ls(args) => ls::run(args).await,
        What::Show(args) => show::run(args).await,
        What::Timeline(args) => timeline::run(args).await,
        What::Receipts(args) => receipts::run(args).await,
        What::Retry(args) => operate::run(args, OperationVerb::Retry).await,
        What::Rerun(args) => row::run(args, OperationVerb::Rerun).await,
        What::Correct(args) => correct::run(args).await,
        What::Skip(args) => row::run(args, OperationVerb::Skip).await,
        What::MarkDone(args) => row::run(args, OperationVerb::MarkDone).await,
        What::Hold(args) => operate::run(args, OperationVerb::Hold).await,
        What::Release(args) => operate::run(args, OperationVerb::Release).await,
        What::Pause(args) => operate::run(args, OperationVerb::Pause(Scope::Tenant)).await,
        What::Resume(args) => operate::run(args, OperationVerb::Resume(Scope::Tenant)).await,
        What::Forget(args) => operate::run(args, OperationVerb::Forget).await,
        What::Cancel(args) => operate::run(args, OperationVerb::Cancel).await,
        What::Approve(args) => decide::run(args, true).await,
        What::Reject(args) => decide::run(args, false).await,
    }
}
