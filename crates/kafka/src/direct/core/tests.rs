//! The core against brokers that lose requests, lose answers, change leaders and refuse for a while: whatever they do,
//! every record is there exactly once, in order, and is reported once.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError as Code;
use kafka_protocol::records::RecordBatchDecoder;
use proptest::prelude::*;
use tenantry_contracts::Topic;

use super::*;

const IDENTITY: Identity = (7, 0);
const NODES: i32 = 2;
const PARTITIONS: u16 = 4;
/// Where sequences begin in these tests: they wrap soon.
const FIRST: i32 = i32::MAX - 6;

fn said(partition: u16, tag: u64) -> Said {
    let place = Place { topic: Topic::Requests, partition };
    let value = Some(Bytes::from(tag.to_string()));
    let record = Outgoing { place, key: None, headers: vec![], value, tag };
    Said { bytes: crate::record::batch_bytes(&record), record, time: 1_000 }
}

/// A core that knows the leaders of all partitions, each of which has one record.
fn core() -> Core {
    let mut core = Core::new(Compression::None);
    for partition in 0..PARTITIONS {
        core.push(&said(partition, partition.into()));
    }
    core.lead(Instant::now(), |_, partition| Leader::At(partition % NODES));
    core
}

/// What brokers keep of a partition.
#[derive(Default)]
struct Log {
    values: Vec<String>,
    /// The sequence number that comes next; none before the first batch.
    next: Option<i32>,
    /// First sequence number and offset of the last batch.
    last: Option<(i32, i64)>,
}

impl Log {
    /// Appends a batch, as a broker does for an idempotent producer: an error code, and the offset.
    fn append(&mut self, batch: &Bytes) -> (i16, i64) {
        let sequence = i32::from_be_bytes(batch[53..57].try_into().unwrap());
        if let Some((_, offset)) = self.last.filter(|(last, _)| *last == sequence) {
            return (0, offset);
        }
        if self.next.is_some_and(|next| next != sequence) {
            return (Code::OutOfOrderSequenceNumber.code(), -1);
        }
        let records = RecordBatchDecoder::decode(&mut batch.clone()).unwrap().records;
        let offset = self.values.len() as i64;
        self.next = Some(sequence_after(sequence, records.len()));
        self.last = Some((sequence, offset));
        let value = |value: Option<Bytes>| String::from_utf8(value.unwrap().to_vec()).unwrap();
        self.values.extend(records.into_iter().map(|record| value(record.value)));
        (0, offset)
    }
}

#[derive(Default)]
struct World {
    logs: BTreeMap<i32, Log>,
    under_way: BTreeMap<i32, Vec<Part>>,
    said: BTreeMap<u16, Vec<String>>,
    reports: BTreeMap<u64, Delivery>,
    next: u64,
}

#[derive(Clone, Debug)]
enum Step {
    Say(u16),
    Send(i32),
    /// A request arrives and its answer, too.
    Answer(i32),
    /// The request never arrives.
    LoseRequest(i32),
    /// The request arrives, and the answer is lost.
    LoseAnswer(i32),
    /// Nothing is written, and the broker says so with this code.
    Refuse(i32, i16),
    /// It is written, but the broker does not know to how many replicas.
    Late(i32),
    /// Metadata: who leads now. Beyond the nodes: nobody.
    Lead([i32; PARTITIONS as usize]),
}

fn step() -> impl Strategy<Value = Step> {
    let node = || 0..NODES;
    let codes = [Code::NotLeaderOrFollower, Code::NotEnoughReplicas, Code::UnknownTopicOrPartition];
    let code = prop::sample::select(codes.map(|code| code.code()).to_vec());
    prop_oneof![
        8 => (0..PARTITIONS).prop_map(Step::Say),
        6 => node().prop_map(Step::Send),
        4 => node().prop_map(Step::Answer),
        1 => node().prop_map(Step::LoseRequest),
        1 => node().prop_map(Step::LoseAnswer),
        1 => (node(), code).prop_map(|(node, code)| Step::Refuse(node, code)),
        1 => node().prop_map(Step::Late),
        3 => prop::array::uniform4(0..=NODES).prop_map(Step::Lead),
    ]
}

