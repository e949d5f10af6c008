//! What holds for every input, tried with many.

mod common;

use bytes::Bytes;
use common::{heard, plain, read};
use proptest::prelude::*;
use serde_json::{Value, json};
use tenantry_contracts::operation::decode_operation;
use tenantry_contracts::request::{Decoded, canonical};
use tenantry_contracts::{Headers, Record, Slug, limits};

fn headers() -> impl Strategy<Value = Headers> {
    let name = prop_oneof![
        Just("ce_id"),
        Just("ce_source"),
        Just("ce_type"),
        Just("ce_time"),
        Just("ce_specversion"),
        Just("content-type"),
        Just("traceparent"),
        Just("other"),
    ];
    let value = prop_oneof![
        any::<Vec<u8>>(),
        Just(b"1.0".to_vec()),
        Just(b"tenant.requested.v1".to_vec()),
        Just(b"application/cloudevents+json".to_vec()),
        Just(b"2026-01-05T09:30:00Z".to_vec()),
    ];
    proptest::collection::vec((name, value), 0..5)
        .prop_map(|all| all.into_iter().map(|(name, value)| (name.to_owned().into(), value.into())).collect())
}

/// Any JSON, its members often those of requests.
fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(Value::from("acme")),
    ];
    let name = prop_oneof![
        2 => prop::sample::select(vec![
            "name", "slug", "plan", "requestedSeats", "contact_email", "tenantName", "adminUser", "admin", "email",
            "provider", "configuration", "settings", "customisation", "features", "specversion", "data", "id",
        ])
        .prop_map(str::to_owned),
        1 => ".{0,6}",
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(name.clone(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A document in the fleet's own shape that mostly is sound.
fn canonical_document() -> impl Strategy<Value = Value> {
    let optional = (
        proptest::option::of("[a-z]{3,12}(-[a-z0-9]{1,6})?"),
        proptest::option::of("[A-Za-z]{1,12}"),
        proptest::option::of("[a-zA-Z]{1,8}[.+]?[a-z]{1,8}@[A-Za-z]{1,8}\\.[a-z]{2,5}"),
        proptest::option::of("[a-z]{1,10}\\.[a-z]{2,6}"),
        proptest::option::of("[A-Za-z]{2,6}"),
        proptest::option::of(0u32..),
        proptest::collection::vec(".{1,20}", 0..4),
        proptest::collection::vec("[A-Za-z]{1,10}", 0..4),
        proptest::collection::btree_map("[a-z]{1,8}", document(), 0..3),
        proptest::option::of(0i64..4_000_000_000_000),
    );
    (".{1,40}", optional).prop_map(|(name, said)| {
        let (slug, plan, email, domain, residency, seats, features, modules, customisation, until) = said;
        let mut document = json!({ "name": name, "features": features, "modules": modules });
        for (member, value) in [
            ("slug", slug.map(Value::from)),
            ("plan", plan.map(Value::from)),
            ("admin", email.map(|email| json!({ "email": email, "first_name": "Ada " }))),
            ("domain", domain.map(Value::from)),
            ("residency", residency.map(Value::from)),
            ("seats", seats.map(Value::from)),
            ("customisation", Some(customisation).filter(|c| !c.is_empty()).map(|c| json!(c))),
            ("valid_until", until.map(|at| tenantry_contracts::Time(at).to_string().into())),
        ] {
            if let Some(value) = value {
                document[member] = value;
            }
        }
        document
    })
}

proptest! {
    #[test]
    fn no_bytes_and_no_headers_make_decoding_panic(
        value in proptest::option::of(any::<Vec<u8>>()),
        key in proptest::option::of(any::<Vec<u8>>()),
        headers in headers(),
        lanes in any::<u16>(),
    ) {
        let record = Record { value: value.map(Bytes::from), key: key.map(Bytes::from), headers, ..plain("") };
        let first = tenantry_contracts::request::decode(&record, lanes, "starter");
        prop_assert_eq!(first, tenantry_contracts::request::decode(&record, lanes, "starter"));
        let _ = decode_operation(&record);
    }

    #[test]
    fn no_json_makes_decoding_panic_and_all_of_it_is_answered_or_quarantined(
        value in document(),
        headers in headers(),
    ) {
        let record = Record { headers, ..plain(value.to_string()) };
        if let Decoded::Heard(heard) = read(&record) {
            prop_assert!(Slug::parse(heard.request.slug.as_str()).is_ok());
            prop_assert!(!heard.request.plan.is_empty());
        }
        let _ = decode_operation(&record);
    }

    #[test]
    fn a_damaged_request_never_panics(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut value = br#"{"tenantName":"Acme","organizationName":"A","adminUser":{"email":"a@b.example","firstName":"A","lastName":"B","role":"r"},"subscription":{"plan":"starter","billingCycle":"monthly","features":[]},"configuration":{}}"#.to_vec();
        prop_assert!(matches!(read(&plain(value.clone())), Decoded::Heard(_)));
        let at = at.index(value.len());
        if cut { value.truncate(at) } else { value[at] = byte }
        let _ = read(&plain(value));
    }

    #[test]
    fn the_limits_take_nothing_that_serde_json_refuses(value in ".{0,40}") {
        if limits::check(value.as_bytes()).is_ok() {
            prop_assert!(serde_json::from_str::<Value>(&value).is_ok());
        }
    }

    #[test]
    fn the_limits_take_every_small_document(value in document()) {
        let text = value.to_string();
        match limits::check(text.as_bytes()) {
            Ok(outline) => {
                let members: Vec<_> = value.as_object().map(|o| o.keys().cloned().collect()).unwrap_or_default();
                prop_assert!(outline.members.iter().eq(members.iter().collect::<std::collections::BTreeSet<_>>()));
            }
            Err(refusal) => prop_assert_eq!(refusal.code.as_str(), "nul_character", "{}", text),
        }
    }

    #[test]
    fn a_request_said_again_in_normal_form_is_the_same_request(document in canonical_document()) {
        if let Decoded::Heard(first) = read(&plain(document.to_string())) {
            let again = serde_json::to_vec(&canonical::Document::from(first.request.clone())).unwrap();
            prop_assert_eq!(heard(&plain(again)).request, first.request);
        }
    }

    #[test]
    fn structured_mode_changes_nothing_of_what_is_understood(document in document()) {
        let text = document.to_string();
        let event = format!(r#"{{"specversion":"1.0","id":"7","source":"s","data":{text}}}"#);
        let headers = [("ce_id", "7"), ("ce_source", "s")];
        let (binary, structured) = (read(&common::binary(text, &headers)), read(&plain(event)));
        match (binary, structured) {
            // Where nothing is understood, pointers speak of the value as it came.
            (Decoded::Unreadable(one), Decoded::Unreadable(other)) => prop_assert_eq!(one.code, other.code),
            // `"data": null` is how an event says that it has none.
            (_, Decoded::Unreadable(_)) if document.is_null() => {}
            (binary, structured) => prop_assert_eq!(binary, structured),
        }
    }
}
