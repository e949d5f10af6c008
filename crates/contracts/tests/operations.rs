//! Operations of people, and requests of other kinds: read strictly, refused by code and place.

mod common;

use common::{binary, heard, plain, refused};
use tenantry_contracts::operation::{OperationVerb, decode_operation};
use tenantry_contracts::request::Kind;
use tenantry_contracts::{Code, RowName};

const RETRY: &str = r#"{"id":{"source":"cli","id":"1"},"verb":"retry","target":{"slug":"acme"},"actor":{"name":"grace"},"reason":"mended"}"#;

#[test]
fn an_operation_is_read_with_its_defaults() {
    let operation = decode_operation(&plain(RETRY)).unwrap();
    assert_eq!(operation.target.unwrap().environment.as_str(), "prod");
    assert!(!operation.actor.verified);
    let approve = RETRY.replace(r#""retry""#, r#"{"approve":"security"}"#);
    assert_eq!(
        decode_operation(&plain(approve)).unwrap().verb,
        OperationVerb::Approve(RowName::new("security"))
    );
}

#[test]
fn what_breaks_an_operation_is_named_by_code_and_place() {
    let nul = RETRY.replace("mended", &format!("a{}b", common::ESCAPED_NUL));
    for (value, code, pointer) in [
        ("", Code::EmptyValue, None),
        ("retry", Code::NotJson, None),
        (nul.as_str(), Code::NulCharacter, Some("/reason")),
        (&RETRY.replace("mended", " "), Code::ReasonMissing, Some("/reason")),
        (&RETRY.replace(r#""reason":"mended""#, r#""why":"mended""#), Code::FieldUnknown, Some("/why")),
        (&RETRY.replace(r#","reason":"mended""#, ""), Code::FieldMissing, Some("/reason")),
        (&RETRY.replace("acme", "Acme"), Code::FieldInvalid, Some("/target/slug")),
        (&RETRY.replace(r#""retry""#, r#""destroy""#), Code::FieldInvalid, Some("/verb")),
        (&RETRY.replace(r#""id":"1""#, r#""id":"""#), Code::FieldInvalid, Some("/id/id")),
        (&RETRY.replace("grace", &"g".repeat(257)), Code::FieldInvalid, Some("/actor/name")),
        (&RETRY.replace(r#"{"name":"grace"}"#, r#"["grace"]"#), Code::FieldInvalid, Some("/actor")),
        (&RETRY.replace("mended", &"x".repeat(5000)), Code::StringTooLong, Some("/reason")),
    ] {
        let refusal = decode_operation(&plain(value.to_owned())).unwrap_err();
        assert_eq!((refusal.code, refusal.pointer.as_deref()), (code, pointer), "{value}: {refusal}");
    }
}

#[test]
fn the_envelope_of_an_operation_must_agree_with_its_body() {
    for (headers, code) in [
        ([("ce_id", "2"), ("ce_source", "cli")], Code::EnvelopeInvalid),
        ([("ce_id", "1"), ("ce_source", "other")], Code::EnvelopeInvalid),
        ([("ce_id", "1"), ("ce_type", "tenant.operation.v2")], Code::VersionUnknown),
        ([("ce_id", "1"), ("ce_type", "tenant.requested.v1")], Code::TypeUnknown),
    ] {
        assert_eq!(decode_operation(&binary(RETRY, &headers)).unwrap_err().code, code, "{headers:?}");
    }
    let headers = [("ce_id", "1"), ("ce_source", "cli"), ("ce_type", "tenant.operation.v1")];
    assert!(decode_operation(&binary(RETRY, &headers)).is_ok());
}

#[test]
fn requests_of_other_kinds_name_a_tenant_and_nothing_else() {
    for (kind, want) in Kind::TYPES.into_iter().filter(|(_, kind)| *kind != Kind::Provision) {
        let headers = [("ce_type", kind)];
        let request = heard(&binary(r#"{"slug":"acme","environment":"staging"}"#, &headers)).request;
        assert_eq!(
            (request.kind, request.slug.as_str(), request.environment.as_str()),
            (want, "acme", "staging")
        );
        let (code, pointer, ..) = refused(&binary(r#"{"slug":"acme","plan":"x"}"#, &headers));
        assert_eq!((code, pointer.as_deref()), (Code::FieldUnknown, Some("/plan")));
        let (code, pointer, ..) = refused(&binary(r#"{"slug":"A\u0007"}"#, &headers));
        assert_eq!((code, pointer.as_deref()), (Code::SlugInvalid, Some("/slug")));
    }
}

#[test]
fn the_alias_of_the_request_type_asks_for_the_same() {
    let document = r#"{"name":"Acme","slug":"acme","requested_by":"platform_admin@platform.example"}"#;
    let alias = heard(&binary(document, &[("ce_type", "TenantRequested"), ("ce_id", "1")]));
    let proper = heard(&binary(document, &[("ce_type", "tenant.requested.v1"), ("ce_id", "1")]));
    assert_eq!(alias, proper);
    assert_eq!(alias.request.requested_by.as_deref(), Some("platform_admin@platform.example"));
}