impl World {
    fn step(&mut self, core: &mut Core, step: Step, now: Instant) {
        match step {
            Step::Say(partition) => {
                core.push(&said(partition, self.next));
                let said = self.said.entry(partition).or_default();
                if said.is_empty() {
                    core.partitions.last_mut().unwrap().sequence = FIRST;
                }
                said.push(self.next.to_string());
                self.next += 1;
            }
            Step::Send(node) if !self.under_way.contains_key(&node) => {
                let parts = core.take(node, now, IDENTITY);
                if !parts.is_empty() {
                    self.under_way.insert(node, parts);
                }
            }
            Step::Send(_) => {}
            Step::Answer(node) => {
                for part in self.under_way.remove(&node).unwrap_or_default() {
                    let (code, offset) = self.write(&part);
                    core.answered(part.id, code, offset, now);
                }
            }
            Step::LoseRequest(node) => {
                core.lost(self.under_way.remove(&node).unwrap_or_default().iter().map(|p| p.id), false);
            }
            Step::LoseAnswer(node) => {
                let parts = self.under_way.remove(&node).unwrap_or_default();
                for part in &parts {
                    self.write(part);
                }
                core.lost(parts.iter().map(|part| part.id), true);
            }
            Step::Refuse(node, code) => {
                for part in self.under_way.remove(&node).unwrap_or_default() {
                    core.answered(part.id, code, -1, now);
                }
            }
            Step::Late(node) => {
                for part in self.under_way.remove(&node).unwrap_or_default() {
                    self.write(&part);
                    core.answered(part.id, Code::NotEnoughReplicasAfterAppend.code(), -1, now);
                }
            }
            Step::Lead(leaders) => core.lead(now, |_, partition| match leaders[partition as usize] {
                NODES => Leader::None(Code::LeaderNotAvailable.code()),
                node => Leader::At(node),
            }),
        }
    }

    fn write(&mut self, part: &Part) -> (i16, i64) {
        self.logs.entry(part.partition).or_default().append(&part.bytes)
    }

