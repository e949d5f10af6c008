//! What upstream and people do: requests in every condition, and verbs.

use bytes::Bytes;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use tenantry_contracts::operation::{Actor, Operation, OperationVerb, Scope, Target};
use tenantry_contracts::request::{self, TYPE};
use tenantry_contracts::{Environment, Lane, RequestId, RowName, Slug, Time, Topic};
use tenantry_ports::{Outgoing, Place};

use crate::steps::PORTERS;

/// A record that somebody outside writes, and when (virtual milliseconds).
#[derive(Clone, Debug)]
pub struct Act {
    /// When.
    pub at_ms: i64,
    /// What.
    pub record: Outgoing,
}

/// A text that stands in every request and nowhere else in clear.
pub const CANARY: &str = "Canaria";

const SWITCHES: [&str; 12] = [
    "fail-check",
    "fail-crate",
    "fail-label",
    "fail-name",
    "config-crate",
    "config-mail",
    "shaky-name",
    "shaky-label",
    "notyet-crate",
    "notyet-mail",
    "stuck-crate",
    "stuck-label",
];

/// One wish of upstream's.
struct Asked {
    id: String,
    slug: String,
    features: Vec<&'static str>,
    gate: bool,
}

/// The script of one run.
pub fn script(seed: u64, tenants: usize, lanes: u16, within_ms: i64, begin: Time) -> Vec<Act> {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed ^ 0x0005_c819_7000);
    let mut acts = Vec::new();
    for number in 0..tenants {
        // Some slugs are wanted twice.
        let name = if number > 2 && rng.random_bool(0.2) { rng.random_range(0..number) } else { number };
        let slug = format!("acme-{name}");
        let mut features = Vec::new();
        if rng.random_bool(0.6) {
            features.push(SWITCHES[rng.random_range(0..SWITCHES.len())]);
        }
        if rng.random_bool(0.3) {
            features.push(SWITCHES[rng.random_range(0..SWITCHES.len())]);
        }
        let asked = Asked { id: format!("r{number}"), slug, features, gate: rng.random_bool(0.2) };
        let at_ms = rng.random_range(0..within_ms);
        publish(rng, &mut acts, &asked, lanes, at_ms, begin);
        people(rng, &mut acts, &asked, lanes, at_ms, begin);
    }
    for number in 0..rng.random_range(0..4) {
        let at_ms = rng.random_range(0..within_ms);
        acts.push(Act { at_ms, record: poison(rng, number, lanes) });
    }
    // Of a generator of its own, so that what a seed did before it still does.
    let rng = &mut ChaCha8Rng::seed_from_u64(seed ^ 0x0057_ee40_0000);
    for number in 0..tenants {
        let at_ms = rng.random_range(0..within_ms);
        steer(rng, &mut acts, &format!("acme-{number}"), lanes, at_ms, begin);
    }
    stop(rng, &mut acts, lanes, within_ms, begin);
    acts.sort_by_key(|act| act.at_ms);
    acts
}

/// Somebody has a step asked again, or brakes a tenant and lets it go on.
fn steer(rng: &mut ChaCha8Rng, acts: &mut Vec<Act>, slug: &str, lanes: u16, at_ms: i64, begin: Time) {
    let mut act = |at_ms: i64, what: &str, wanted: OperationVerb| {
        let record = verb(slug, &format!("{what}-{slug}"), wanted, lanes, begin.plus(at_ms));
        acts.push(Act { at_ms, record });
    };
    let later = at_ms + rng.random_range(500..20_000);
    if rng.random_bool(0.15) {
        let rows = ["check", "name", "label", "crate"];
        act(at_ms, "rerun", OperationVerb::Rerun(RowName::new(rows[rng.random_range(0..rows.len())])));
    }
    if rng.random_bool(0.1) {
        act(at_ms, "pause", OperationVerb::Pause(Scope::Tenant));
        act(later, "resume", OperationVerb::Resume(Scope::Tenant));
    }
    if rng.random_bool(0.1) {
        act(at_ms, "hold", OperationVerb::Hold);
        act(later, "release", OperationVerb::Release);
    }
}

/// Somebody stops a worker in some lanes, or all of them, and lets them go on.
fn stop(rng: &mut ChaCha8Rng, acts: &mut Vec<Act>, lanes: u16, within_ms: i64, begin: Time) {
    for lane in 0..lanes {
        if !rng.random_bool(0.2) {
            continue;
        }
        let scope = if rng.random_bool(0.5) { Scope::Fleet } else { Scope::Worker(PORTERS) };
        let at_ms = rng.random_range(0..within_ms);
        let later = at_ms + rng.random_range(500..20_000);
        for (at_ms, what, wanted) in [
            (at_ms, "stop", OperationVerb::Pause(scope.clone())),
            (later, "go", OperationVerb::Resume(scope)),
        ] {
            let operation = operation(&format!("{what}-{lane}"), wanted, None);
            let place = Place { topic: Topic::Operations, partition: lane };
            acts.push(Act { at_ms, record: record(&operation, place, begin.plus(at_ms)) });
        }
    }
}

