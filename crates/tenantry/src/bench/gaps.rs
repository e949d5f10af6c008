//! Where a lane stood still: the longest time between two records of its audit, as a reader hears them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The longest silence of each lane, between its first record and its last.
#[derive(Debug, Default)]
pub(super) struct Gaps(BTreeMap<u16, Lane>);

#[derive(Debug)]
struct Lane {
    last: Instant,
    longest: Duration,
}

impl Gaps {
    /// A record of a lane came.
    pub(super) fn heard(&mut self, lane: u16, at: Instant) {
        let known = self.0.entry(lane).or_insert(Lane { last: at, longest: Duration::ZERO });
        known.longest = known.longest.max(at - known.last);
        known.last = at;
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
    fn the_longest_silence_of_each_lane_is_kept() {
        let (mut gaps, began) = (Gaps::default(), Instant::now());
        for (lane, ms) in [(0, 0), (1, 5), (0, 10), (0, 500), (1, 20), (0, 510)] {
            gaps.heard(lane, began + Duration::from_millis(ms));
        }
        assert_eq!(gaps.longest_ms(), BTreeMap::from([(0, 490.0), (1, 15.0)]));
        assert!(Gaps::default().longest_ms().is_empty());
    }
}
