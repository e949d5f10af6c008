//! The plan: its template is found, and what is asked for is within it.

use tenantry_contracts::catalogue::{Catalogue, Template};
use tenantry_contracts::steps::validate::Input;
use tenantry_contracts::{Class, Code, pointer};
use tenantry_step::{Answer, Trouble};

/// The template that the saga pinned, else the newest one of the plan.
///
/// # Errors
/// `template_moved` where the pinned one is not among those that this worker has; `plan_unknown` at `/plan`, with the
/// plans there are.
pub(crate) fn template<'a>(
    catalogue: &'a Catalogue,
    plan: &str,
    pinned: Option<&str>,
) -> Answer<&'a Template> {
    match pinned {
        Some(digest) => catalogue.pinned(digest).ok_or_else(|| {
            let message = "the template that the saga pinned is not among those that this worker has";
            Trouble::no_at(Code::TemplateMoved, Class::Config, "/template", message)
        }),
        None => catalogue.newest(plan).ok_or_else(|| {
            // Seed 001's words. What came from outside is said again only where it is a plain word.
            let plan = plan.trim();
            let shown = if pointer::plain(plan) { format!(": {plan}") } else { String::new() };
            let names = catalogue.names().join(", ");
            let message = format!("Invalid subscription plan{shown}; there are {names}");
            Trouble::no_at(Code::PlanUnknown, Class::Validation, "/plan", message)
        }),
    }
}

/// Seats, storage, features and integrations, against the template.
///
/// # Errors
/// `over_plan`, `feature_not_in_plan` or `integration_unknown`, at the place.
pub(crate) fn check(template: &Template, input: &Input) -> Answer<()> {
    let plan = &template.id;
    let most = template.seats.most;
    if input.seats.is_some_and(|seats| seats > most) {
        return Err(over("/seats", format!("plan {plan} has {most} seats at most")));
    }
    let most = template.resources.storage.most_bytes;
    if input.storage_bytes.is_some_and(|bytes| bytes > most) {
        return Err(over("/storage_bytes", format!("plan {plan} has {most} bytes of storage at most")));
    }
    if let Some(at) = input.features.iter().position(|asked| template.feature(asked).is_none()) {
        let message = format!(
            "plan {plan} does not include this feature; it has {}",
            or_none(&template.features_to_ask())
        );
        let at = format!("/features/{at}");
        return Err(Trouble::no_at(Code::FeatureNotInPlan, Class::Validation, at, message));
    }
    if let Some(at) = input.integrations.iter().position(|asked| template.integration(asked).is_none()) {
        let message =
            format!("plan {plan} does not have this integration; it has {}", or_none(&template.integrations));
        let at = format!("/integrations/{at}");
        return Err(Trouble::no_at(Code::IntegrationUnknown, Class::Validation, at, message));
    }
    Ok(())
}

/// The encryption that the tenant gets.
///
/// # Errors
/// `field_invalid` at `/encryption`.
pub(crate) fn encryption(template: &Template, asked: Option<&str>) -> Answer<&'static str> {
    template.encryption_for(asked).ok_or_else(|| {
        Trouble::no_at(Code::FieldInvalid, Class::Validation, "/encryption", "expected standard or enhanced")
    })
}

fn over(at: &str, message: String) -> Trouble {
    Trouble::no_at(Code::OverPlan, Class::Business, at, message)
}

fn or_none<T: AsRef<str>>(names: &[T]) -> String {
    let names: Vec<_> = names.iter().map(AsRef::as_ref).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