    fn tell(&mut self, core: &mut Core) {
        let (reports, _, fatal) = core.told();
        assert_eq!(fatal, None);
        for report in reports {
            assert!(self.reports.insert(report.tag, report.delivery).is_none(), "two reports on one");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn every_record_is_there_once_and_in_order(steps in prop::collection::vec(step(), 1..200)) {
        let (mut core, mut world) = (Core::new(Compression::None), World::default());
        let mut now = Instant::now();
        for step in steps {
            // Longer than any pause, and in all shorter than a topic may be missing.
            now += Duration::from_millis(100);
            world.step(&mut core, step, now);
            world.tell(&mut core);
        }
        for _ in 0..4 * world.next + 4 {
            now += Duration::from_secs(2);
            world.step(&mut core, Step::Lead([0, 1, 0, 1]), now);
            for node in 0..NODES {
                world.step(&mut core, Step::Send(node), now);
                world.step(&mut core, Step::Answer(node), now);
            }
            world.tell(&mut core);
        }
        prop_assert_eq!(core.due(now), Due::default());
        prop_assert_eq!(world.reports.len() as u64, world.next);
        for (partition, said) in &world.said {
            let log = &world.logs[&i32::from(*partition)];
            prop_assert_eq!(&log.values, said);
            for (at, value) in said.iter().enumerate() {
                prop_assert_eq!(&world.reports[&value.parse().unwrap()], &Delivery::Acked(at as i64));
            }
        }
    }
}

#[test]
fn one_request_takes_all_partitions_of_its_broker_and_nothing_overtakes() {
    let (mut core, now) = (core(), Instant::now());
    assert_eq!(core.due(now).nodes, [0, 1]);
    let parts = core.take(0, now, IDENTITY);
    assert_eq!(parts.iter().map(|part| part.partition).collect::<Vec<_>>(), [0, 2]);
    core.push(&said(0, 10));
    core.push(&said(0, 11));
    assert_eq!(core.due(now).nodes, [1], "what is under way waits for its answer");
    core.answered(parts[0].id, 0, 5, now);
    let (reports, ..) = core.told();
    assert_eq!(reports, [Delivered { tag: 0, delivery: Delivery::Acked(5) }]);
    let next = core.take(0, now, IDENTITY);
    assert_eq!(next.len(), 1);
    assert_eq!(next[0].bytes[53..61], [0, 0, 0, 1, 0, 0, 0, 2], "the sequence goes on, both go together");
}

#[test]
fn a_repeat_has_the_same_bytes_and_waits_longer_each_time() {
    let (mut core, mut now) = (core(), Instant::now());
    let first = core.take(0, now, IDENTITY).swap_remove(0);
    let mut waited = Vec::new();
    for _ in 0..7 {
        core.answered(first.id, Code::NotEnoughReplicas.code(), -1, now);
        let wake = core.due(now).wake.unwrap();
        waited.push(wake.duration_since(now).as_millis());
        now = wake;
        assert!(core.due(now).leaderless, "who leads is asked anew");
        core.lead(now, |_, partition| Leader::At(partition % NODES));
        assert_eq!(core.take(0, now, IDENTITY)[0].bytes, first.bytes);
    }
    assert_eq!(waited, [50, 100, 200, 400, 800, 1_000, 1_000]);
    core.answered(first.id, Code::DuplicateSequenceNumber.code(), -1, now);
    assert_eq!(core.told().0, [Delivered { tag: 0, delivery: Delivery::Acked(-1) }]);
}

#[test]
fn a_refusal_is_not_persisted_and_what_else_is_open_is_in_doubt() {
    let (mut core, now) = (core(), Instant::now());
    let parts = core.take(0, now, IDENTITY);
    core.answered(parts[0].id, Code::MessageTooLarge.code(), -1, now);
    core.answered(parts[1].id, 0, 3, now);
    let (reports, released, fatal) = core.told();
    assert!(matches!(&reports[0], Delivered { tag: 0, delivery: Delivery::NotPersisted(_) }));
    assert_eq!(reports[1], Delivered { tag: 2, delivery: Delivery::Acked(3) });
    assert!(matches!(&reports[2].delivery, Delivery::PossiblyPersisted(_)));
    assert_eq!((reports.len(), released), (4, 4 * said(0, 0).bytes));
    assert!(matches!(fatal, Some(Delivery::PossiblyPersisted(why)) if why.contains("MessageTooLarge")));
}

#[test]
fn a_refusal_after_a_lost_answer_is_in_doubt() {
    let (mut core, now) = (core(), Instant::now());
    let id = core.take(0, now, IDENTITY)[0].id;
    core.lost([id], true);
    core.lead(now, |_, partition| Leader::At(partition % NODES));
    let again = core.take(0, now, IDENTITY);
    core.answered(
        again.iter().find(|part| part.id == id).unwrap().id,
        Code::TopicAuthorizationFailed.code(),
        -1,
        now,
    );
    assert!(core.told().0.iter().all(|report| matches!(report.delivery, Delivery::PossiblyPersisted(_))));
}

#[test]
fn a_broken_sequence_spends_the_producer() {
    let codes = [
        Code::OutOfOrderSequenceNumber,
        Code::UnknownProducerId,
        Code::InvalidProducerEpoch,
        Code::ProducerFenced,
        Code::ClusterAuthorizationFailed,
        Code::UnknownServerError,
    ];
    for code in codes {
        let (mut core, now) = (core(), Instant::now());
        let id = core.take(0, now, IDENTITY)[0].id;
        core.answered(id, code.code(), -1, now);
        let (reports, _, fatal) = core.told();
        assert!(fatal.is_some());
        assert_eq!(reports.len(), usize::from(PARTITIONS));
        assert!(reports.iter().all(|report| matches!(report.delivery, Delivery::PossiblyPersisted(_))));
    }
}

#[test]
fn a_topic_that_stays_unknown_is_given_up_and_the_others_go_on() {
    let (mut core, start) = (Core::new(Compression::None), Instant::now());
    core.push(&said(0, 0));
    core.push(&said(1, 1));
    let find = |_: &TopicName, partition| match partition {
        0 => Leader::None(Code::UnknownTopicOrPartition.code()),
        _ => Leader::At(0),
    };
    core.lead(start, find);
    core.lead(start + MISSING - Duration::from_secs(1), find);
    assert_eq!(core.told().0, []);
    core.lead(start + MISSING, find);
    let (reports, _, fatal) = core.told();
    assert!(matches!(&reports[..], [Delivered { tag: 0, delivery: Delivery::NotPersisted(_) }]));
    assert_eq!(fatal, None);
    assert_eq!(core.take(0, start, IDENTITY).len(), 1);
}

#[test]
fn batches_and_requests_have_a_limit() {
    let (mut core, now) = (Core::new(Compression::None), Instant::now());
    let large = |partition, tag| {
        let mut said = said(partition, tag);
        said.record.value = Some(Bytes::from(vec![b'x'; 700_000]));
        said.bytes = crate::record::batch_bytes(&said.record);
        said
    };
    for tag in 0..40 {
        core.push(&large((tag % 20) as u16, tag));
    }
    core.lead(now, |_, _| Leader::At(0));
    let mut partitions = Vec::new();
    while partitions.len() < 20 {
        let parts = core.take(0, now, IDENTITY);
        assert!(parts.iter().map(|part| part.bytes.len()).sum::<usize>() <= REQUEST_BYTES);
        for part in parts {
            partitions.push(part.partition);
            core.answered(part.id, 0, 0, now);
        }
    }
    partitions.truncate(20);
    partitions.sort_unstable();
    assert_eq!(partitions, (0..20).collect::<Vec<_>>(), "each had its turn before one had a second");
}
