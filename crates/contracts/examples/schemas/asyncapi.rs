//! The AsyncAPI document, from the table of topics.

use serde_json::{Map, Value, json};
use tenantry_contracts::event::EventKind;
use tenantry_contracts::request::{self, Kind};
use tenantry_contracts::{Topic, audit, command, operation, result, steps};

/// The document.
pub(crate) fn document() -> Value {
    let workers = [steps::validate::WORKER, steps::database::WORKER, steps::credentials::WORKER];
    let topics = Topic::all(&workers);
    let channels: Map<_, _> = topics.iter().map(|topic| (name(topic), channel(topic))).collect();
    let operations: Map<_, _> = topics.iter().flat_map(operations).collect();
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tenantry",
            "version": "1.0.0",
            "description": "What goes over Kafka between upstream systems, people, the coordinator and the workers. Operations are those of the fleet.",
            "license": { "name": "Apache-2.0" },
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": { "messages": messages(), "schemas": { "cloudEventsHeaders": cloud_headers(), "internalHeaders": internal_headers() } },
    })
}

/// The channel's name: the topic's, with `_` for what a component's name cannot hold.
fn name(topic: &Topic) -> String {
    topic.name().replace('.', "_")
}

fn channel(topic: &Topic) -> Value {
    let settings = topic.settings();
    let messages: Map<_, _> = carried(topic)
        .into_iter()
        .map(|message| (message.clone(), json!({ "$ref": format!("#/components/messages/{message}") })))
        .collect();
    json!({
        "address": topic.name(),
        "description": describe(topic),
        "messages": messages,
        "bindings": { "kafka": {
            "bindingVersion": "0.5.0",
            "topic": topic.name(),
            "topicConfiguration": {
                "cleanup.policy": ["delete"],
                "retention.ms": settings.retention_ms,
                "max.message.bytes": settings.max_message_bytes,
            },
        } },
    })
}

fn describe(topic: &Topic) -> String {
    let what = match topic {
        Topic::Requests => "What upstream systems ask for. Key: the slug.",
        Topic::Operations => "Verbs and decisions of people. Key: the slug, or `platform`.",
        Topic::Results => "Answers of workers. Key: the slug.",
        Topic::Commands(_) => "Questions to one worker. Key: the slug.",
        Topic::Events => {
            "Answers to upstream and public facts. Key: the slug. Of repeats the first occurrence counts."
        }
        Topic::Audit => "Every transition, hash-chained, never compacted. Key: the chain.",
        Topic::Checkpoints => "Signed tree heads of the audit. Key: the log's origin.",
        Topic::DeadLetters(_) => {
            "Records that could be read and not handled, as raw bytes with their origin. Key: the original one."
        }
        Topic::Quarantine => {
            "Records that could not be read, as raw bytes with their origin. Key: the original one."
        }
    };
    let partitions = if topic.settings().keyed { "As many partitions as lanes." } else { "One partition." };
    format!("{what} {partitions}")
}

fn carried(topic: &Topic) -> Vec<String> {
    let shapes = ["canonical", "interface", "admin", "onboarding", "lifecycle", "target"];
    match topic {
        Topic::Requests => shapes.iter().map(|shape| format!("request_{shape}")).collect(),
        Topic::Operations => vec!["operation".into()],
        Topic::Results => vec!["result".into()],
        Topic::Commands(_) => vec!["command".into()],
        Topic::Events => vec!["event".into()],
        Topic::Audit => vec!["audit".into()],
        Topic::DeadLetters(of) => carried(of),
        // Raw bytes of anything, and a format of its own that no schema of this folder describes.
        Topic::Quarantine | Topic::Checkpoints => Vec::new(),
    }
}

fn operations(topic: &Topic) -> Vec<(String, Value)> {
    let (send, receive) = match topic {
        Topic::Requests | Topic::Operations => (false, true),
        Topic::Results | Topic::Commands(_) => (true, true),
        Topic::Events | Topic::Audit | Topic::Checkpoints | Topic::DeadLetters(_) | Topic::Quarantine => {
            (true, false)
        }
    };
    [("send", send), ("receive", receive)]
        .into_iter()
        .filter(|(_, done)| *done)
        .map(|(action, _)| {
            let channel = json!({ "$ref": format!("#/channels/{}", name(topic)) });
            (format!("{action}_{}", name(topic)), json!({ "action": action, "channel": channel }))
        })
        .collect()
}

fn messages() -> Value {
    let mut messages = Map::new();
    let mut add = |name: &str, title: &str, types: Vec<&str>, headers: &str| {
        let file = name.replace('_', ".");
        let message = json!({
            "name": name,
            "title": title,
            "contentType": "application/json",
            "headers": { "$ref": format!("#/components/schemas/{headers}") },
            "payload": {
                "schemaFormat": "application/schema+json;version=draft-2020-12",
                "schema": { "$ref": format!("./{file}.schema.json") },
            },
            "x-types": types,
        });
        messages.insert(name.to_owned(), message);
    };
    let cloud = "cloudEventsHeaders";
    for shape in ["canonical", "interface", "admin", "onboarding", "lifecycle"] {
        let title = format!("A request for a tenant, {shape} shape");
        add(&format!("request_{shape}"), &title, vec![request::TYPE, request::ALIAS], cloud);
    }
    let about = Kind::TYPES.iter().filter(|(_, kind)| *kind != Kind::Provision).map(|(name, _)| *name);
    add("request_target", "A request about an existing tenant", about.collect(), cloud);
    add("operation", "A verb or decision of a person", vec![operation::TYPE], cloud);
    add(
        "event",
        "An answer or a public fact",
        EventKind::ALL.iter().map(|kind| kind.event_type()).collect(),
        cloud,
    );
    add("audit", "An audit event", vec![audit::TYPE], cloud);
    add("command", "A question to a worker", vec![command::TYPE], "internalHeaders");
    add("result", "An answer of a worker", vec![result::TYPE], "internalHeaders");
    Value::Object(messages)
}

fn cloud_headers() -> Value {
    let text = |what: &str| json!({ "type": "string", "description": what });
    json!({
        "type": "object",
        "description": "CloudEvents 1.0 in binary mode. Structured mode and plain JSON without these headers are read too.",
        "properties": {
            "ce_specversion": { "const": "1.0" },
            "ce_id": text("Unique within the source: equal pairs are the same event."),
            "ce_source": text("Who says it."),
            "ce_type": text("The type with its version."),
            "ce_time": { "type": "string", "format": "date-time" },
            "ce_subject": text("The slug, or what else it is about."),
            "ce_partitionkey": text("The record's key."),
            "content-type": { "const": "application/json" },
            "traceparent": text("W3C trace context, on requests."),
        },
    })
}

fn internal_headers() -> Value {
    let text = |what: &str| json!({ "type": "string", "description": what });
    json!({
        "type": "object",
        "description": "The headers alone say which question it is.",
        "required": ["id", "type", "tenant", "saga", "row", "token"],
        "properties": {
            "id": text("saga:row:verb:token"),
            "type": text("The type with its version."),
            "tenant": { "type": "string", "format": "uuid" },
            "saga": { "type": "string", "format": "uuid" },
            "row": text("row:verb, the verb one of execute, compensate, observe"),
            "token": text("The fencing number, decimal."),
            "deadline": text("On commands: milliseconds since 1970; no effect may begin after it."),
            "traceparent": text("W3C trace context of this hop, on commands."),
        },
    })
}
