//! `schemas/` says what the types say, and every example keeps to its schema.
#![allow(clippy::unwrap_used, reason = "what is missing fails the test")]

#[path = "../examples/schemas/asyncapi.rs"]
mod asyncapi;
#[path = "../examples/schemas/files.rs"]
mod files;

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};
use tenantry_contracts::{Topic, steps};

/// The examples by name, without `.json`. The normal forms are no messages.
fn examples() -> Vec<(String, Value)> {
    let mut examples = Vec::new();
    for entry in fs::read_dir(files::folder().join("examples")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if !name.starts_with("normal.") {
            examples.push((name, serde_json::from_slice(&fs::read(path).unwrap()).unwrap()));
        }
    }
    examples
}

/// The part of an example that a schema speaks of: the document itself, or the value of a whole message.
fn document(name: &str, example: Value) -> (String, Value) {
    let value = |example: &Value| example["value"].clone();
    match name {
        "request.binary" => ("request.canonical".into(), value(&example)),
        "request.structured" => ("request.canonical".into(), value(&example)["data"].clone()),
        _ if ["request.", "step.", "receipt."].iter().any(|stem| name.starts_with(stem)) => {
            (name.into(), example)
        }
        _ => (name.split('.').next().unwrap().into(), value(&example)),
    }
}

#[test]
fn the_generated_files_are_what_the_types_say() {
    let folder = files::folder();
    let mut names = BTreeSet::from(["README.md".to_owned(), "examples".to_owned()]);
    for file in files::all() {
        let have = fs::read_to_string(folder.join(&file.name)).unwrap_or_default();
        assert!(
            have == file.text,
            "schemas/{} is out of date; run: cargo run -p tenantry-contracts --example schemas",
            file.name
        );
        names.insert(file.name);
    }
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let ours = ["request.", "step.", "receipt.", "asyncapi"].iter().any(|stem| name.starts_with(stem));
        assert!(!ours || names.contains(&name), "schemas/{name} comes from no type any more; remove it");
    }
}

#[test]
fn every_example_keeps_to_its_schema_and_every_schema_has_an_example() {
    let schemas = files::schemas();
    let mut without: BTreeSet<_> = schemas.iter().map(|(name, _)| (*name).to_owned()).collect();
    for (name, example) in examples() {
        let (of, document) = document(&name, example);
        let (_, schema) = schemas.iter().find(|(name, _)| *name == of).expect("a schema for each example");
        let validator = jsonschema::draft202012::new(schema).unwrap();
        let errors: Vec<_> =
            validator.iter_errors(&document).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
        without.remove(&of);
    }
    // The templates themselves are the examples.
    let (_, schema) = schemas.iter().find(|(name, _)| *name == "template").expect("a schema of templates");
    let validator = jsonschema::draft202012::new(schema).unwrap();
    for (name, text) in tenantry_contracts::catalogue::BUILT_IN {
        let template: Value = serde_json::from_str(text).unwrap();
        assert!(validator.is_valid(&template), "{name}");
    }
    without.remove("template");
    assert_eq!(without, BTreeSet::new(), "schemas without an example");
}

#[test]
fn the_schemas_refuse_what_decoding_refuses() {
    let schemas = files::schemas();
    for (name, document) in [
        ("request.canonical", json!({ "name": "Acme", "sulg": "acme" })),
        ("request.canonical", json!({ "slug": "acme" })),
        ("request.canonical", json!({ "name": "Acme", "slug": "ACME" })),
        ("request.canonical", json!({ "name": "Acme", "seats": -1 })),
        ("request.canonical", json!(["Acme"])),
        ("request.interface", json!({ "tenantName": "Acme" })),
        ("request.admin", json!({ "name": "Acme" })),
        ("request.onboarding", json!({ "name": "Acme", "contact_email": "a@b.example", "slug": "acme" })),
        ("command", json!({ "fleet": "local" })),
        ("operation", json!({ "verb": "retry", "reason": "x" })),
    ] {
        let (_, schema) = schemas.iter().find(|(have, _)| *have == name).unwrap();
        assert!(!jsonschema::draft202012::is_valid(schema, &document), "{name}: {document}");
    }
}

#[test]
fn every_step_has_a_schema_for_its_input_and_its_output() {
    let names: BTreeSet<_> = files::schemas().into_iter().map(|(name, _)| name.to_owned()).collect();
    for step in [steps::validate::REQUEST, steps::database::PROVISION, steps::credentials::DELIVER] {
        for side in ["input", "output"] {
            assert!(names.contains(&format!("step.{step}.{side}")), "{step} {side}");
        }
    }
}

#[test]
fn the_asyncapi_document_names_every_topic_and_all_its_references_lead_somewhere() {
    let document = asyncapi::document();
    let workers = [steps::validate::WORKER, steps::database::WORKER, steps::credentials::WORKER];
    let addresses: BTreeSet<_> = document["channels"]
        .as_object()
        .unwrap()
        .values()
        .map(|channel| channel["address"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(addresses, Topic::all(&workers).iter().map(|topic| topic.name().into_owned()).collect());

    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 30, "{found:?}");
    let files: BTreeSet<_> = files::all().into_iter().map(|file| file.name).collect();
    for reference in found {
        let leads = match reference.strip_prefix('#') {
            Some(pointer) => document.pointer(pointer).is_some(),
            None => files.contains(reference.trim_start_matches("./")),
        };
        assert!(leads, "{reference}");
    }
}

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(elements) => elements.iter().for_each(|element| references(element, found)),
        _ => {}
    }
}
