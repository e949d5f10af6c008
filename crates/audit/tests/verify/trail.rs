//! Trails as a coordinator writes them, and what is found in them.

use std::collections::BTreeMap;

use bytes::Bytes;
use tenantry_audit::{Breach, Expected, Flow, Head, Heard, Problem, Report, Verifier};
use tenantry_contracts::audit::{self, AuditEvent, AuditKind};
use tenantry_contracts::event::TenantRef;
use tenantry_contracts::{Environment, Lane, Origin, Slug, TenantId, Time};

/// A record with its place.
#[derive(Clone, Debug)]
pub(crate) struct Rec {
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Option<Bytes>,
    pub(crate) at: Origin,
}

pub(crate) type Trail = Vec<Rec>;

pub(crate) fn tenant(at: u8) -> TenantId {
    TenantId::new(Time(1), [at; 10])
}

/// The next record of a chain, linked to its head.
pub(crate) fn event(chain: &str, owner: Option<u8>, head: &Head, kind: AuditKind) -> AuditEvent {
    let at = Time(1_700_000_000_000 + head.seq);
    AuditEvent {
        fleet: "test".to_owned(),
        chain: chain.to_owned(),
        seq: head.seq + 1,
        prev: head.prev(),
        tenant: owner.map(|at| TenantRef {
            id: tenant(at),
            slug: Slug::parse("acme").unwrap(),
            environment: Environment::default(),
        }),
        note: Some("a note".to_owned()),
        ..AuditEvent::new(kind, at, Lane(0), 100 + head.seq)
    }
}

/// The writer of a trail: the heads that a store would have.
#[derive(Clone, Default)]
pub(crate) struct Store {
    pub(crate) heads: BTreeMap<String, Head>,
    pub(crate) trail: Trail,
}

impl Store {
    /// Appends to a tenant's chain, or to the lane's.
    pub(crate) fn append(&mut self, owner: Option<u8>, kind: AuditKind) {
        let chain = owner.map_or(Lane(0).chain(), |at| tenant(at).to_string());
        let head = self.heads.entry(chain.clone()).or_insert_with(|| Head::start(&chain));
        let (_, value) = audit::encode(&event(&chain, owner, head, kind), "test").unwrap();
        *head = head.after(&value);
        self.trail.push(record(&chain, value));
        number(&mut self.trail);
    }

    pub(crate) fn expected(&self, exact: bool) -> Expected {
        Expected { heads: self.heads.clone(), exact }
    }
}

pub(crate) fn record(chain: &str, value: Bytes) -> Rec {
    let at = Origin { topic: "tenant.audit.events".into(), partition: 0, offset: 0 };
    Rec { key: Some(Bytes::copy_from_slice(chain.as_bytes())), value: Some(value), at }
}

/// Records lie one after the other.
pub(crate) fn number(trail: &mut Trail) {
    for (offset, record) in trail.iter_mut().enumerate() {
        record.at.offset = offset as i64;
    }
}

/// Three tenants and the lane's chain, woven together: offsets 0 to 23, each chain has six records.
pub(crate) fn store() -> Store {
    let mut store = Store::default();
    let kinds = [AuditKind::Requested, AuditKind::Started, AuditKind::StepSucceeded, AuditKind::StepFailed];
    for seq in 0..6 {
        for owner in [Some(1), Some(2), Some(3), None] {
            store.append(owner, kinds[seq % kinds.len()]);
        }
    }
    store
}

pub(crate) fn verify(trail: &Trail, expected: Option<&Expected>) -> Result<Report, Problem> {
    let mut verifier = Verifier::new();
    for record in trail {
        let heard = Heard { key: record.key.as_deref(), value: record.value.as_deref(), at: &record.at };
        if verifier.hear(heard) == Flow::Stop {
            break;
        }
    }
    verifier.finish(expected)
}

pub(crate) fn text(record: &Rec) -> String {
    String::from_utf8(record.value.clone().unwrap().to_vec()).unwrap()
}

pub(crate) fn read(record: &Rec) -> AuditEvent {
    serde_json::from_str(&text(record)).unwrap()
}

pub(crate) fn write(record: &mut Rec, event: &AuditEvent) {
    record.value = Some(serde_json::to_vec(event).unwrap().into());
}

/// The offsets of tenant 2's records.
pub(crate) fn of_two(trail: &Trail) -> Vec<usize> {
    let key = tenant(2).to_string();
    (0..trail.len()).filter(|at| trail[*at].key.as_deref() == Some(key.as_bytes())).collect()
}

/// What is found after this tampering, with the heads of the untouched store at hand or without them.
pub(crate) fn tampered(with_heads: bool, tamper: impl Fn(&mut Trail, &[usize])) -> Problem {
    let store = store();
    let mut trail = store.trail.clone();
    let two = of_two(&trail);
    tamper(&mut trail, &two);
    number(&mut trail);
    let heads = store.expected(true);
    let problem = verify(&trail, with_heads.then_some(&heads)).expect_err("tampering was not found");
    let shown = problem.to_string();
    assert!(shown.starts_with(problem.breach.as_str()) && shown.contains(problem.breach.advice()), "{shown}");
    assert!(!shown.contains("a note"), "the document is not quoted: {shown}");
    problem
}

#[track_caller]
pub(crate) fn names(problem: &Problem, breach: Breach, seq: i64) {
    assert_eq!((problem.breach, problem.seq), (breach, Some(seq)), "{problem}");
    assert_eq!(problem.chain, Some(tenant(2).to_string()));
}

/// Numbers and links every record of tenant 2 anew, as somebody would who can write to the topic.
pub(crate) fn relink(trail: &mut Trail) {
    let mut head = Head::start(&tenant(2).to_string());
    for at in of_two(trail) {
        let mut event = read(&trail[at]);
        (event.seq, event.prev) = (head.seq + 1, head.prev());
        write(&mut trail[at], &event);
        head = head.after(trail[at].value.as_ref().unwrap());
    }
}
