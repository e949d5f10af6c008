//! `tenantry tenant timeline`: everything that ever happened to one tenant.

use std::process::ExitCode;

use clap::Args as ClapArgs;

use super::find::{self, One};
use crate::out;
use crate::settings::Find;
use crate::show::{Style, timeline};

/// Everything that happened to one tenant, in order
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
    if args.json {
        out::json(&found.told)?;
    } else {
        let style = Style::detect();
        let tenant = &found.tenant;
        out::line(format_args!("{}  {}", style.title(tenant.request.slug.as_str()), tenant.id));
        out::line(format_args!("heard {}", tenant.created));
        for line in timeline::lines(style, &found.told) {
            out::line(line);
        }
    }
    Ok(ExitCode::SUCCESS)
}
