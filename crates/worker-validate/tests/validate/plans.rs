//! What the plan's template allows: each refusal with its code and place, before anything is claimed.

use tenantry_contracts::catalogue::{BUILT_IN, Catalogue};
use tenantry_contracts::steps::validate::Input;
use tenantry_contracts::{Class, Code};
use tenantry_step::Step;
use tenantry_step::kit::{Tenant, World};
use tenantry_worker_validate::check;

use crate::{Claims, named, refused_alike};

#[tokio::test]
async fn an_unknown_plan_is_refused_in_the_seeds_words() {
    let world = Claims::new("plans").await;
    let tenant = Tenant::fresh();
    let want = (Code::PlanUnknown, Class::Validation, "/plan");
    for (plan, message) in [
        ("gold", "Invalid subscription plan: gold; there are enterprise, professional, starter"),
        ("ada@example.com", "Invalid subscription plan; there are enterprise, professional, starter"),
    ] {
        let input = Input { plan: plan.to_owned(), ..world.input(&tenant) };
        assert_eq!(refused_alike(&world, &tenant, &input, want).await, message);
    }
    for (token, plan) in (10..).zip(["starter", "PRO", "Professional", "enterprise", "ENTERPRISE", "free"]) {
        let input =
            Input { plan: plan.to_owned(), seats: None, storage_bytes: None, ..named(&tenant, "Acme") };
        world.step.execute(&tenant.cx(token), &input).await.unwrap();
    }
}

#[tokio::test]
async fn a_saga_stays_on_the_template_that_it_pinned() {
    let file = |from: &str, to: &str| {
        let (name, text) = BUILT_IN.iter().find(|(name, _)| *name == "starter.json").unwrap();
        ((*name).to_owned(), text.replace(from, to))
    };
    let catalogue = Catalogue::read([file("", ""), file("\"1.0.0\"", "\"2.0.0\"")]).unwrap();
    let old = catalogue.templates()[0].digest.clone();
    let world = Claims::with("pinned", catalogue).await;
    let tenant = Tenant::fresh();
    let input = |pinned: Option<&str>| Input {
        plan: "starter".to_owned(),
        template: pinned.map(str::to_owned),
        seats: None,
        storage_bytes: None,
        ..named(&tenant, "Acme")
    };
    let newest = world.step.execute(&tenant.cx(10), &input(None)).await.unwrap();
    assert_eq!(newest.template.version, "2.0.0");
    let pinned = world.step.execute(&tenant.cx(11), &input(Some(&old))).await.unwrap();
    assert_eq!((pinned.template.version.as_str(), pinned.template.digest), ("1.0.0", old));
    let other = Tenant::fresh();
    let input = Input { name: other.seal("name", "Other"), ..input(Some(&"0".repeat(64))) };
    refused_alike(&world, &other, &input, (Code::TemplateMoved, Class::Config, "/template")).await;
}

#[tokio::test]
async fn more_than_the_plan_gives_is_refused_at_its_place() {
    let world = Claims::new("over").await;
    let tenant = Tenant::fresh();
    let starter = || Input {
        plan: "starter".to_owned(),
        seats: Some(50),
        storage_bytes: Some(20_000_000_000),
        features: vec!["Exports".to_owned(), "dashboards".to_owned()],
        integrations: vec!["webhook".to_owned()],
        ..named(&tenant, "Acme")
    };
    let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    for (input, code, class, at, said) in [
        (Input { seats: Some(51), ..starter() }, Code::OverPlan, Class::Business, "/seats", "50 seats"),
        (
            Input { storage_bytes: Some(20_000_000_001), ..starter() },
            Code::OverPlan,
            Class::Business,
            "/storage_bytes",
            "20000000000 bytes",
        ),
        (
            Input { features: words(&["exports", "sso"]), ..starter() },
            Code::FeatureNotInPlan,
            Class::Validation,
            "/features/1",
            "dashboards, exports",
        ),
        (
            Input { integrations: words(&["webhook", "telepathy"]), ..starter() },
            Code::IntegrationUnknown,
            Class::Validation,
            "/integrations/1",
            "it has webhook",
        ),
    ] {
        let message = refused_alike(&world, &tenant, &input, (code, class, at)).await;
        assert!(message.contains(said), "{message}");
    }
    assert!(world.step.execute(&tenant.cx(10), &starter()).await.is_ok());
}

