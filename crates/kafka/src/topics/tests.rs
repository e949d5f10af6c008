//! Differences between topics as they are and as they should be.

use super::*;

fn differences(entries: &[(&str, &str)], shape: Shape) -> Vec<&'static str> {
    let entry =
        |name: &str| entries.iter().find(|(have, _)| *have == name).map(|(_, value)| value.to_string());
    let mut all = Vec::new();
    shape_differs(&Topic::Audit.name(), &shape, 4, &mut all);
    settings_differ(&Topic::Audit, &shape, &entry, &mut all);
    all.into_iter().map(|difference| difference.code).collect()
}

#[test]
fn settings_that_break_a_promise_are_named_and_larger_ones_are_not() {
    let shape = Shape { partitions: 4, replicas: 3, leaderless: 0 };
    let good = [
        ("retention.ms", "-1"),
        ("max.message.bytes", "9999999"),
        ("cleanup.policy", "delete"),
        ("min.insync.replicas", "2"),
    ];
    assert!(differences(&good, shape).is_empty());
    let bad = [
        ("retention.ms", "604800000"),
        ("max.message.bytes", "1000"),
        ("cleanup.policy", "compact"),
        ("min.insync.replicas", "1"),
    ];
    assert_eq!(
        differences(&bad, Shape { partitions: 3, replicas: 3, leaderless: 1 }),
        [
            "topic_partitions",
            "topic_leaderless",
            "topic_retention",
            "topic_size",
            "topic_cleanup",
            "topic_replicas"
        ]
    );
}
