//! What upstream and people do: requests in every condition, and verbs.

use bytes::Bytes;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use tenantry_contracts::operation::{Operation, OperationVerb, Target};
use tenantry_contracts::request::{self, TYPE};
use tenantry_contracts::{Environment, Lane, RequestId, RowName, Slug, Time, Topic};
use tenantry_ports::{Outgoing, Place};

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
    acts.sort_by_key(|act| act.at_ms);
    acts
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
    let (parsed, home) = match Slug::parse(slug) {
        Ok(parsed) => (Some(parsed.clone()), Lane::of(&parsed, lanes).0),
        Err(_) => (None, 0),
    };
    let encoded = parsed.and_then(|slug| {
        let id = RequestId { source: "/people".into(), id: id.to_owned() };
        let target = Target { slug, environment: Environment::default(), tenant: None };
        Operation::new(id, verb, Some(target), "ops", "because").encode(at).ok()
    });
    let (headers, value) = encoded.unwrap_or_default();
    Outgoing {
        place: Place { topic: Topic::Operations, partition: home },
        key: Some(Bytes::from(slug.to_owned())),
        headers,
        value: Some(value),
        tag: 0,
    }
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
