//! What a run came to.

use std::process::ExitCode;

use serde::Serialize;

use super::progress::Ended;
use crate::out::FAILED;
use crate::show::style::count;

/// The outcomes of what was planned: planned is what the others sum up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Sums {
    pub(crate) planned: usize,
    pub(crate) done: usize,
    pub(crate) already: usize,
    pub(crate) moved_on: usize,
    pub(crate) failed: usize,
    pub(crate) left: usize,
}

impl Sums {
    /// Counts outcomes; `None`: it has none yet.
    pub(crate) fn of(outcomes: impl Iterator<Item = Option<Ended>>) -> Self {
        let mut sums = Self::default();
        for outcome in outcomes {
            sums.planned += 1;
            match outcome {
                Some(how) => sums.count(how),
                None => sums.left += 1,
            }
        }
        sums
    }

    /// Counts one outcome more.
    pub(crate) fn count(&mut self, how: Ended) {
        match how {
            Ended::Done => self.done += 1,
            Ended::Already => self.already += 1,
            Ended::MovedOn => self.moved_on += 1,
            Ended::Failed => self.failed += 1,
        }
    }

    /// How many ended.
    fn ended(self) -> usize {
        self.done + self.already + self.moved_on + self.failed
    }

    /// Whether they sum up.
    pub(crate) fn fit(self) -> bool {
        self.planned == self.ended() + self.left
    }

    /// Whether nothing failed and nothing is left.
    fn well(self) -> bool {
        self.failed == 0 && self.left == 0 && self.fit()
    }

    /// The sum, as a line.
    pub(crate) fn words(self) -> String {
        format!("planned {} = {} + left {}", self.planned, self.parts(), self.left)
    }

    /// What a run prints at its end. `all`: how many entries the selection has, those included that are not acted on.
    pub(crate) fn report(self, all: usize, what: &str, stopped: Option<&str>) -> Vec<String> {
        let fit = if self.fit() { "the sums match" } else { "THE SUMS DO NOT MATCH: report this" };
        let mut lines = vec![format!("{}; {fit}", self.words())];
        if self.planned < all {
            lines.push(format!("not acted on: {}", count(all - self.planned, what)));
        }
        lines.extend(stopped.map(|why| format!("Nothing new was begun: {why}.")));
        if self.left > 0 {
            lines.push("Run the same command again for those that are left.".to_owned());
        }
        lines
    }

    /// What the process exits with.
    pub(crate) fn exit(self) -> ExitCode {
        if self.well() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
    }

    /// The parts that ended.
    fn parts(self) -> String {
        let Self { done, already, moved_on, failed, .. } = self;
        format!("done {done} + already {already} + moved on {moved_on} + failed {failed}")
    }
}
