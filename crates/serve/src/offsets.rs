//! The longest finished prefix of one partition. Pure.

use std::collections::BTreeSet;

/// What was heard of a partition since it was assigned, and how far all of it is finished.
///
/// Offsets may have holes (markers of transactions, compaction); what was never heard is no work.
#[derive(Clone, Debug, Default)]
pub(crate) struct Offsets {
    open: BTreeSet<i64>,
    next: Option<i64>,
    stored: Option<i64>,
}

impl Offsets {
    /// Notes that a record was heard. `false` where it, or a later one, was heard before.
    pub(crate) fn heard(&mut self, offset: i64) -> bool {
        if self.next.is_some_and(|next| offset < next) {
            return false;
        }
        self.open.insert(offset);
        self.next = Some(offset.saturating_add(1));
        true
    }

    /// Notes that a record is finished; returns the offset to be stored, where that moved.
    pub(crate) fn finished(&mut self, offset: i64) -> Option<i64> {
        if !self.open.remove(&offset) {
            return None;
        }
        let below = self.open.first().copied().or(self.next)?;
        if below <= self.stored.unwrap_or(offset) {
            return None;
        }
        self.stored = Some(below);
        Some(below)
    }

    /// How far the partition was heard beyond its first unfinished record.
    pub(crate) fn ahead(&self) -> i64 {
        match (self.open.first(), self.next) {
            (Some(first), Some(next)) => next - first,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_of_three_moves_nothing_until_the_first_two_are_finished() {
        let mut offsets = Offsets::default();
        for offset in [7, 8, 12] {
            assert!(offsets.heard(offset));
        }
        assert!(!offsets.heard(8), "heard before");
        assert_eq!(offsets.ahead(), 6);
        assert_eq!(offsets.finished(12), None);
        assert_eq!(offsets.finished(7), Some(8));
        assert_eq!(offsets.finished(7), None, "finished twice");
        assert_eq!(offsets.finished(8), Some(13));
        assert_eq!(offsets.ahead(), 0);
    }

    proptest! {
        #[test]
        fn what_is_stored_never_passes_unfinished_work_and_reaches_the_end(
            gaps in prop::collection::vec(1i64..4, 1..60),
            picks in prop::collection::vec(any::<prop::sample::Index>(), 120),
        ) {
            let heard: Vec<i64> =
                gaps.iter().scan(0, |at, gap| { *at += gap; Some(*at) }).collect();
            let (mut offsets, mut open) = (Offsets::default(), BTreeSet::new());
            let (mut waiting, mut stored) = (heard.iter().copied(), 0);
            let mut picks = picks.iter();
            loop {
                // Hear and finish in an order that the picks choose.
                let hear = picks.next().is_none_or(|pick| pick.index(2) == 0);
                if hear && let Some(offset) = waiting.next() {
                    prop_assert!(offsets.heard(offset));
                    open.insert(offset);
                } else if !open.is_empty() {
                    let at = picks.next().map_or(0, |pick| pick.index(open.len()));
                    let offset = *open.iter().nth(at).unwrap();
                    open.remove(&offset);
                    if let Some(now) = offsets.finished(offset) {
                        prop_assert!(now > stored, "moves forward only");
                        prop_assert!(open.iter().all(|left| *left >= now), "{open:?} but stored {now}");
                        stored = now;
                    }
                } else if waiting.len() == 0 {
                    break;
                }
            }
            prop_assert_eq!(stored, heard.last().unwrap() + 1);
        }
    }
}
