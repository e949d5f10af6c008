//! `tenantry tenant receipts`: a tenant's receipts, each read from its folder and checked against its signature.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args as ClapArgs;
use serde::Serialize;
use tenantry_contracts::receipt::Receipt;
use tenantry_contracts::steps::receipt::{Output, Sealing};
use tenantry_worker_receipt::{public_key, read, verify};

use super::find::{self, Found, One};
use crate::out::{self, Refused, failed, usage};
use crate::settings::Find;
use crate::show::Style;

/// Show a tenant's receipts, and whether each verifies (exit 1 where one is missing or does not)
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    #[command(flatten)]
    one: One,
    /// The folder that receipts lie in [default: that of the running fleet]
    #[arg(long, env = "TENANTRY_RECEIPTS", value_name = "FOLDER")]
    receipts: Option<PathBuf>,
    /// Print one JSON document, with the receipts themselves
    #[arg(long, env = "TENANTRY_JSON")]
    json: bool,
    #[command(flatten)]
    find: Find,
}

/// A receipt, looked at.
#[derive(Serialize)]
struct Looked {
    #[serde(flatten)]
    sealing: Sealing,
    /// What is wrong with it.
    problem: Option<String>,
    content: Option<Receipt>,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let root = match (&args.receipts, args.find.running()?) {
        (Some(root), _) => root.clone(),
        (None, Some(up)) => up.places.receipts,
        (None, None) => {
            return Err(usage(
                "receipts_missing",
                "name the folder of receipts with --receipts (TENANTRY_RECEIPTS)",
            )
            .into());
        }
    };
    let found = args.one.fold(&find::store(&args.find).await?).await?;
    let sealed = sealed(&found)?;
    let key = public_key(&root, &sealed.key).ok().flatten();
    let look = |sealing: &Sealing| {
        let looked = match (&key, read(&root, &sealing.digest)) {
            (None, _) => Err(format!("there is no public key {} in {}", sealed.key, root.display())),
            (_, Err(error)) => Err(error.to_string()),
            (_, Ok(None)) => Err("it is not there".to_owned()),
            (Some(key), Ok(Some(envelope))) => verify(&envelope, key).map_err(|refusal| refusal.to_string()),
        };
        let (content, problem) = match looked {
            Ok(content) => (Some(content), None),
            Err(problem) => (None, Some(problem)),
        };
        Looked { sealing: sealing.clone(), problem, content }
    };
    let receipts: Vec<Looked> = sealed.receipts.iter().map(look).collect();
    let sound = receipts.iter().all(|receipt| receipt.problem.is_none());
    if args.json {
        out::json(&receipts)?;
    } else {
        let style = Style::detect();
        for Looked { sealing, problem, .. } in &receipts {
            let (mark, word) = match problem {
                None => (style.green("✓"), format!("signed by {}", sealed.key)),
                Some(problem) => (style.red("✗"), problem.clone()),
            };
            out::line(format_args!("{mark} {:<21} {}  {word}", sealing.action, sealing.id));
        }
    }
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the worker `receipt` answered for this tenant.
pub(crate) fn sealed(found: &Found) -> Result<Output, Refused> {
    let saga = found.tenant.last.as_deref().or(found.tenant.saga.as_ref());
    let output = saga.and_then(|saga| {
        let plan = found.plans.find(saga.kind, saga.version)?;
        let at = plan.index_of("receipt")?;
        saga.rows.iter().find(|run| run.row == at)?.output.as_ref()?.read().ok()
    });
    output.ok_or_else(|| {
        let slug = &found.tenant.request.slug;
        failed(
            "no_receipts",
            format!("{slug} has no receipts: it is {}; they are sealed when it is made", found.tenant.state),
        )
    })
}
