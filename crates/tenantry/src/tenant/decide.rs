//! `tenantry tenant approve|reject`: a decision at a gate, about exactly what stands before it.

use std::process::ExitCode;

use clap::Args as ClapArgs;
use tenantry_contracts::RowName;
use tenantry_contracts::operation::OperationVerb;
use tenantry_saga::{RowState, What};

use super::find::Found;
use super::operate;
use crate::out::{self, Refused, usage};
use crate::show::Style;

/// Exit codes: 0 taken up (with --watch: in service), 3 refused, 4 everything was undone, 5 a person must act, 6 no outcome
/// in time.
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    #[command(flatten)]
    operate: operate::Args,
    /// The gate, as in approval.security [default: the one that is open]
    #[arg(long, env = "TENANTRY_GATE", value_name = "ROW")]
    gate: Option<String>,
    /// The digest of what you saw; the decision is refused where something else stands now [default: what the store
    /// shows as this is said]
    #[arg(long, env = "TENANTRY_SEEN", value_name = "SHA256")]
    seen: Option<String>,
}

/// An open gate.
struct Gate {
    row: &'static str,
    role: &'static str,
    seen: String,
}

pub(super) async fn run(args: Args, yes: bool) -> anyhow::Result<ExitCode> {
    let found = args.operate.found().await?;
    let gate = choose(&found, args.gate.as_deref())?;
    if !args.operate.json() {
        let style = Style::detect();
        out::line(format_args!(
            "{}  decided as {}  {}",
            style.title(gate.row),
            gate.role,
            style.dim(&format!("about {}", gate.seen))
        ));
    }
    let row = RowName::new(gate.row);
    let verb = if yes { OperationVerb::Approve(row) } else { OperationVerb::Reject(row) };
    operate::about(args.operate.how, &found, verb, Some(args.seen.unwrap_or(gate.seen))).await
}

fn choose(found: &Found, wanted: Option<&str>) -> Result<Gate, Refused> {
    let mut open = gates(found);
    let names = open.iter().map(|gate| gate.row).collect::<Vec<_>>().join(", ");
    let slug = &found.tenant.request.slug;
    if let Some(wanted) = wanted {
        let at = open.iter().position(|gate| gate.row == wanted);
        return at.map(|at| open.swap_remove(at)).ok_or_else(|| {
            let open = if names.is_empty() { "none is".to_owned() } else { format!("open: {names}") };
            usage("gate_unknown", format!("gate {wanted} of {slug} is not open; {open}"))
        });
    }
    match open.len() {
        1 => Ok(open.swap_remove(0)),
        0 => Err(usage(
            "gate_unknown",
            format!(
                "no gate of {slug} is open; it is {}: look at `tenantry tenant show {slug}`",
                found.tenant.state
            ),
        )),
        _ => Err(usage("gate_missing", format!("several gates are open: {names}; name one with --gate"))),
    }
}

fn gates(found: &Found) -> Vec<Gate> {
    let Some(saga) = &found.tenant.saga else { return Vec::new() };
    let Some(plan) = found.plans.find(saga.kind, saga.version) else { return Vec::new() };
    let open = saga.rows.iter().filter(|run| matches!(run.state, RowState::Open { .. }));
    open.filter_map(|run| {
        let row = plan.rows.get(usize::from(run.row))?;
        let role = match row.what {
            What::Gate { role, .. } => role,
            // A failure that lets a person choose.
            What::Step { .. } => "whoever may operate",
            What::Wait { .. } | What::Pivot => return None,
        };
        Some(Gate { row: row.name, role, seen: saga.seen(plan, run.row) })
    })
    .collect()
}
