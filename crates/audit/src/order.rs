//! The order of the leaves, which anybody can derive from the topic and the checkpoints alone: between one checkpoint and
//! the next, partition after partition in ascending order, and in each from the offset that the one has read up to to
//! that of the next. Whoever signs and whoever exports take it from here.

/// How far partitions were read: of each the offset that comes next, as a checkpoint says it.
pub type ReadUpTo = [(i32, i64)];

/// A piece of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The partition.
    pub partition: i32,
    /// The first offset.
    pub from: i64,
    /// The offset after the last one.
    pub to: i64,
}

/// What the log heard between two checkpoints, in the order of its leaves; pieces that are empty are left out. Before the
/// first checkpoint nothing was read. `None` where `after` is not a later reading than `before`: it goes back, leaves a
/// partition out, or does not ascend.
pub fn spans(before: &ReadUpTo, after: &ReadUpTo) -> Option<Vec<Span>> {
    if !after.windows(2).all(|pair| pair[0].0 < pair[1].0) {
        return None;
    }
    let kept = |(partition, _): &(i32, i64)| after.iter().any(|(other, _)| other == partition);
    if !before.iter().all(kept) {
        return None;
    }
    let mut spans = Vec::new();
    for &(partition, to) in after {
        let from = before.iter().find(|(other, _)| *other == partition).map_or(0, |(_, from)| *from);
        if to < from {
            return None;
        }
        if from < to {
            spans.push(Span { partition, from, to });
        }
    }
    Some(spans)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(partition: i32, from: i64, to: i64) -> Span {
        Span { partition, from, to }
    }

    #[test]
    fn partition_after_partition_from_the_last_reading_to_this_one() {
        assert_eq!(spans(&[], &[(0, 2), (1, 0), (2, 5)]).unwrap(), [span(0, 0, 2), span(2, 0, 5)]);
        let before = [(0, 2), (1, 0), (2, 5)];
        assert_eq!(spans(&before, &[(0, 2), (1, 3), (2, 6)]).unwrap(), [span(1, 0, 3), span(2, 5, 6)]);
        assert_eq!(spans(&before, &before).unwrap(), []);
    }

    #[test]
    fn a_reading_that_goes_back_or_leaves_something_out_is_none() {
        let before = [(0, 2), (1, 1)];
        for after in [&[(0, 1), (1, 1)][..], &[(0, 2)], &[(1, 1), (0, 2)], &[(0, 2), (1, 1), (1, 2)]] {
            assert_eq!(spans(&before, after), None, "{after:?}");
        }
    }
}
