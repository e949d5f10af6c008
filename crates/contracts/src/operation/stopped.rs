//! What a lane asks nothing of: one worker, several, or all.

use std::collections::BTreeSet;
use std::fmt;

use super::Scope;
use crate::WorkerName;

/// The word for every worker.
const ALL: &str = "*";

/// The workers that a lane asks nothing of, because a person paused them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stopped(BTreeSet<String>);

impl Stopped {
    /// Reads what [`Stopped`] prints.
    pub fn parse(text: &str) -> Self {
        Self(text.split_whitespace().map(str::to_owned).collect())
    }

    /// Nothing is stopped.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Nothing is asked of this worker.
    pub fn stops(&self, worker: &WorkerName) -> bool {
        self.0.contains(ALL) || self.0.contains(worker.as_str())
    }

    /// Stops what a person named. Whether it was not stopped before.
    pub fn stop(&mut self, scope: &Scope) -> bool {
        word(scope).is_some_and(|word| self.0.insert(word.to_owned()))
    }

    /// Lets what a person named go on. Whether it was stopped before.
    pub fn go_on(&mut self, scope: &Scope) -> bool {
        word(scope).is_some_and(|word| self.0.remove(word))
    }
}

fn word(scope: &Scope) -> Option<&str> {
    match scope {
        Scope::Tenant => None,
        Scope::Worker(worker) => Some(worker.as_str()),
        Scope::Fleet => Some(ALL),
    }
}

/// The names, `*` for every worker, with a space between them.
impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(String::as_str).collect();
        f.write_str(&names.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fleet_and_its_workers_are_stopped_apart() {
        let (storage, dns) = (WorkerName::new("storage"), WorkerName::new("dns"));
        let mut stopped = Stopped::default();
        assert!(
            stopped.stop(&Scope::Worker(storage.clone())) && !stopped.stop(&Scope::Worker(storage.clone()))
        );
        assert!(stopped.stops(&storage) && !stopped.stops(&dns));
        assert!(stopped.stop(&Scope::Fleet));
        assert!(stopped.stops(&dns));
        assert_eq!(Stopped::parse(&stopped.to_string()), stopped);
        assert!(stopped.go_on(&Scope::Fleet) && !stopped.go_on(&Scope::Fleet));
        assert!(stopped.stops(&storage) && !stopped.stops(&dns), "the worker is stopped by itself");
        assert!(!stopped.stop(&Scope::Tenant));
    }
}
