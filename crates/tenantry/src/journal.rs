//! `tenantry journal`: rows that nothing in the store needs any more, into files and back.

mod archive;
mod file;
pub(crate) mod gone;
mod line;
mod links;
mod ls;
pub(crate) mod read;
mod restore;
mod write;

use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand};

/// The journal: archive it by ranges, without losing a proof
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Archive(archive::Args),
    Ls(ls::Args),
    Restore(restore::Args),
}

/// Runs one of them.
///
/// # Errors
/// With a stable code: the store cannot be reached, a file is not what it should be, somebody else does the same.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.what {
        What::Archive(args) => archive::run(args).await,
        What::Ls(args) => ls::run(args).await,
        What::Restore(args) => restore::run(args).await,
    }
}
