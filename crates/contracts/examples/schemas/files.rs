//! The generated files of `schemas/`, as values: the example writes them, a test compares them.

use std::path::{Path, PathBuf};

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::Value;
use tenantry_contracts::{audit, catalogue, command, event, operation, receipt, request, result, steps};

use super::asyncapi;

/// A generated file.
pub(crate) struct File {
    /// Its name in `schemas/`.
    pub(crate) name: String,
    /// What stands in it.
    pub(crate) text: String,
}

/// `schemas/`.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas")
}

/// Every schema by the name that its examples begin with.
pub(crate) fn schemas() -> Vec<(&'static str, Value)> {
    vec![
        schema::<request::canonical::Document>("request.canonical"),
        schema::<request::interface::Document>("request.interface"),
        schema::<request::admin::Document>("request.admin"),
        schema::<request::onboarding::Document>("request.onboarding"),
        schema::<request::lifecycle::Document>("request.lifecycle"),
        schema::<request::target::Document>("request.target"),
        schema::<command::Body>("command"),
        schema::<result::Body>("result"),
        schema::<operation::Operation>("operation"),
        schema::<event::Event>("event"),
        schema::<audit::AuditEvent>("audit"),
        schema::<catalogue::Template>("template"),
        schema::<receipt::TenantReceipt>("receipt.v1"),
        schema::<receipt::Provisioned>("receipt.provisioned"),
        schema::<receipt::QuotaAssigned>("receipt.quota"),
        schema::<steps::policy::Input>("step.policy.decide.input"),
        schema::<steps::policy::Output>("step.policy.decide.output"),
        schema::<steps::validate::Input>("step.validate.request.input"),
        schema::<steps::validate::Output>("step.validate.request.output"),
        schema::<steps::capacity::Input>("step.capacity.reserve.input"),
        schema::<steps::capacity::Reserved>("step.capacity.reserve.output"),
        schema::<steps::capacity::Input>("step.capacity.commit.input"),
        schema::<steps::capacity::Committed>("step.capacity.commit.output"),
        schema::<steps::identity::Input>("step.identity.create.input"),
        schema::<steps::identity::Output>("step.identity.create.output"),
        schema::<steps::database::Input>("step.database.provision.input"),
        schema::<steps::database::Output>("step.database.provision.output"),
        schema::<steps::storage::Input>("step.storage.allocate.input"),
        schema::<steps::storage::Output>("step.storage.allocate.output"),
        schema::<steps::secrets::Input>("step.secrets.create.input"),
        schema::<steps::secrets::Output>("step.secrets.create.output"),
        schema::<steps::quota::Input>("step.quota.assign.input"),
        schema::<steps::quota::Output>("step.quota.assign.output"),
        schema::<steps::config::Input>("step.config.apply.input"),
        schema::<steps::config::Output>("step.config.apply.output"),
        schema::<steps::verify::Input>("step.verify.tenant.input"),
        schema::<steps::verify::Output>("step.verify.tenant.output"),
        schema::<steps::credentials::Input>("step.credentials.deliver.input"),
        schema::<steps::credentials::Output>("step.credentials.deliver.output"),
        schema::<steps::receipt::Input>("step.receipt.seal.input"),
        schema::<steps::receipt::Output>("step.receipt.seal.output"),
        schema::<steps::notify::Input>("step.notify.send.input"),
        schema::<steps::notify::Output>("step.notify.send.output"),
    ]
}

/// Every generated file.
pub(crate) fn all() -> Vec<File> {
    let mut files: Vec<_> = schemas()
        .into_iter()
        .map(|(name, schema)| File { name: format!("{name}.schema.json"), text: print(schema) })
        .collect();
    files.push(File { name: "asyncapi.json".into(), text: print(asyncapi::document()) });
    files
}

fn schema<T: JsonSchema>(name: &'static str) -> (&'static str, Value) {
    let schema = SchemaGenerator::new(SchemaSettings::draft2020_12()).into_root_schema_for::<T>();
    let mut schema = schema.to_value();
    schema["$id"] = format!("urn:tenantry:schema:{name}:v1").into();
    schema["title"] =
        schema.get("title").filter(|title| *title != "Document").cloned().unwrap_or(name.into());
    if ["Body", "Input", "Output"].iter().any(|plain| schema["title"] == *plain) {
        schema["title"] = name.into();
    }
    (name, schema)
}

/// Pretty text with members in order of their names, whatever order this build of serde_json keeps.
fn print(value: Value) -> String {
    let text = serde_json::to_string_pretty(&sorted(value));
    text.expect("a value with text keys has a JSON form") + "\n"
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> =
                members.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            members.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(members.into_iter().collect())
        }
        Value::Array(elements) => Value::Array(elements.into_iter().map(sorted).collect()),
        other => other,
    }
}
