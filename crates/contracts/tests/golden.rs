//! The examples of `schemas/examples`: they are read, and printed back byte for byte.
//!
//! A change that makes one of these tests fail changes what is on the wire; `schemas/README.md` says what may change.
#![allow(clippy::unwrap_used, reason = "what is missing fails the test")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use common::{heard, plain};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use tenantry_contracts::command::Command;
use tenantry_contracts::event::{Assumed, Event, EventKind};
use tenantry_contracts::operation::decode_operation;
use tenantry_contracts::request::{Request, canonical};
use tenantry_contracts::result::Answer;
use tenantry_contracts::{Headers, Record, Time, Topic, audit, receipt, steps};

/// A whole message, its value on one line exactly as it goes over the wire.
#[derive(Deserialize)]
struct Message {
    topic: String,
    key: String,
    headers: InOrder,
    value: Box<RawValue>,
}

/// Headers in order.
struct InOrder(Headers);

impl<'de> Deserialize<'de> for InOrder {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = InOrder;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("headers")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<InOrder, A::Error> {
                let mut headers = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, String>()? {
                    headers.push((name.into(), value.into()));
                }
                Ok(InOrder(headers))
            }
        }
        input.deserialize_map(Visitor)
    }
}

fn text(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/examples");
    fs::read_to_string(folder.join(format!("{name}.json"))).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The names of the examples that begin so.
fn names(stem: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/examples");
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_suffix(".json")?.to_owned()))
        .filter(|name| name.starts_with(stem))
        .collect();
    names.sort();
    assert!(!names.is_empty(), "{stem}");
    names
}

