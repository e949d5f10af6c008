//! `tenantry tenant rerun|skip|mark-done`: verbs about one row of a tenant's plan.

use std::process::ExitCode;

use clap::Args as ClapArgs;
use tenantry_contracts::RowName;
use tenantry_contracts::operation::OperationVerb;

use super::find::{self, One};
use super::operate::{self, How};
use crate::out::usage;

/// Without --yes it only shows what would happen.
///
/// Exit codes: 0 taken up (with --watch: in service), 3 refused, 4 everything was undone, 5 a person must act, 6 no outcome
/// in time.
#[derive(Debug, ClapArgs)]
#[group(id = "row-verb")]
pub(super) struct Args {
    #[command(flatten)]
    one: One,
    /// The row of its plan, as `tenant show` lists them
    #[arg(value_name = "ROW")]
    row: String,
    #[command(flatten)]
    how: How,
}

/// Does it. `verb` makes the verb of the row's name.
pub(super) async fn run(args: Args, verb: fn(RowName) -> OperationVerb) -> anyhow::Result<ExitCode> {
    let found = args.one.fold(&find::store(&args.how.find).await?).await?;
    let rows = rows(&found);
    if !rows.contains(&args.row.as_str()) {
        let text = format!("{} is no row of this tenant's plan; there are {}", args.row, rows.join(", "));
        return Err(usage("row_unknown", text).into());
    }
    operate::about(args.how, &found, verb(RowName::read(&args.row)), None).await
}

/// The rows that were chosen for its saga, or for the last one.
fn rows(found: &find::Found) -> Vec<&'static str> {
    let tenant = &found.tenant;
    let Some(saga) = tenant.saga.as_ref().or(tenant.last.as_deref()) else { return Vec::new() };
    let Some(plan) = found.plans.find(saga.kind, saga.version) else { return Vec::new() };
    saga.rows.iter().filter_map(|run| Some(plan.rows.get(usize::from(run.row))?.name)).collect()
}
