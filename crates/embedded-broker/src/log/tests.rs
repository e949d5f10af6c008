//! One partition's log on a real file system.

use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::batch::tests::batch_of;
use crate::batch::{HEADER, accept};
use crate::settings::Configs;

fn settings(configs: &[(&str, &str)]) -> Settings {
    let configs: Configs =
        configs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    Settings::of(&configs)
}

fn open(dir: &Path) -> Log {
    Log::open(dir.join("0"), 0).expect("opens")
}

fn append(log: &mut Log, batch: &[u8]) -> Result<i64, ResponseError> {
    log.append(accept(batch).expect("is good"), batch, &settings(&[("segment.bytes", "1048576")]), 0)
}

fn read(log: &mut Log, offset: i64, max: usize) -> Vec<Header> {
    let Some(span) = log.span(offset).expect("in range") else { return Vec::new() };
    let bytes = span.read(offset, max, true).expect("reads");
    let mut at = 0;
    let mut headers = Vec::new();
    while at < bytes.len() {
        let header = Header::read(&bytes[at..]).expect("whole batches");
        assert!(header.intact(&bytes[at..at + header.length]));
        at += header.length;
        headers.push(header);
    }
    headers
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_to_whole_batches() {
    let batch = batch_of(2, 5, 0, None);
    for cut in 0..batch.len() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut log = open(dir.path());
        for _ in 0..3 {
            append(&mut log, &batch).expect("appends");
        }
        let path = log.dir.join("00000000000000000000.log");
        let whole = fs::read(&path).expect("reads");
        fs::write(&path, &whole[..2 * batch.len() + cut]).expect("tears");
        let mut log = open(dir.path());
        assert_eq!(log.end(), 4, "cut at {cut}");
        assert_eq!(append(&mut log, &batch), Ok(4));
        assert_eq!(read(&mut log, 0, 1 << 20).len(), 3);
    }
}

#[test]
fn a_damaged_last_batch_is_cut_off() {
    let dir = tempfile::tempdir().expect("a directory");
    let batch = batch_of(1, 50, 0, None);
    let mut log = open(dir.path());
    append(&mut log, &batch).expect("appends");
    append(&mut log, &batch).expect("appends");
    let path = log.dir.join("00000000000000000000.log");
    let mut bytes = fs::read(&path).expect("reads");
    bytes[batch.len() + HEADER + 20] ^= 1;
    fs::write(&path, bytes).expect("damages");
    assert_eq!(open(dir.path()).end(), 1);
}

#[test]
fn a_batch_sent_again_is_known_after_rolls_and_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut log = open(dir.path());
    for sequence in 0..5 {
        assert_eq!(append(&mut log, &batch_of(1, 400_000, 0, Some(sequence))), Ok(i64::from(sequence)));
    }
    assert_eq!(log.segments.len(), 3);
    // The last file holds one batch only; the others are known from the snapshot before it.
    let mut log = open(dir.path());
    for sequence in 0..5 {
        assert_eq!(append(&mut log, &batch_of(1, 400_000, 0, Some(sequence))), Ok(i64::from(sequence)));
    }
    let gap = append(&mut log, &batch_of(1, 10, 0, Some(6)));
    assert_eq!(gap, Err(ResponseError::OutOfOrderSequenceNumber));
    assert_eq!(log.end(), 5);
    // Without the snapshot, the earlier files are read.
    fs::remove_file(log.snapshot_path(4)).expect("is there");
    fs::remove_file(log.snapshot_path(2)).expect("is there");
    assert_eq!(append(&mut open(dir.path()), &batch_of(1, 400_000, 0, Some(0))), Ok(0));
}

#[test]
fn retention_deletes_old_files_and_keeps_the_offsets() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut log = open(dir.path());
    for number in 0..6 {
        append(&mut log, &batch_of(1, 400_000, number * 1000, None)).expect("appends");
    }
    let keep = settings(&[("retention.ms", "1000")]);
    log.enforce_retention(&keep, 3500).expect("deletes");
    assert_eq!((log.start(), log.end()), (2, 6));
    assert_eq!(log.span(1).err(), Some(ResponseError::OffsetOutOfRange));
    log.enforce_retention(&keep, 1_000_000).expect("deletes");
    assert_eq!((log.start(), log.end()), (6, 6));
    let mut log = open(dir.path());
    assert_eq!((log.start(), log.end()), (6, 6));
    assert_eq!(append(&mut log, &batch_of(1, 10, 0, None)), Ok(6));
    assert_eq!(fs::read_dir(&log.dir).expect("reads").count(), 2, "one file of records, one of producers");
}

#[test]
fn retention_by_size_keeps_at_least_that_much() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut log = open(dir.path());
    for _ in 0..6 {
        append(&mut log, &batch_of(1, 400_000, 0, None)).expect("appends");
    }
    log.enforce_retention(&settings(&[("retention.bytes", "800000"), ("retention.ms", "-1")]), 0)
        .expect("deletes");
    assert_eq!((log.start(), log.end()), (4, 6));
}

#[test]
fn deleted_records_are_out_of_range_and_their_files_gone() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut log = open(dir.path());
    for _ in 0..6 {
        append(&mut log, &batch_of(1, 400_000, 0, None)).expect("appends");
    }
    log.delete_before(3).expect("deletes");
    assert_eq!((log.start(), log.segments.len()), (3, 2));
    assert!(log.span(2).is_err() && log.span(3).is_ok());
}

#[test]
fn the_first_record_at_or_after_a_time_is_found_across_files() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut log = open(dir.path());
    for number in 0..30 {
        append(&mut log, &batch_of(2, 60_000, number * 1000, None)).expect("appends");
    }
    assert!(log.segments.len() > 2);
    for mut log in [log, open(dir.path())] {
        for number in 0..30 {
            assert_eq!(log.find(number * 1000), Ok(Some((number * 2, number * 1000))));
            assert_eq!(log.find(number * 1000 + 1), Ok(Some((number * 2 + 1, number * 1000 + 1))));
        }
        assert_eq!(log.find(29_002), Ok(None));
        assert_eq!(log.newest(), Ok(Some((59, 29_001))));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_read_gives_whole_batches_from_the_one_asked_for_and_never_too_much(
        batches in prop::collection::vec((1..20i32, 1..3000usize), 1..30),
        at in any::<prop::sample::Index>(),
        max in 1..40_000usize,
    ) {
        let dir = tempfile::tempdir().expect("a directory");
        let mut log = open(dir.path());
        for (count, size) in &batches {
            append(&mut log, &batch_of(*count, *size, 0, None)).expect("appends");
        }
        let offset = at.index(usize::try_from(log.end()).expect("positive")) as i64;
        let read = read(&mut log, offset, max);
        let mut next = read[0].base_offset;
        prop_assert!(next <= offset && offset < read[0].next_offset());
        for header in &read {
            prop_assert_eq!(header.base_offset, next);
            next = header.next_offset();
        }
        let bytes: usize = read.iter().map(|header| header.length).sum();
        prop_assert!(bytes <= max || read.len() == 1);
        // As much as fits.
        if let Some(span) = log.span(next).expect("in range") {
            let following = Header::read(&span.read(next, 1, true).expect("reads")).expect("a batch");
            prop_assert!(bytes + following.length > max);
        }
    }
}
