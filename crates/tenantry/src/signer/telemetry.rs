//! The names of the signer's metrics, and what each means.

use std::time::Duration;

use metrics::{Unit, describe_gauge, gauge};
use tenantry_audit::Checkpoint;
use tenantry_contracts::Time;
use tenantry_ports::Clock;
use tokio::sync::watch;

use crate::clock::SystemClock;

/// How often it is looked at.
const TICK: Duration = Duration::from_secs(1);

/// How many records are in the log.
const SIZE: &str = "tenantry_audit_log_records";
/// How many chains are in it.
const CHAINS: &str = "tenantry_audit_log_chains";
/// Seconds since the last checkpoint: more than a few minutes wakes somebody.
const AGE: &str = "tenantry_audit_checkpoint_age_seconds";
/// Whether the signer refuses to go on. Anything but zero wakes somebody.
const REFUSES: &str = "tenantry_audit_signer_refuses";

/// Describes them all, once.
pub(crate) fn describe() {
    describe_gauge!(SIZE, Unit::Count, "records that are signed");
    describe_gauge!(CHAINS, Unit::Count, "chains that are signed");
    describe_gauge!(AGE, Unit::Seconds, "since the last checkpoint");
    describe_gauge!(REFUSES, "1 where the signer does not go on, because the audit is not what it should be");
}

pub(super) fn signed(checkpoint: &Checkpoint) {
    gauge!(SIZE).set(checkpoint.size as f64);
    gauge!(CHAINS).set(checkpoint.chains as f64);
    gauge!(REFUSES).set(0.0);
}

/// Shows how old the last checkpoint is, whatever the signer does meanwhile; ends when the signer has gone.
pub(super) async fn ages(mut last: watch::Receiver<Option<Time>>, clock: SystemClock) {
    let mut tick = tokio::time::interval(TICK);
    while last.has_changed().is_ok() {
        tick.tick().await;
        if let Some(time) = *last.borrow_and_update() {
            gauge!(AGE).set(clock.now().since(time) as f64 / 1000.0);
        }
    }
}

pub(super) fn refuses() {
    gauge!(REFUSES).set(1.0);
}
