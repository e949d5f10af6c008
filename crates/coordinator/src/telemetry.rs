//! The names of the coordinator's metrics, and what each means.

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use tenantry_contracts::audit::AuditKind;
use tenantry_contracts::{State, Time};
use tenantry_saga::{Change, Registry, Tenant};

/// Seconds from a request's acceptance to the end of its saga (seed 004), by outcome, and by plan where the plan is known
/// to exist: what upstream writes must not make series.
pub const PROVISION_DURATION: &str = "provision_duration_seconds";
/// Tenants that became ACTIVE less those that left it, as this process saw it (seed 004).
pub const ACTIVE_TENANTS: &str = "active_tenants";
/// Rows of sagas that failed, by row and code; what the steps themselves said is counted by the workers.
pub const ROW_FAILURES: &str = "tenantry_row_failures_total";
/// Sagas that ended, by outcome.
pub const SAGAS: &str = "tenantry_sagas_total";
/// Decisions on requests, by decision.
pub const DECISIONS: &str = "tenantry_request_decisions_total";
/// Answers that came too late or twice.
pub const STALE: &str = "tenantry_stale_answers_total";
/// Take-overs of lanes, by reason.
pub const TAKEOVERS: &str = "tenantry_takeovers_total";
/// Lanes that this process serves.
pub const LANES: &str = "tenantry_lanes_served";
/// Seconds that one commit took.
pub const COMMIT_DURATION: &str = "tenantry_commit_duration_seconds";
/// Records that one batch heard.
pub const BATCH_RECORDS: &str = "tenantry_batch_records";
/// Lanes that stopped because log and journal disagree. Anything but zero wakes somebody.
pub const DISCONTINUOUS: &str = "tenantry_lanes_discontinuous";
/// Records that Kafka refused for good. Anything but zero wakes somebody.
pub const REFUSED_BY_KAFKA: &str = "tenantry_produce_refused_total";
/// Tenants in memory: those that are not at rest.
pub const TENANTS_IN_MEMORY: &str = "tenantry_tenants_in_memory";

/// Describes them all, once.
pub fn describe() {
    describe_histogram!(PROVISION_DURATION, Unit::Seconds, "from acceptance to the end of the saga");
    describe_gauge!(ACTIVE_TENANTS, "tenants that are ACTIVE, as this process saw it");
    describe_counter!(ROW_FAILURES, "rows of sagas that failed, by row and code");
    describe_counter!(SAGAS, "sagas that ended, by outcome");
    describe_counter!(DECISIONS, "decisions on requests");
    describe_counter!(STALE, "answers that came too late or twice");
    describe_counter!(TAKEOVERS, "take-overs of lanes");
    describe_gauge!(LANES, "lanes served");
    describe_histogram!(COMMIT_DURATION, Unit::Seconds, "one commit");
    describe_histogram!(BATCH_RECORDS, "records in one batch");
    describe_gauge!(DISCONTINUOUS, "lanes stopped because log and journal disagree");
    describe_counter!(REFUSED_BY_KAFKA, "records that Kafka refused for good");
    describe_gauge!(TENANTS_IN_MEMORY, "tenants that are not at rest");
}

/// Counts what was decided about a tenant.
pub(crate) fn told(plans: &Registry, tenant: &Tenant, told: &[(i64, Change)], now: Time) {
    for (_, change) in told {
        match change.what {
            AuditKind::StepFailed | AuditKind::UndoFailed => {
                let saga = tenant.saga.as_ref().or(tenant.last.as_deref());
                let row = saga.zip(change.run).and_then(|(saga, run)| {
                    let plan = plans.find(saga.kind, saga.version)?;
                    Some(plan.rows[usize::from(saga.rows.get(usize::from(run))?.row)].name)
                });
                let code = change.failure.as_ref().map_or("none", |failure| failure.code.as_str());
                counter!(ROW_FAILURES, "row" => row.unwrap_or("none"), "code" => code).increment(1);
            }
            AuditKind::Completed | AuditKind::RolledBack | AuditKind::Rejected => {
                let outcome = change.what.as_str();
                counter!(SAGAS, "outcome" => outcome).increment(1);
                if let Some(saga) = &tenant.last {
                    let seconds = now.since(saga.began) as f64 / 1000.0;
                    let known = change.what == AuditKind::Completed;
                    let plan = if known { tenant.request.plan.clone() } else { "unknown".to_owned() };
                    histogram!(PROVISION_DURATION, "plan" => plan, "outcome" => outcome).record(seconds);
                }
                if change.what == AuditKind::Completed && change.state == Some(State::Active) {
                    gauge!(ACTIVE_TENANTS).increment(1.0);
                }
                tracing::info!(tenant = %tenant.id, state = %tenant.state, outcome, "saga ended");
            }
            AuditKind::Held | AuditKind::Stuck | AuditKind::Blocked => {
                tracing::warn!(tenant = %tenant.id, state = %tenant.state, note = change.note.as_deref(), "a person must act");
            }
            _ => {}
        }
    }
}
