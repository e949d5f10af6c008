//! The report while it is made: checks with their durations, what is degraded, and what failed.

use std::future::Future;
use std::time::Instant;

use tenantry_contracts::steps::Notice;
use tenantry_contracts::steps::verify::{Check, Health, Output};
use tenantry_contracts::{Class, Code};
use tenantry_step::{Answer, Trouble};

/// How something is. The reasons hold no name from outside.
pub(crate) enum State {
    /// As it should be.
    Ready,
    /// It works, with less than it should have.
    Degraded(String),
    /// It does not work.
    Failed(String),
}

impl State {
    /// Ready where it holds, else failed for this reason.
    pub(crate) fn when(holds: bool, else_why: &str) -> Self {
        if holds { Self::Ready } else { Self::Failed(else_why.to_owned()) }
    }
}

/// What was found so far.
#[derive(Default)]
pub(crate) struct Report {
    checks: Vec<Check>,
    notices: Vec<Notice>,
    failed: Vec<String>,
    probes: Vec<String>,
    leaks: Vec<String>,
}

impl Report {
    /// Runs a check and times it; answers whether it did not fail. A final no in it is a failed check; trouble that may
    /// pass is not, and ends everything.
    pub(crate) async fn check(
        &mut self,
        name: &str,
        work: impl Future<Output = Answer<State>>,
    ) -> Answer<bool> {
        let began = Instant::now();
        let state = match work.await {
            Ok(state) => state,
            Err(Trouble::No { message, .. }) => State::Failed(message),
            Err(passing) => return Err(passing),
        };
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let status = match state {
            State::Ready => Health::Ready,
            State::Degraded(why) => {
                let message = format!("{name}: {why}");
                self.notices.push(Notice { code: Code::HealthDegraded, message });
                Health::Degraded
            }
            State::Failed(why) => {
                self.failed.push(format!("{name}: {why}"));
                Health::Failed
            }
        };
        self.checks.push(Check { name: name.to_owned(), status, took_ms });
        Ok(status != Health::Failed)
    }

    /// Notes what an attempt from outside came to: refused as it must be, or the words for what was possible.
    pub(crate) fn probe(&mut self, name: &str, leak: Option<&str>) {
        match leak {
            None => self.probes.push(name.to_owned()),
            Some(what) => self.leaks.push(format!("{name}: {what}")),
        }
    }

    /// The report, where it may stand.
    ///
    /// # Errors
    /// `isolation_broken` with every probe that was possible; `health_failed` with every check that failed.
    pub(crate) fn finish(self) -> Answer<Output> {
        if !self.leaks.is_empty() {
            let message = format!("what must be refused was possible: {}", self.leaks.join("; "));
            return Err(Trouble::no(Code::IsolationBroken, Class::Policy, message));
        }
        if !self.failed.is_empty() {
            return Err(Trouble::no(Code::HealthFailed, Class::Config, self.failed.join("; ")));
        }
        let status = self.checks.iter().map(|check| check.status).max().unwrap_or(Health::Ready);
        Ok(Output { status, checks: self.checks, probes: self.probes, notices: self.notices })
    }
}
