use proptest::prelude::*;
use serde_json::json;
use tenantry_contracts::catalogue::Catalogue;
use tenantry_contracts::steps::validate::Requirements;

use super::*;

fn template(plan: &str) -> Template {
    Catalogue::built_in().newest(plan).unwrap().clone()
}

fn input(template: &Template) -> Input {
    Input {
        template: template.pinned(),
        customisation: None,
        domain: None,
        features: vec![],
        integrations: vec![],
        modules: vec!["multitenancy".to_owned(), "auditing".to_owned()],
        retention_days: None,
        encryption: None,
        limits: Requirements {
            seats: 5,
            storage_bytes: 1,
            database_connections: 2,
            compute_millis: 3,
            network_segments: 4,
        },
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => panic!("an object"),
    }
}

#[test]
fn flags_stand_as_the_template_says_and_those_asked_for_are_on() {
    let starter = template("starter");
    let defaults = effective(&starter, &input(&starter), &Map::new()).unwrap();
    let flags = |output: &Output| serde_json::to_value(&output.flags).unwrap();
    let shown = json!({ "audit_export": false, "dashboards": true, "exports": false, "sso": false });
    assert_eq!(flags(&defaults.output), shown);
    assert_eq!(defaults.document["flags"], shown);
    let asked = Input { features: vec!["EXPORTS".to_owned()], ..input(&starter) };
    let asked = effective(&starter, &asked, &Map::new()).unwrap();
    assert!(asked.output.flags["exports"] && !asked.output.flags["sso"]);
    assert_ne!(asked.output.digest, defaults.output.digest);
    let enterprise = template("enterprise");
    let output = effective(&enterprise, &input(&enterprise), &Map::new()).unwrap().output;
    assert_eq!(output.flags.get("data-lake"), Some(&false), "what may be asked for is a flag too");
}

#[test]
fn retention_is_lengthened_and_never_shortened_and_both_values_stand() {
    let starter = template("starter");
    for (asked, operational, security, audit) in [
        (None, 30, 90, 2557),
        (Some(10), 30, 90, 2557),
        (Some(60), 60, 90, 2557),
        (Some(4000), 4000, 4000, 4000),
    ] {
        let input = Input { retention_days: asked, ..input(&starter) };
        let Effective { output, document } = effective(&starter, &input, &Map::new()).unwrap();
        let want = Retention { operational_days: operational, security_days: security, audit_days: audit };
        assert_eq!(output.retention, want);
        assert_eq!(document["retention"]["asked"], json!(asked));
        assert_eq!(document["retention"]["effective"]["operational_days"], json!(operational));
    }
}

#[test]
fn encryption_is_never_less_than_the_templates() {
    let enterprise = template("enterprise");
    let input = Input { encryption: Some("standard".to_owned()), ..input(&enterprise) };
    let Effective { output, document } = effective(&enterprise, &input, &Map::new()).unwrap();
    assert_eq!(output.encryption, "enhanced");
    assert_eq!(document["encryption"], json!({ "asked": "standard", "effective": "enhanced" }));
}

#[test]
fn what_validation_refuses_is_refused_here_too() {
    let starter = template("starter");
    let sound = || input(&starter);
    let words = |word: &str| vec![word.to_owned()];
    for (input, custom, code, at) in [
        (Input { features: words("sso"), ..sound() }, json!({}), Code::FeatureNotInPlan, "/features/0"),
        (
            Input { integrations: words("ldap"), ..sound() },
            json!({}),
            Code::IntegrationUnknown,
            "/integrations/0",
        ),
        (Input { encryption: Some("rot13".into()), ..sound() }, json!({}), Code::FieldInvalid, "/encryption"),
        (
            sound(),
            json!({ "flags": { "sso": true } }),
            Code::CustomisationNotAllowed,
            "/customisation/flags/sso",
        ),
        (sound(), json!({ "ada@example.com": 1 }), Code::CustomisationNotAllowed, "/customisation"),
    ] {
        let no = effective(&starter, &input, &object(custom)).unwrap_err();
        assert!(
            matches!(&no, Trouble::No { code: have, class: Class::Validation, pointer: Some(place), .. }
                if *have == code && place == at),
            "{no}"
        );
        assert!(!no.to_string().contains("ada"), "{no}");
    }
}

#[test]
fn the_digest_is_over_a_text_with_sorted_members() {
    let value = json!({ "b": [{ "z": 1, "a": 2 }], "a": null });
    assert_eq!(canonical(&value).to_string(), r#"{"a":null,"b":[{"a":2,"z":1}]}"#);
}

/// Names of which some are allowed by the templates, some are almost, and some are hostile.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec!["branding", "settings", "primaryColor", "locale", "timezone"]),
        1 => prop::sample::select(vec!["flags", "limits", "custom", "template", "a/b", "~", "", "brandings"]),
    ]
    .prop_map(str::to_owned)
}

fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z<#]{0,6}".prop_map(Value::from),
        prop::collection::vec(any::<u8>(), 0..3).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop::collection::btree_map(name(), inner, 0..4).prop_map(|map| map.into_iter().collect())
    })
}

fn customisation() -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::btree_map(name(), tree(), 0..4).prop_map(|map| map.into_iter().collect())
}

proptest! {
    #[test]
    fn nothing_outside_the_allow_list_is_touched(
        custom in customisation(),
        plan in prop::sample::select(vec!["starter", "professional", "enterprise"]),
    ) {
        let template = template(plan);
        let input = input(&template);
        let plain = effective(&template, &input, &Map::new()).unwrap();
        let places = said(&custom);
        let inside = places.iter().all(|(at, _)| template.customisations.allows(at));
        match effective(&template, &input, &custom) {
            Err(Trouble::No { code: Code::CustomisationNotAllowed, .. }) => prop_assert!(!inside),
            Err(other) => prop_assert!(false, "{}", other),
            Ok(merged) => {
                prop_assert!(inside);
                let (mut before, mut after) = (object(plain.document), object(merged.document));
                prop_assert_eq!(before.remove("custom"), Some(json!({})));
                let custom = object(after.remove("custom").unwrap());
                prop_assert_eq!(before, after, "only the customisations differ");
                prop_assert_eq!(said(&custom), places, "and they are what was said");
                prop_assert_eq!(merged.output.customised, custom.keys().cloned().collect::<Vec<_>>());
                prop_assert_eq!(merged.output.flags, plain.output.flags);
                prop_assert_eq!(custom.is_empty(), merged.output.digest == plain.output.digest);
            }
        }
    }

    #[test]
    fn the_same_request_has_the_same_digest(custom in customisation()) {
        let template = template("enterprise");
        let text = Value::Object(custom.clone()).to_string();
        let again: Map<String, Value> = serde_json::from_str(&text).unwrap();
        let digests = [custom, again].map(|custom| {
            effective(&template, &input(&template), &custom).ok().map(|made| made.output.digest)
        });
        prop_assert_eq!(&digests[0], &digests[1]);
    }
}