fn record(name: &str) -> Record {
    let message: Message = serde_json::from_str(&text(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    Record {
        topic: Topic::parse(&message.topic).expect("a topic of the fleet"),
        key: Some(message.key.into()),
        headers: message.headers.0,
        ..plain(message.value.get().to_owned())
    }
}

fn header(record: &Record, name: &str) -> String {
    record.header(name).unwrap_or_else(|| panic!("header {name}")).to_owned()
}

#[track_caller]
fn same(name: &str, record: &Record, (headers, value): (Headers, Bytes)) {
    assert_eq!(headers, record.headers, "{name}");
    assert!(headers.len() <= 8, "{name}");
    assert_eq!(Some(value), record.value, "{name}");
}

#[test]
fn commands_and_results_read_and_print_back() {
    for name in names("command.") {
        let record = record(&name);
        same(&name, &record, Command::decode(&record).unwrap().encode().unwrap());
    }
    for name in names("result.") {
        let record = record(&name);
        same(&name, &record, Answer::decode(&record).unwrap().encode().unwrap());
    }
}

#[test]
fn operations_read_and_print_back_with_every_verb() {
    let mut verbs = BTreeSet::new();
    for name in names("operation.") {
        let record = record(&name);
        let operation = decode_operation(&record).unwrap();
        verbs.insert(operation.verb.as_str());
        let at = Time::parse(&header(&record, "ce_time")).unwrap();
        same(&name, &record, operation.encode(at).unwrap());
    }
    let every = [
        "retry",
        "cancel",
        "approve",
        "reject",
        "rerun",
        "correct",
        "skip",
        "mark-done",
        "hold",
        "release",
        "pause",
        "resume",
        "forget",
        "attest",
        "accept-restore",
    ];
    assert_eq!(verbs, BTreeSet::from(every));
}

#[test]
fn events_read_and_print_back_with_every_kind() {
    let mut kinds = BTreeSet::new();
    for name in names("event.") {
        let record = record(&name);
        let event = Event::decode(&record).unwrap();
        kinds.insert(event.event.event_type());
        let (id, source, key) =
            (header(&record, "ce_id"), header(&record, "ce_source"), header(&record, "ce_partitionkey"));
        same(&name, &record, event.encode(&id, &source, &key).unwrap());
    }
    assert_eq!(kinds, EventKind::ALL.iter().map(|kind| kind.event_type()).collect());
}

#[test]
fn audit_events_read_and_print_back() {
    for name in names("audit.") {
        let record = record(&name);
        let event = audit::decode(&record).unwrap();
        assert_eq!(event.alias.as_deref(), event.kind.alias(), "{name}");
        same(&name, &record, audit::encode(&event, &header(&record, "ce_source")).unwrap());
    }
}

/// The document reads and prints back.
#[track_caller]
fn back<T: DeserializeOwned + Serialize>(name: &str) {
    let text = text(name);
    let value: T = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(serde_json::to_string_pretty(&value).unwrap() + "\n", text, "{name}");
}

#[test]
fn the_inputs_and_outputs_of_steps_read_and_print_back() {
    back::<steps::policy::Input>("step.policy.decide.input");
    back::<steps::policy::Output>("step.policy.decide.output");
    back::<steps::validate::Input>("step.validate.request.input");
    back::<steps::validate::Output>("step.validate.request.output");
    back::<steps::capacity::Input>("step.capacity.reserve.input");
    back::<steps::capacity::Reserved>("step.capacity.reserve.output");
    back::<steps::capacity::Input>("step.capacity.commit.input");
    back::<steps::capacity::Committed>("step.capacity.commit.output");
    back::<steps::identity::Input>("step.identity.create.input");
    back::<steps::identity::Output>("step.identity.create.output");
    back::<steps::database::Input>("step.database.provision.input");
    back::<steps::database::Output>("step.database.provision.output");
    back::<steps::storage::Input>("step.storage.allocate.input");
    back::<steps::storage::Output>("step.storage.allocate.output");
    back::<steps::secrets::Input>("step.secrets.create.input");
    back::<steps::secrets::Output>("step.secrets.create.output");
    back::<steps::quota::Input>("step.quota.assign.input");
    back::<steps::quota::Output>("step.quota.assign.output");
    back::<steps::config::Input>("step.config.apply.input");
    back::<steps::config::Output>("step.config.apply.output");
    back::<steps::verify::Input>("step.verify.tenant.input");
    back::<steps::verify::Output>("step.verify.tenant.output");
    back::<steps::credentials::Input>("step.credentials.deliver.input");
    back::<steps::credentials::Output>("step.credentials.deliver.output");
    back::<steps::receipt::Input>("step.receipt.seal.input");
    back::<steps::receipt::Output>("step.receipt.seal.output");
    back::<steps::notify::Input>("step.notify.send.input");
    back::<steps::notify::Output>("step.notify.send.output");
}

#[test]
fn receipts_read_and_print_back() {
    back::<receipt::TenantReceipt>("receipt.v1");
    back::<receipt::Provisioned>("receipt.provisioned");
    back::<receipt::QuotaAssigned>("receipt.quota");
    for (name, action) in [
        ("receipt.v1", "TENANT_RECEIPT"),
        ("receipt.provisioned", "TENANT_PROVISIONED"),
        ("receipt.quota", "TENANT_QUOTA_ASSIGNED"),
    ] {
        back::<receipt::Receipt>(name);
        let read: receipt::Receipt = serde_json::from_str(&text(name)).unwrap();
        assert_eq!(read.action(), action, "its members tell which one it is");
    }
}

/// What a request is normalised to.
#[derive(Serialize)]
struct Normal {
    request: Request<String>,
    assumed: Vec<Assumed>,
}

#[track_caller]
fn normalises(shape: &str) {
    let heard = heard(&plain(text(&format!("request.{shape}"))));
    let normal = Normal { request: heard.request.clone(), assumed: heard.assumed };
    let printed = serde_json::to_string_pretty(&normal).unwrap() + "\n";
    assert_eq!(printed, text(&format!("normal.{shape}")), "{shape}");

    let again = serde_json::to_vec(&canonical::Document::from(heard.request.clone())).unwrap();
    assert_eq!(
        common::heard(&plain(again)).request,
        heard.request,
        "{shape}, said again in the fleet's shape"
    );
}

#[test]
fn seed_001s_interface_normalises() {
    normalises("interface");
}

#[test]
fn seed_002s_request_normalises() {
    normalises("admin");
}

#[test]
fn seed_003s_request_normalises_with_slug_and_plan_filled_in() {
    normalises("onboarding");
    let heard = heard(&plain(text("request.onboarding")));
    let filled: Vec<_> = heard.assumed.iter().map(|assumed| assumed.field.as_str()).collect();
    assert_eq!(filled, ["/request/source", "/request/id", "/slug", "/environment", "/plan"]);
}

#[test]
fn seed_004s_fields_normalise() {
    normalises("lifecycle");
}

#[test]
fn the_canonical_request_prints_back_byte_for_byte() {
    normalises("canonical");
    let text = text("request.canonical");
    let document: canonical::Document = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&document).unwrap() + "\n", text);
    let heard = heard(&plain(text.clone()));
    assert_eq!(serde_json::to_string(&canonical::Document::from(heard.request)).unwrap() + "\n", text);
}

#[test]
fn binary_structured_and_plain_mode_carry_the_same_request() {
    let (binary, structured) = (record("request.binary"), record("request.structured"));
    let (from_binary, from_structured) = (heard(&binary), heard(&structured));
    assert_eq!(from_binary.id, from_structured.id);
    assert_eq!(from_binary.id.to_string(), "https://crm.example.com#7f9c2a");
    assert_eq!(from_binary.asked, from_structured.asked);
    assert_eq!(from_binary.digest, from_structured.digest, "the digest is the data's");
    assert_eq!(from_binary.request, from_structured.request);
    assert!(from_binary.traceparent.is_some() && from_structured.traceparent.is_none());

    let at = Time::parse(&header(&binary, "ce_time")).unwrap();
    let trace = from_binary.traceparent.as_deref();
    let kind = tenantry_contracts::request::TYPE;
    let headers = tenantry_contracts::request::headers(kind, &from_binary.id, at, "acme", trace);
    assert_eq!(headers, binary.headers, "what we publish is what we read");

    let bare = heard(&Record { headers: Vec::new(), ..binary });
    assert_eq!(bare.request, from_binary.request);
    assert_eq!((bare.id.source.as_str(), bare.id.id), ("unknown", hex::encode(bare.digest)));
    assert_eq!(bare.asked, Time(1_700_000_000_000), "without ce_time the record's own time counts");
}
