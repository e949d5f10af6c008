//! `tenantry plan`: the plans that this program knows, as the tables they are.

use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand};

use crate::out;

/// Arguments of `tenantry plan`.
#[derive(Clone, Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, Subcommand)]
enum What {
    /// Prints every plan: its rows, what each waits for, and what a final failure means
    Show,
}

/// Runs the command.
///
/// # Errors
/// None.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let What::Show = args.what;
    for plan in tenantry_saga::plans::all([]).plans() {
        out::line(plan);
    }
    Ok(ExitCode::SUCCESS)
}
