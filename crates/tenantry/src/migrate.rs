//! `tenantry migrate`: brings the databases to this program's version.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args as ClapArgs;

use crate::fleet::{self, Worker};
use crate::out;
use crate::settings::{Governance, Store, Tenants, url_shown};

/// Arguments of `tenantry migrate`.
#[derive(Clone, Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    store: Store,
    #[command(flatten)]
    tenants: Tenants,
    /// A file with the pools of capacity by region instead of the built-in one
    #[arg(long, env = "TENANTRY_POOLS", value_name = "FILE")]
    pools: Option<PathBuf>,
    /// Change nothing: say whether the store's schema is this program's (exit 1 where it is not)
    #[arg(long)]
    check: bool,
}

/// Runs the command. The URLs must be those of the databases' owners.
///
/// # Errors
/// With a stable code: the database cannot be reached, a migration fails, the schema is of another program.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let url = args.store.required()?;
    if args.check {
        tenantry_postgres::check_schema(url.expose()).await.map_err(out::told)?;
        out::line(format_args!("the schema of {} is this program's", url_shown(url.expose())));
        return Ok(ExitCode::SUCCESS);
    }
    tenantry_postgres::migrate(url.expose()).await.map_err(out::told)?;
    out::line(format_args!("{} is at this program's version", url_shown(url.expose())));
    if let Some(tenants) = args.tenants.url()? {
        let pools = Governance { pools: args.pools, ..Governance::default() }.pools()?;
        fleet::prepare_database(&tenants, &Worker::ALL.into(), &pools).await?;
        out::line(format_args!("{} is ready for the workers", url_shown(tenants.expose())));
    }
    Ok(ExitCode::SUCCESS)
}
