//! Where a lane stood still: the longest time without a record of its audit while one of its tenants was on its way, as a
//! reader hears it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The longest pause of each lane.
#[derive(Debug, Default)]
pub(super) struct Gaps(BTreeMap<u16, Lane>);

#[derive(Debug)]
struct Lane {
    /// Tenants on their way.
    open: u64,
    /// Since when nothing was heard although something could be.
    last: Instant,
    longest: Duration,
}

impl Gaps {
    /// A tenant was asked for.
    pub(super) fn opened(&mut self, lane: u16, at: Instant) {
        let lane = self.0.entry(lane).or_insert(Lane { open: 0, last: at, longest: Duration::ZERO });
        if lane.open == 0 {
            lane.last = at;
        }
        lane.open += 1;
    }

    /// A record of a lane came.
    pub(super) fn heard(&mut self, lane: u16, at: Instant) {
        if let Some(lane) = self.0.get_mut(&lane).filter(|lane| lane.open > 0) {
            lane.longest = lane.longest.max(at - lane.last);
            lane.last = at;
        }
    }

    /// A tenant has its outcome.
    pub(super) fn closed(&mut self, lane: u16) {
        if let Some(lane) = self.0.get_mut(&lane) {
            lane.open = lane.open.saturating_sub(1);
        }
    }

    /// Milliseconds, by lane.
    pub(super) fn longest_ms(&self) -> BTreeMap<u16, f64> {
        self.0.iter().map(|(lane, gap)| (*lane, gap.longest.as_secs_f64() * 1000.0)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_silence_while_somebody_waits() {
        let (mut gaps, began) = (Gaps::default(), Instant::now());
        let at = |ms| began + Duration::from_millis(ms);
        gaps.opened(0, at(0));
        gaps.opened(1, at(0));
        gaps.heard(0, at(10));
        gaps.heard(1, at(5));
        gaps.heard(0, at(500));
        gaps.closed(0);
        // Nobody waited in between.
        gaps.opened(0, at(5000));
        gaps.heard(0, at(5020));
        gaps.heard(7, at(5020));
        assert_eq!(gaps.longest_ms(), BTreeMap::from([(0, 490.0), (1, 5.0)]));
    }
}
