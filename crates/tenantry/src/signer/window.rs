//! What was heard since the last checkpoint, until it becomes part of the log in the order of [`tenantry_audit::order`].

use std::collections::{BTreeMap, VecDeque};

use tenantry_audit::order::spans;
use tenantry_contracts::Record;

use crate::trail::Trouble;

/// Records that are not signed yet.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// What the last checkpoint had read of each partition.
    signed: BTreeMap<u16, i64>,
    waiting: BTreeMap<u16, VecDeque<Record>>,
    count: usize,
}

impl Window {
    /// After a checkpoint that had read so far, of a topic with so many partitions.
    pub(super) fn after(read: &[(i32, i64)], partitions: u16) -> Self {
        let mut signed: BTreeMap<u16, i64> = (0..partitions).map(|partition| (partition, 0)).collect();
        signed.extend(read.iter().filter_map(|(partition, at)| Some((u16::try_from(*partition).ok()?, *at))));
        Self { signed, waiting: BTreeMap::new(), count: 0 }
    }

    /// How many records wait.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Of each partition the offset after the last record that was heard.
    pub(super) fn read(&self) -> Vec<(i32, i64)> {
        self.signed.keys().map(|partition| (i32::from(*partition), self.next(*partition))).collect()
    }

    /// Whether a record is not in the log yet.
    pub(super) fn is_new(&self, record: &Record) -> bool {
        self.signed.get(&record.partition).is_none_or(|signed| record.offset >= *signed)
    }

    /// The next record of its partition.
    ///
    /// # Errors
    /// `log_cut`: there was another one before it, which is gone.
    pub(super) fn hear(&mut self, record: Record) -> Result<(), Trouble> {
        let next = self.next(record.partition);
        if record.offset != next {
            let text = format!(
                "{}: offset {next} was to come, and is gone before it was signed; look who removed records",
                record.origin()
            );
            return Err(Trouble::breach("log_cut", text));
        }
        self.waiting.entry(record.partition).or_default().push_back(record);
        self.count += 1;
        Ok(())
    }

    /// Everything that waits, in the order of the log.
    pub(super) fn take(&mut self) -> Result<Vec<Record>, Trouble> {
        let before: Vec<_> = self.signed.iter().map(|(at, offset)| (i32::from(*at), *offset)).collect();
        let now = self.read();
        let spans = spans(&before, &now)
            .ok_or_else(|| Trouble::breach("internal", "the topic was read backwards; report this"))?;
        let mut waiting = std::mem::take(&mut self.waiting);
        let mut taken = Vec::with_capacity(self.count);
        for span in spans {
            let partition = u16::try_from(span.partition).unwrap_or(u16::MAX);
            let records = waiting.remove(&partition).unwrap_or_default();
            taken.extend(records.into_iter().filter(|record| (span.from..span.to).contains(&record.offset)));
            self.signed.insert(partition, span.to);
        }
        self.count = 0;
        Ok(taken)
    }

    fn next(&self, partition: u16) -> i64 {
        let last = self.waiting.get(&partition).and_then(|waiting| waiting.back());
        let signed = || self.signed.get(&partition).copied().unwrap_or_default();
        last.map_or_else(signed, |record| record.offset + 1)
    }
}

#[cfg(test)]
mod tests {
    use tenantry_contracts::{Time, Topic};

    use super::*;

    fn record(partition: u16, offset: i64) -> Record {
        Record {
            topic: Topic::Audit,
            partition,
            offset,
            at: Time(0),
            key: None,
            headers: Vec::new(),
            value: None,
        }
    }

    fn places(records: &[Record]) -> Vec<(u16, i64)> {
        records.iter().map(|record| (record.partition, record.offset)).collect()
    }

    #[test]
    fn whatever_the_order_of_arrival_partition_comes_after_partition() {
        let mut window = Window::after(&[(0, 5), (1, 0)], 3);
        for (partition, offset) in [(2, 0), (1, 0), (0, 5), (2, 1), (0, 6)] {
            window.hear(record(partition, offset)).unwrap();
        }
        assert_eq!((window.len(), window.read()), (5, vec![(0, 7), (1, 1), (2, 2)]));
        assert_eq!(places(&window.take().unwrap()), [(0, 5), (0, 6), (1, 0), (2, 0), (2, 1)]);
        // The next window begins where this one ended, so what comes later in partition 0 comes after partition 2.
        window.hear(record(0, 7)).unwrap();
        assert_eq!(places(&window.take().unwrap()), [(0, 7)]);
        assert_eq!((window.take().unwrap(), window.read()), (vec![], vec![(0, 8), (1, 1), (2, 2)]));
    }

    #[test]
    fn a_record_that_is_gone_before_it_was_signed_is_noticed() {
        let mut window = Window::after(&[(0, 5)], 1);
        assert!(!window.is_new(&record(0, 4)) && window.is_new(&record(0, 5)));
        let refused = window.hear(record(0, 6)).unwrap_err();
        assert!(refused.to_string().starts_with("log_cut: "), "{refused}");
    }
}
