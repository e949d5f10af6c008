//! The verbs of `tenantry tenant`: what a person decides goes out as a record; nothing is written here. Without `--yes` it
//! is only shown what would happen.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args as ClapArgs;
use tenantry_contracts::RequestId;
use tenantry_contracts::operation::{Operation, OperationVerb};
use tenantry_ports::Clock;

use super::find::{self, Found, One};
use crate::clock::SystemClock;
use crate::operation::draft::Draft;
use crate::operation::preview::{self, Preview};
use crate::operation::send::{self, Follow};
use crate::operation::told;
use crate::request::{fresh_id, source};
use crate::settings::{Find, Person};

/// Without --yes it only shows what would happen.
///
/// Exit codes: 0 taken up (with --watch: in service), 3 refused, 4 everything was undone, 5 a person must act, 6 no outcome
/// in time.
#[derive(Debug, ClapArgs)]
#[group(id = "operation")]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) one: One,
    #[command(flatten)]
    pub(super) how: How,
}

/// How a verb about a tenant is said.
#[derive(Debug, ClapArgs)]
pub(super) struct How {
    #[command(flatten)]
    person: Person,
    /// Do it
    #[arg(long, env = "TENANTRY_YES")]
    yes: bool,
    /// Write the operation to a file instead, for a second person to read, sign and send with `tenantry operation`
    #[arg(long, env = "TENANTRY_DRAFT", value_name = "FILE", conflicts_with = "yes")]
    draft: Option<PathBuf>,
    /// Only if the tenant is still at this version, as the preview showed it [default: the version that it has now, where
    /// it does not move on by itself]
    #[arg(long, env = "TENANTRY_EXPECT_VERSION", value_name = "N")]
    expect_version: Option<i64>,
    /// The operation's id: the same id is done once [default: a fresh one]
    #[arg(long, env = "TENANTRY_OPERATION_ID")]
    id: Option<String>,
    #[command(flatten)]
    pub(super) follow: Follow,
    #[command(flatten)]
    pub(super) find: Find,
}

impl Args {
    /// The tenant, as the store has it.
    pub(super) async fn found(&self) -> anyhow::Result<Found> {
        self.one.fold(&find::store(&self.how.find).await?).await
    }

    pub(super) fn json(&self) -> bool {
        self.how.follow.json
    }
}

/// Shows what the verb would do, writes it to a file, or publishes it and waits for its answer.
pub(super) async fn run(args: Args, verb: OperationVerb) -> anyhow::Result<ExitCode> {
    let found = args.found().await?;
    about(args.how, &found, verb, None).await
}

/// The same about a tenant that was looked at. `seen`: the digest of what the person saw, for a decision at a gate.
pub(super) async fn about(
    how: How,
    found: &Found,
    verb: OperationVerb,
    seen: Option<String>,
) -> anyhow::Result<ExitCode> {
    let id = RequestId { source: source(), id: how.id.clone().unwrap_or_else(fresh_id) };
    let tenant = &found.tenant;
    // What moves on by itself would be another version before anybody hears this; a decision is bound by its digest.
    let still = seen.is_none() && !preview::moves(tenant);
    let expected = how.expect_version.or_else(|| still.then_some(tenant.version));
    let operation = how.person.operation(id, verb, Some(tenant.target()), expected, seen)?;
    if how.yes {
        return send::send(&how.find, &operation, &how.follow).await;
    }
    let preview = Preview::of(found, &operation, SystemClock::from_env()?.now());
    match &how.draft {
        Some(file) if !preview.refused() => {
            Draft::new(file, vec![operation]).create()?;
            let command = format!("tenantry operation send {} --yes", file.display());
            told(&preview, &command, how.follow.json)
        }
        _ => told(&preview, &again(&operation), how.follow.json),
    }
}

/// How to do what was shown.
fn again(operation: &Operation) -> String {
    match (operation.expected_version, &operation.seen) {
        (Some(version), _) => format!("the same command with --expect-version {version} --yes"),
        (None, Some(seen)) => format!("the same command with --seen {seen} --yes"),
        (None, None) => {
            "the same command with --yes; it moves on by itself, and this is about whatever stands then"
                .to_owned()
        }
    }
}
