//! `tenantry dlq`: dead letters and the quarantine, looked at and answered.
//!
//! A letter is answered in one of two ways. A command's letter is never sent again: its tenant is HELD, and the coordinator
//! is asked to ask afresh, with a new token and a new deadline, by the operation `retry`. Requests, results and
//! operations go back as raw bytes. Either way the fleet itself keeps a repeat from having an effect: operations by ids
//! that follow from manifest and letter, requests by theirs, results by their token. So nothing here writes to the store,
//! and a replay that was killed is simply run again.

mod answer;
mod article;
mod edit;
mod expire;
pub(crate) mod filter;
mod know;
mod ls;
mod manifest;
mod mask;
mod plan;
mod read;
mod replay;
mod show;
mod verdict;

use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand};

/// Dead letters and the quarantine: look at them, plan what answers them, replay exactly that
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Ls(ls::Args),
    Show(show::Args),
    Plan(plan::Args),
    Replay(Box<replay::Args>),
    /// Records that could not even be read
    Quarantine {
        #[command(subcommand)]
        what: Quarantine,
    },
    Edit(Box<edit::Args>),
    Expire(expire::Args),
}

#[derive(Debug, Subcommand)]
enum Quarantine {
    Ls(ls::Args),
    Show(show::Args),
}

/// Runs one of them.
///
/// # Errors
/// Where the fleet cannot be found or reached, or there is no such letter or manifest.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    use read::Scope;
    match args.what {
        What::Ls(args) => ls::run(args, Scope::All).await,
        What::Show(args) => show::run(args, Scope::All).await,
        What::Plan(args) => plan::run(args).await,
        What::Replay(args) => replay::run(*args).await,
        What::Quarantine { what: Quarantine::Ls(args) } => ls::run(args, Scope::Quarantine).await,
        What::Quarantine { what: Quarantine::Show(args) } => show::run(args, Scope::Quarantine).await,
        What::Edit(args) => edit::run(*args).await,
        What::Expire(args) => expire::run(args).await,
    }
}
