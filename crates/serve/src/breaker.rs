//! Stops a worker whose dependency is down, and finds out when it is back. Pure.

use tenantry_contracts::Time;
use tenantry_ports::Entropy;

use crate::retry::Pauses;

/// What a finished command tells about the worker's dependency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// It answered.
    Well,
    /// It shook until the deadline.
    Down,
    /// Nothing: the command never came so far.
    None,
}

/// Where the breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Everything may begin.
    Closed,
    /// Nothing may begin before then.
    Open {
        /// When one command may be tried.
        until: Time,
    },
    /// One command at a time may begin, to see.
    Probing {
        /// It is on its way.
        busy: bool,
    },
}

/// The breaker of one worker.
#[derive(Clone, Debug)]
pub(crate) struct Breaker {
    gate: Gate,
    after: u32,
    row: u32,
    pauses: Pauses,
}

impl Breaker {
    /// A closed breaker that opens after `after` commands in a row that shook until their deadline.
    pub(crate) fn new(after: u32, probe_ms: (u64, u64)) -> Self {
        Self { gate: Gate::Closed, after: after.max(1), row: 0, pauses: Pauses::new(probe_ms) }
    }

    /// Where it stands.
    pub(crate) fn gate(&self) -> Gate {
        self.gate
    }

    /// Lets time pass; `true` where the gate changed.
    pub(crate) fn tick(&mut self, now: Time) -> bool {
        if let Gate::Open { until } = self.gate
            && now >= until
        {
            self.gate = Gate::Probing { busy: false };
            return true;
        }
        false
    }

    /// A command may begin now.
    pub(crate) fn admits(&self) -> bool {
        matches!(self.gate, Gate::Closed | Gate::Probing { busy: false })
    }

    /// Notes that a command begins; `true` where it is the probe.
    pub(crate) fn begun(&mut self) -> bool {
        let probe = self.gate == Gate::Probing { busy: false };
        if probe {
            self.gate = Gate::Probing { busy: true };
        }
        probe
    }

    /// Notes how a command ended; `true` where the gate changed.
    pub(crate) fn ended(&mut self, sign: Sign, probe: bool, now: Time, entropy: &impl Entropy) -> bool {
        let before = self.gate;
        match (sign, self.gate) {
            (Sign::Well, Gate::Closed) => self.row = 0,
            (Sign::Well, Gate::Open { .. } | Gate::Probing { .. }) => {
                self.row = 0;
                self.pauses.reset();
                self.gate = Gate::Closed;
            }
            (Sign::Down, Gate::Closed) => {
                self.row += 1;
                if self.row >= self.after {
                    self.gate = Gate::Open { until: now.plus(self.pauses.next(entropy)) };
                }
            }
            (Sign::Down, Gate::Probing { .. }) if probe => {
                self.gate = Gate::Open { until: now.plus(self.pauses.next(entropy)) };
            }
            (Sign::None, Gate::Probing { .. }) if probe => self.gate = Gate::Probing { busy: false },
            // Commands that began before the gate opened say nothing new.
            (Sign::Down | Sign::None, _) => {}
        }
        self.gate != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone)]
    struct Zero;

    impl Entropy for Zero {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(0);
        }
    }

    fn open() -> Breaker {
        let mut breaker = Breaker::new(2, (1_000, 4_000));
        assert!(!breaker.ended(Sign::Down, false, Time(0), &Zero));
        assert!(breaker.ended(Sign::Down, false, Time(0), &Zero));
        assert_eq!(breaker.gate(), Gate::Open { until: Time(500) });
        breaker
    }

    #[test]
    fn it_opens_after_a_row_of_failures_and_a_success_between_them_breaks_the_row() {
        let mut breaker = Breaker::new(2, (1_000, 4_000));
        breaker.ended(Sign::Down, false, Time(0), &Zero);
        breaker.ended(Sign::Well, false, Time(0), &Zero);
        breaker.ended(Sign::Down, false, Time(0), &Zero);
        assert_eq!(breaker.gate(), Gate::Closed);
        assert!(!open().admits());
    }

    #[test]
    fn one_probe_at_a_time_and_the_pause_grows_when_it_fails() {
        let mut breaker = open();
        assert!(!breaker.tick(Time(499)));
        assert!(breaker.tick(Time(500)));
        assert!(breaker.admits() && breaker.begun());
        assert!(!breaker.admits(), "one at a time");
        assert!(breaker.ended(Sign::Down, true, Time(600), &Zero));
        assert_eq!(breaker.gate(), Gate::Open { until: Time(1_600) });
        breaker.tick(Time(1_600));
        assert!(breaker.begun());
        assert!(breaker.ended(Sign::Well, true, Time(1_700), &Zero));
        assert_eq!(breaker.gate(), Gate::Closed);
    }

    #[test]
    fn a_probe_that_says_nothing_makes_room_for_another() {
        let mut breaker = open();
        breaker.tick(Time(500));
        assert!(breaker.begun());
        assert!(!breaker.ended(Sign::Down, false, Time(500), &Zero), "an old command is no probe");
        assert!(breaker.ended(Sign::None, true, Time(500), &Zero));
        assert!(breaker.begun());
    }
}