#[tokio::test]
async fn a_customisation_outside_the_allow_list_or_against_a_rule_is_refused() {
    let world = Claims::new("custom").await;
    let tenant = Tenant::fresh();
    let input = |plan: &str, text: &str| Input {
        plan: plan.to_owned(),
        seats: None,
        storage_bytes: None,
        customisation: Some(tenant.seal("customisation", text)),
        ..named(&tenant, "Acme")
    };
    let (not, invalid) = (Code::CustomisationNotAllowed, Code::CustomisationInvalid);
    let script = r#"{"branding":{"footer":"<script>secret()</script>"}}"#;
    for (plan, text, code, at, said) in [
        (
            "enterprise",
            r#"{"skin":"secret"}"#,
            not,
            "/customisation/skin",
            "Customization skin not allowed for this template; allowed are /branding, /settings",
        ),
        (
            "starter",
            r#"{"settings":{"colour":1}}"#,
            not,
            "/customisation/settings/colour",
            "Customization settings",
        ),
        ("starter", r#"{"ada@secret":{"x":1}}"#, not, "/customisation", "Customization not allowed"),
        ("enterprise", script, invalid, "/customisation/branding/footer", "rule branding-plain: "),
        (
            "starter",
            r#"{"branding":{"primaryColor":"secret"}}"#,
            invalid,
            "/customisation/branding/primaryColor",
            "rule branding-colour: a colour is written as #rrggbb",
        ),
        ("enterprise", "[1]", Code::FieldInvalid, "/customisation", "one JSON object"),
    ] {
        let want = (code, Class::Validation, at);
        let message = refused_alike(&world, &tenant, &input(plan, text), want).await;
        assert!(message.starts_with(said) || message.contains(said), "{message}");
        assert!(!message.contains("secret"), "{message}");
    }
    let sound = input("starter", r##"{"branding":{"primaryColor":"#00aaff"},"settings":{}}"##);
    assert!(world.step.execute(&tenant.cx(10), &sound).await.is_ok());
}

#[tokio::test]
async fn a_rule_that_is_no_schema_is_found_when_the_templates_are_read_and_stops_nothing_else() {
    assert!(check(&Catalogue::built_in()).is_ok());
    let (name, text) = BUILT_IN.iter().find(|(name, _)| *name == "starter.json").unwrap();
    let broken = text.replacen("\"type\": \"object\"", "\"type\": \"wish\"", 1);
    let catalogue = Catalogue::read([((*name).to_owned(), broken)]).unwrap();
    let faults = check(&catalogue).unwrap_err();
    assert_eq!(
        faults[0].to_string(),
        "starter 1.0.0: field_invalid at /customisations/rules/0/schema: rule branding-plain has no sound JSON Schema"
    );
    let world = Claims::with("rules", catalogue).await;
    let tenant = Tenant::fresh();
    let input = |text: &str| Input {
        plan: "free".to_owned(),
        seats: None,
        storage_bytes: None,
        customisation: Some(tenant.seal("customisation", text)),
        ..named(&tenant, "Acme")
    };
    let colour = input(r##"{"branding":{"primaryColor":"#00aaff"}}"##);
    refused_alike(&world, &tenant, &colour, (Code::Misconfigured, Class::Config, "")).await;
    assert!(world.step.execute(&tenant.cx(10), &input(r#"{"settings":{"locale":"en"}}"#)).await.is_ok());
}
