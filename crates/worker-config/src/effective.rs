//! What is in force: template, plan and allowed customisations, merged into one document.
//!
//! The document's JSON form is canonical in the way of RFC 8785: members in order of their names, no spaces. So the
//! same template and the same request have the same digest wherever and whenever they are merged.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tenantry_contracts::catalogue::{Retention, Template, said};
use tenantry_contracts::steps::config::{Input, Output};
use tenantry_contracts::{Class, Code, pointer};
use tenantry_step::{Answer, Trouble};

/// What is in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Effective {
    /// What may be told of it, with the digest of all of it.
    pub output: Output,
    /// All of it, the tenant's own words in clear. Never stored so.
    pub document: Value,
}

/// The members of the document, in the order of their names.
#[derive(Serialize)]
struct Document<'a> {
    audit: Audit,
    custom: Map<String, Value>,
    domain: Option<&'a str>,
    encryption: Asked<'a, &'static str>,
    flags: &'a BTreeMap<String, bool>,
    integrations: &'a [String],
    limits: BTreeMap<&'static str, u64>,
    modules: &'a [String],
    retention: Asked<'a, BTreeMap<&'static str, u32>>,
    template: BTreeMap<&'static str, &'a str>,
}

/// What is kept about what happens inside the tenant (seeds 001 and 003).
#[derive(Serialize)]
struct Audit {
    /// Whether the tenant has a log of its own: module `auditing`.
    enabled: bool,
    /// The kinds that are told apart, each with its own retention.
    kinds: [&'static str; 3],
}

/// What was asked for beside what is in force, since they may differ.
#[derive(Serialize)]
struct Asked<'a, T> {
    asked: Option<Word<'a>>,
    effective: T,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Word<'a> {
    Text(&'a str),
    Days(u32),
}

/// Merges what the request may change into what the template says. Pure: nothing but the arguments counts, and nothing
/// that the template does not allow to be changed is touched.
///
/// # Errors
/// What the worker `validate` refuses, in case it was never asked: `customisation_not_allowed`, `feature_not_in_plan`,
/// `integration_unknown`, or `field_invalid` for an unknown level of encryption.
pub fn effective(
    template: &Template,
    input: &Input,
    customisation: &Map<String, Value>,
) -> Answer<Effective> {
    let no = |code, at: String, message: &str| Trouble::no_at(code, Class::Validation, at, message);
    let mut custom = Map::new();
    for (at, value) in said(customisation) {
        if !template.customisations.allows(&at) {
            let at = pointer::shown(&format!("/customisation{at}"));
            let message = "the template does not allow this customisation";
            return Err(no(Code::CustomisationNotAllowed, at, message));
        }
        put(&mut custom, &at, value.clone());
    }

    let mut flags = template.features.clone();
    flags.extend(
        template
            .optional_features
            .iter()
            .map(|name| (name.clone(), false))
            .filter(|(name, _)| !template.features.contains_key(name)),
    );
    for (at, asked) in input.features.iter().enumerate() {
        let name = template.feature(asked).ok_or_else(|| {
            no(Code::FeatureNotInPlan, format!("/features/{at}"), "the plan does not include this feature")
        })?;
        flags.insert(name.to_owned(), true);
    }

    let mut integrations = Vec::new();
    for (at, asked) in input.integrations.iter().enumerate() {
        let name = template.integration(asked).ok_or_else(|| {
            no(
                Code::IntegrationUnknown,
                format!("/integrations/{at}"),
                "the plan does not have this integration",
            )
        })?;
        integrations.push(name.to_owned());
    }
    integrations.sort_unstable();
    integrations.dedup();

    let encryption = template
        .encryption_for(input.encryption.as_deref())
        .ok_or_else(|| no(Code::FieldInvalid, "/encryption".to_owned(), "expected standard or enhanced"))?;
    let retention = longest(template.retention, input.retention_days);
    let customised = custom.keys().cloned().collect();
    let document = document(input, custom, &flags, &integrations, encryption, retention);
    let output = Output {
        digest: digest(&document),
        flags,
        integrations,
        customised,
        retention,
        encryption: encryption.to_owned(),
    };
    Ok(Effective { output, document })
}

fn document(
    input: &Input,
    custom: Map<String, Value>,
    flags: &BTreeMap<String, bool>,
    integrations: &[String],
    encryption: &'static str,
    retention: Retention,
) -> Value {
    let (limits, template) = (&input.limits, &input.template);
    let document = Document {
        audit: Audit {
            enabled: input.modules.iter().any(|module| module == "auditing"),
            kinds: ["operational", "security", "audit"],
        },
        custom,
        domain: input.domain.as_deref(),
        encryption: Asked { asked: input.encryption.as_deref().map(Word::Text), effective: encryption },
        flags,
        integrations,
        limits: BTreeMap::from([
            ("seats", limits.seats.into()),
            ("storage_bytes", limits.storage_bytes),
            ("database_connections", limits.database_connections.into()),
            ("compute_millis", limits.compute_millis.into()),
            ("network_segments", limits.network_segments.into()),
        ]),
        modules: &input.modules,
        retention: Asked {
            asked: input.retention_days.map(Word::Days),
            effective: BTreeMap::from([
                ("operational_days", retention.operational_days),
                ("security_days", retention.security_days),
                ("audit_days", retention.audit_days),
            ]),
        },
        template: BTreeMap::from([
            ("name", template.name.as_str()),
            ("version", template.version.as_str()),
            ("digest", template.digest.as_str()),
            ("tier", template.tier.as_str()),
        ]),
    };
    // Texts, numbers and maps with names as keys always have a JSON form.
    serde_json::to_value(document).unwrap_or_default()
}

/// A request may lengthen what the template says, class by class, and shorten nothing.
fn longest(floor: Retention, asked: Option<u32>) -> Retention {
    let asked = asked.unwrap_or(0);
    Retention {
        operational_days: floor.operational_days.max(asked),
        security_days: floor.security_days.max(asked),
        audit_days: floor.audit_days.max(asked),
    }
}

/// Puts a value at a JSON pointer whose parents are objects.
fn put(object: &mut Map<String, Value>, at: &str, value: Value) {
    let mut names = at.split('/').skip(1).map(|name| name.replace("~1", "/").replace("~0", "~"));
    let Some(mut name) = names.next() else { return };
    let mut object = object;
    for next in names {
        let inner = object.entry(name).or_insert_with(|| Value::Object(Map::new()));
        let Value::Object(inner) = inner else { return };
        (object, name) = (inner, next);
    }
    object.insert(name, value);
}

/// Hexadecimal SHA-256 of the canonical text.
fn digest(document: &Value) -> String {
    hex::encode(Sha256::digest(canonical(document).to_string()))
}

/// Members in order of their names, whatever order a map of this build keeps.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let sorted: BTreeMap<_, _> =
                object.iter().map(|(name, value)| (name, canonical(value))).collect();
            Value::Object(sorted.into_iter().map(|(name, value)| (name.clone(), value)).collect())
        }
        Value::Array(list) => Value::Array(list.iter().map(canonical).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests;
