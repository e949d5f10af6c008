//! `tenantry plan`: what a request would do, before anybody does it; and the plans that this program knows.

pub(crate) mod dry;
pub(crate) mod foreseen;
mod sheet;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand};

use crate::out::{self, usage};
use crate::request::document::Document;
use crate::settings::{Find, Governance, Key, Tenants, Work};
use crate::show::Style;

/// Exit codes: 0 it would be made (gates may still ask), 3 it would be refused, 5 something stands in the way.
#[derive(Clone, Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,
    /// The document of a request; - reads the standard input. Nothing is written anywhere while it is thought through
    #[arg(short, long, env = "TENANTRY_REQUEST_FILE", value_name = "FILE")]
    file: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long, env = "TENANTRY_JSON")]
    json: bool,
    #[command(flatten)]
    look: Look,
}

#[derive(Clone, Debug, Subcommand)]
enum What {
    /// Prints every plan: its rows, what each waits for, and what a final failure means
    Show,
}

/// Where a dry run looks: at what a running `up` works on, else at what the flags name.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Look {
    #[command(flatten)]
    pub(crate) find: Find,
    #[command(flatten)]
    pub(crate) tenants: Tenants,
    #[command(flatten)]
    pub(crate) key: Key,
    #[command(flatten)]
    pub(crate) governance: Governance,
    #[command(flatten)]
    pub(crate) work: Work,
}

/// Runs the command.
///
/// # Errors
/// Where the document cannot be read, or the fleet's databases cannot be found or reached.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    if let Some(What::Show) = args.what {
        for plan in tenantry_saga::plans::all(tenantry_saga::Rules::default()).plans() {
            out::line(plan);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let Some(file) = &args.file else {
        return Err(
            usage("file_missing", "name the request with -f FILE, or say `tenantry plan show`").into()
        );
    };
    let foreseen = dry::run(&args.look, Document::read(file)?).await?;
    if args.json {
        out::json(&foreseen)?;
    } else {
        for line in sheet::lines(&foreseen, Style::detect()) {
            out::line(line);
        }
    }
    Ok(ExitCode::from(foreseen.outcome().exit()))
}
