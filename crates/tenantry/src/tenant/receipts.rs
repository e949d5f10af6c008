//! `tenantry tenant receipts`: a tenant's receipts, each read from its folder and checked against its signature, and against
//! the audit records that it speaks of.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args as ClapArgs;
use serde::Serialize;
use tenantry_audit::{Heard, Verifier};
use tenantry_contracts::audit::{AuditEvent, AuditKind};
use tenantry_contracts::receipt::Receipt;
use tenantry_contracts::steps::receipt::{Output, Sealing};
use tenantry_contracts::{Topic, fact};
use tenantry_ports::Row;
use tenantry_worker_receipt::{public_key, read, verify};

use super::find::{self, Found, One};
use crate::audit::place;
use crate::out::{self, Refused, failed, usage};
use crate::settings::Find;
use crate::show::Style;
use crate::show::style::count;

/// Show a tenant's receipts, and whether each verifies (exit 1 where one is missing or does not)
///
/// Each must be signed, be the one that the audit of the tenant speaks of, and say of the rows that it names what their
/// audit records commit to. `tenantry audit verify --with-history` proves these records themselves.
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
    let store = find::store(&args.find).await?;
    let found = args.one.fold(&store).await?;
    let (sealed, output) = sealed(&found)?;
    let audit = Committed::read(&store.history(found.tenant.id).await?);
    let key = public_key(&root, &sealed.key).ok().flatten();
    let look = |sealing: &Sealing| {
        let looked = match (&key, read(&root, &sealing.digest)) {
            (None, _) => Err(format!("there is no public key {} in {}", sealed.key, root.display())),
            (_, Err(error)) => Err(error.to_string()),
            (_, Ok(None)) => Err("it is not there".to_owned()),
            (Some(key), Ok(Some(envelope))) => verify(&envelope, key).map_err(|refusal| refusal.to_string()),
        };
        let looked = looked.and_then(|content| audit.speaks(&content, &output).map(|()| content));
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
        for Looked { sealing, problem, content } in &receipts {
            let rows = content.as_ref().and_then(Receipt::commitments).map_or(0, BTreeMap::len);
            let bound = count(rows + 1, "audit record");
            let (mark, word) = match problem {
                None => (style.green("✓"), format!("signed by {}, bound to {bound}", sealed.key)),
                Some(problem) => (style.red("✗"), problem.clone()),
            };
            out::line(format_args!("{mark} {:<21} {}  {word}", sealing.action, sealing.id));
        }
    }
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What a tenant's audit commits to, by row: of each the last answer.
struct Committed(Result<BTreeMap<String, String>, String>);

impl Committed {
    fn read(history: &[Row]) -> Self {
        Self(committed(history))
    }

    /// The audit speaks of this receipt, and says of the rows that it names what the receipt says. `output`: the digest of
    /// what the worker answered, in which the receipt is named.
    fn speaks(&self, receipt: &Receipt, output: &str) -> Result<(), String> {
        let rows = self.0.as_ref().map_err(Clone::clone)?;
        let own = ("receipt".to_owned(), output.to_owned());
        let named = receipt.commitments().into_iter().flatten();
        for (row, digest) in named.chain([(&own.0, &own.1)]) {
            match rows.get(row) {
                Some(committed) if committed == digest => {}
                Some(committed) => {
                    return Err(format!("of row {row} it says {digest}, and the audit {committed}"));
                }
                None => return Err(format!("the audit knows no answer of row {row}")),
            }
        }
        Ok(())
    }
}

fn committed(history: &[Row]) -> Result<BTreeMap<String, String>, String> {
    let mut verifier = Verifier::new();
    let mut rows = BTreeMap::new();
    for row in history {
        let at = place(row.lane, row.n);
        let facts = fact::decode(row.facts.clone()).unwrap_or_default();
        let audit = facts.iter().find(|fact| fact.topic == Topic::Audit);
        let (key, value) = audit.map(|fact| (&fact.key[..], &fact.value[..])).unzip();
        verifier.hear(Heard { key, value, at: &at });
        let event: Option<AuditEvent> = value.and_then(|value| serde_json::from_slice(value).ok());
        if let Some(AuditEvent { kind: AuditKind::StepSucceeded, row: Some(row), commitment, .. }) = event {
            rows.extend(commitment.map(|digest| (row.as_str().to_owned(), digest)));
        }
    }
    let sound = verifier.finish(None).map_err(|problem| format!("its audit is not sound: {problem}"));
    sound.map(|_| rows)
}

/// What the worker `receipt` answered for this tenant, and the digest of that.
pub(crate) fn sealed(found: &Found) -> Result<(Output, String), Refused> {
    let saga = found.tenant.last.as_deref().or(found.tenant.saga.as_ref());
    let output = saga.and_then(|saga| {
        let plan = found.plans.find(saga.kind, saga.version)?;
        let at = plan.index_of("receipt")?;
        let output = saga.rows.iter().find(|run| run.row == at)?.output.as_ref()?;
        Some((output.read().ok()?, hex::encode(tenantry_audit::digest(output.text().as_bytes()))))
    });
    output.ok_or_else(|| {
        let slug = &found.tenant.request.slug;
        failed(
            "no_receipts",
            format!("{slug} has no receipts: it is {}; they are sealed when it is made", found.tenant.state),
        )
    })
}

#[cfg(test)]
mod tests {
    use tenantry_contracts::receipt::{Status, TenantReceipt};

    use super::*;

    fn plain() -> Receipt {
        Receipt::Tenant(TenantReceipt {
            tenant_id: "TEN-001".to_owned(),
            status: Status::Active,
            created_by: "ada".to_owned(),
            validated_by: "isolation-guard".to_owned(),
            timestamp: "2026-11-22T00:00:00Z".to_owned(),
        })
    }

    #[test]
    fn a_receipt_that_the_audit_does_not_speak_of_is_named() {
        let audit = |rows: &[(&str, &str)]| {
            let rows = rows.iter().map(|(row, digest)| ((*row).to_owned(), (*digest).to_owned()));
            Committed(Ok(rows.collect()))
        };
        assert_eq!(audit(&[("receipt", "aa")]).speaks(&plain(), "aa"), Ok(()));
        let other = audit(&[("receipt", "bb")]).speaks(&plain(), "aa").unwrap_err();
        assert_eq!(other, "of row receipt it says aa, and the audit bb");
        let none = audit(&[("quota", "aa")]).speaks(&plain(), "aa").unwrap_err();
        assert_eq!(none, "the audit knows no answer of row receipt");
        let broken = Committed(Err("its audit is not sound".to_owned()));
        assert_eq!(broken.speaks(&plain(), "aa").unwrap_err(), "its audit is not sound");
    }
}
