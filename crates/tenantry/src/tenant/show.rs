//! `tenantry tenant show`: one tenant, folded from its journal.

use std::process::ExitCode;

use clap::Args as ClapArgs;
use tenantry_ports::Clock;

use super::find::{self, One};
use crate::clock::SystemClock;
use crate::out;
use crate::settings::Find;
use crate::show::Style;
use crate::show::sheet::Sheet;

/// Show one tenant: its state, whose turn it is, its steps and what they made
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    #[command(flatten)]
    one: One,
    /// Print one JSON document
    #[arg(long, env = "TENANTRY_JSON")]
    json: bool,
    #[command(flatten)]
    find: Find,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let store = find::store(&args.find).await?;
    let found = args.one.fold(&store).await?;
    let now = SystemClock::from_env()?.now();
    let sheet = Sheet::of(&found.tenant, &found.plans, now, (found.paused_ms, &found.stopped), &found.told);
    if args.json {
        out::json(&sheet)?;
    } else {
        for line in sheet.lines(Style::detect(), now) {
            out::line(line);
        }
    }
    Ok(ExitCode::SUCCESS)
}
