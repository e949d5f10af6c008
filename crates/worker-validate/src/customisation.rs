//! Customisations: what the template allows to be said, and the rules that must hold for it.
//!
//! A customisation is the tenant's own words. Refusals name places by plain words only and never repeat a value.

use std::collections::BTreeMap;

use jsonschema::{PatternOptions, Validator};
use serde_json::{Map, Value};
use tenantry_contracts::catalogue::{Catalogue, Fault, Rule, Template, said};
use tenantry_contracts::{Class, Code, Refusal, pointer};
use tenantry_step::{Answer, Trouble};

/// The compiled rules of every template, by its digest and in the template's order.
pub(crate) struct Rules(BTreeMap<String, Vec<Option<Validator>>>);

impl Rules {
    /// Compiles them.
    pub(crate) fn of(catalogue: &Catalogue) -> Self {
        let of = |template: &Template| template.customisations.rules.iter().map(compiled).collect();
        Self(catalogue.templates().iter().map(|template| (template.digest.clone(), of(template))).collect())
    }

    /// Checks a customisation, one JSON object as text.
    ///
    /// # Errors
    /// `field_invalid` where it is no object; `customisation_not_allowed` or `customisation_invalid` at the place;
    /// `misconfigured` where a rule's schema is none.
    pub(crate) fn check(&self, template: &Template, text: &str) -> Answer<()> {
        let no = |code, at: &str, message| {
            Err(Trouble::no_at(
                code,
                Class::Validation,
                pointer::shown(&format!("/customisation{at}")),
                message,
            ))
        };
        let Ok(object) = serde_json::from_str::<Map<String, Value>>(text) else {
            return no(Code::FieldInvalid, "", "expected one JSON object".to_owned());
        };
        let allowed = &template.customisations;
        if let Some((at, _)) = said(&object).into_iter().find(|(at, _)| !allowed.allows(at)) {
            let top =
                pointer::shown(&at).split('/').nth(1).filter(|top| pointer::plain(top)).map(str::to_owned);
            let named = top.map(|top| format!("{top} ")).unwrap_or_default();
            let message = format!(
                "Customization {named}not allowed for this template; allowed are {}",
                allowed.allowed.join(", ")
            );
            return no(Code::CustomisationNotAllowed, &at, message);
        }
        let document = Value::Object(object);
        let compiled = self.0.get(&template.digest).into_iter().flatten();
        for (rule, compiled) in allowed.rules.iter().zip(compiled) {
            let Some(value) = document.pointer(&rule.at) else { continue };
            let Some(compiled) = compiled else { return Err(unsound(template, rule)) };
            if let Err(error) = compiled.validate(value) {
                let at = format!("{}{}", rule.at, error.instance_path());
                return no(Code::CustomisationInvalid, &at, format!("rule {}: {}", rule.id, rule.message));
            }
        }
        Ok(())
    }
}

/// What is wrong with the rules of the templates: to be asked where they are read, before any request comes.
///
/// # Errors
/// Every rule whose schema is no JSON Schema, with its place in the template.
pub fn check(catalogue: &Catalogue) -> Result<(), Vec<Fault>> {
    let mut faults = Vec::new();
    for template in catalogue.templates() {
        for (at, rule) in template.customisations.rules.iter().enumerate() {
            if compiled(rule).is_none() {
                let refusal =
                    Refusal::new(Code::FieldInvalid, format!("rule {} has no sound JSON Schema", rule.id))
                        .at(format!("/customisations/rules/{at}/schema"));
                faults.push(Fault { file: format!("{} {}", template.id, template.version), refusal });
            }
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

fn compiled(rule: &Rule) -> Option<Validator> {
    let schema: Value = rule.schema.read().ok()?;
    // This engine takes time in proportion to the text, whatever pattern and text say.
    jsonschema::draft202012::options().with_pattern_options(PatternOptions::regex()).build(&schema).ok()
}

fn unsound(template: &Template, rule: &Rule) -> Trouble {
    let message = format!("rule {} of template {} has no sound JSON Schema", rule.id, template.id);
    Trouble::no(Code::Misconfigured, Class::Config, message)
}