/// A request, some of them more than once, in the wrong place, or with another body under the same id.
fn publish(rng: &mut ChaCha8Rng, acts: &mut Vec<Act>, asked: &Asked, lanes: u16, at_ms: i64, begin: Time) {
    let mut record = request_of(asked, lanes, begin.plus(at_ms));
    if rng.random_bool(0.15) {
        record.place.partition = rng.random_range(0..lanes);
    }
    if rng.random_bool(0.1) {
        record.key = rng.random_bool(0.5).then(|| Bytes::from_static(b"another-key"));
    }
    if rng.random_bool(0.3) {
        for _ in 0..rng.random_range(1..4) {
            let mut again = record.clone();
            if rng.random_bool(0.3) {
                again.place.partition = rng.random_range(0..lanes);
            }
            acts.push(Act { at_ms: at_ms + rng.random_range(0..5000), record: again });
        }
    }
    if rng.random_bool(0.05) {
        let other =
            Asked { slug: format!("{}-x", asked.slug), id: asked.id.clone(), features: vec![], gate: false };
        let at_ms = at_ms + rng.random_range(0..3000);
        acts.push(Act { at_ms, record: request_of(&other, lanes, begin.plus(at_ms)) });
    }
    acts.push(Act { at_ms, record });
}

fn people(rng: &mut ChaCha8Rng, acts: &mut Vec<Act>, asked: &Asked, lanes: u16, at_ms: i64, begin: Time) {
    if rng.random_bool(0.15) {
        let at_ms = at_ms + rng.random_range(0..8000);
        acts.push(Act {
            at_ms,
            record: verb(
                &asked.slug,
                &format!("c-{}", asked.id),
                OperationVerb::Cancel,
                lanes,
                begin.plus(at_ms),
            ),
        });
    }
    if asked.gate && rng.random_bool(0.7) {
        let at_ms = at_ms + rng.random_range(0..15_000);
        let row = RowName::new("consent");
        let decision =
            if rng.random_bool(0.7) { OperationVerb::Approve(row) } else { OperationVerb::Reject(row) };
        let record = verb(&asked.slug, &format!("g-{}", asked.id), decision, lanes, begin.plus(at_ms));
        if rng.random_bool(0.3) {
            acts.push(Act { at_ms: at_ms + 500, record: record.clone() });
        }
        acts.push(Act { at_ms, record });
    }
}

fn request_of(asked: &Asked, lanes: u16, at: Time) -> Outgoing {
    let document = json!({
        "name": format!("{CANARY} {}", asked.slug),
        "slug": asked.slug,
        "plan": "starter",
        "features": asked.features,
        "demo_data": asked.gate,
        "admin": { "email": format!("ada@{}.example", CANARY.to_lowercase()), "first_name": CANARY },
    });
    let id = RequestId { source: "/upstream".into(), id: asked.id.clone() };
    let home = Slug::parse(&asked.slug).map_or(0, |slug| Lane::of(&slug, lanes).0);
    Outgoing {
        place: Place { topic: Topic::Requests, partition: home },
        key: Some(Bytes::from(asked.slug.clone())),
        headers: request::headers(TYPE, &id, at, &asked.slug, None),
        value: Some(Bytes::from(document.to_string())),
        tag: 0,
    }
}

/// A verb of a person about the tenant that holds this slug.
pub fn verb(slug: &str, id: &str, verb: OperationVerb, lanes: u16, at: Time) -> Outgoing {
    let slug = Slug::parse(slug).ok();
    let home = slug.as_ref().map_or(0, |slug| Lane::of(slug, lanes).0);
    let target = slug.map(|slug| Target { slug, environment: Environment::default(), tenant: None });
    let place = Place { topic: Topic::Operations, partition: home };
    record(&operation(id, verb, target), place, at)
}

/// Two people's, where the verb asks for a second.
fn operation(id: &str, verb: OperationVerb, target: Option<Target>) -> Operation {
    let second = (verb == OperationVerb::Release).then(|| Actor::unverified("second"));
    let id = RequestId { source: "/people".into(), id: id.to_owned() };
    Operation { second, ..Operation::new(id, verb, target, "ops", "because") }
}

fn record(operation: &Operation, place: Place, at: Time) -> Outgoing {
    let (headers, value) = operation.encode(at).unwrap_or_default();
    let key = Some(Bytes::from(operation.key().to_owned()));
    Outgoing { place, key, headers, value: Some(value), tag: 0 }
}

fn poison(rng: &mut ChaCha8Rng, number: usize, lanes: u16) -> Outgoing {
    let values: [&'static [u8]; 6] = [
        b"not json",
        b"{\"name\":\"x\\u0000y\"}",
        b"",
        b"{\"name\":17}",
        b"{\"name\":\"A\",\"slug\":\"acme\xe2\x80\x91x\"}",
        b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
    ];
    let topics = [
        Topic::Requests,
        Topic::Requests,
        Topic::Operations,
        Topic::Results,
        Topic::Commands(crate::steps::PORTERS),
    ];
    Outgoing {
        place: Place {
            topic: topics[rng.random_range(0..topics.len())].clone(),
            partition: rng.random_range(0..lanes),
        },
        key: rng.random_bool(0.7).then(|| Bytes::from(format!("poison-{number}"))),
        headers: Vec::new(),
        value: Some(Bytes::from_static(values[rng.random_range(0..values.len())])),
        tag: 0,
    }
}
