//! Every bad record gets its code, and a place where there is one.

mod common;

use common::{ESCAPED_NUL, binary, heard, plain, read, refused, unreadable};
use tenantry_contracts::request::Decoded;
use tenantry_contracts::{Code, Lane, Record, Slug};

const GOOD: &str = r#"{"name":"Acme Corp","slug":"acme"}"#;
const NAMED: &[(&str, &str)] =
    &[("ce_specversion", "1.0"), ("ce_id", "r-1"), ("ce_source", "crm"), ("ce_type", "tenant.requested.v1")];

#[track_caller]
fn refused_at(document: &str, code: Code, pointer: &str) {
    let (have, place, id, _) = refused(&plain(document.to_owned()));
    assert_eq!((have, place.as_deref()), (code, Some(pointer)), "{document}");
    assert!(id.is_some(), "a document that was read has its digest for an id");
}

fn deep(levels: usize) -> String {
    format!("{}{}", r#"{"name":"#.repeat(levels), "1") + &"}".repeat(levels)
}

#[test]
fn what_cannot_be_read_goes_to_quarantine() {
    let empty = Record { value: None, ..plain("") };
    assert_eq!(unreadable(&empty), Code::EmptyValue);
    assert_eq!(unreadable(&plain("")), Code::EmptyValue);
    let cases: Vec<(Vec<u8>, Code)> = vec![
        (b"tenant: acme".to_vec(), Code::NotJson),
        (b"   ".to_vec(), Code::NotJson),
        (b"{".to_vec(), Code::NotJson),
        (format!("{GOOD}x").into_bytes(), Code::NotJson),
        (format!("{GOOD}{GOOD}").into_bytes(), Code::NotJson),
        (format!("\u{feff}{GOOD}").into_bytes(), Code::NotJson),
        (b"{\"name\":\"\xff\xfe\"}".to_vec(), Code::NotJson),
        (br#"{"name":"\ud800"}"#.to_vec(), Code::NotJson),
        (br#"{"\udc00":1}"#.to_vec(), Code::NotJson),
        (b"{\"name\":\"a\0b\"}".to_vec(), Code::NotJson),
        (b"{'name':'x'}".to_vec(), Code::NotJson),
        (b"{\"seats\":NaN}".to_vec(), Code::NotJson),
        (format!(r#"{{"name":"a{ESCAPED_NUL}b"}}"#).into_bytes(), Code::NulCharacter),
        (format!(r#"{{"name":"a","{ESCAPED_NUL}":1}}"#).into_bytes(), Code::NulCharacter),
        (deep(33).into_bytes(), Code::TooDeep),
        (deep(10_000).into_bytes(), Code::TooDeep),
        ("[".repeat(10_000).into_bytes(), Code::TooDeep),
        ("[".repeat(250_000).into_bytes(), Code::TooDeep),
    ];
    for (value, code) in cases {
        let shown = String::from_utf8_lossy(&value[..value.len().min(60)]).into_owned();
        assert_eq!(unreadable(&plain(value.clone())), code, "{shown}");
        let named = Record { headers: binary("", NAMED).headers, ..plain(value) };
        assert_eq!(unreadable(&named), code, "an id does not make it readable: {shown}");
    }
}

#[test]
fn a_refused_depth_names_an_outer_place_and_32_levels_are_read() {
    let Decoded::Unreadable(refusal) = read(&plain(deep(10_000))) else { panic!("too deep") };
    assert_eq!(refusal.pointer.as_deref(), Some("/name".repeat(32).as_str()));
    refused_at(&deep(32), Code::FieldInvalid, "/name");
}

#[test]
fn a_document_over_256_kib_is_refused_where_somebody_can_be_answered() {
    let body = |bytes: usize| {
        let frame = r#"{"name":"Acme","customisation":{"x":""}}"#.len();
        format!(r#"{{"name":"Acme","customisation":{{"x":"{}"}}}}"#, "y".repeat(bytes - frame))
    };
    for bytes in [(256 << 10) + 1, 2 << 20] {
        let (code, pointer, id, slug) = refused(&binary(body(bytes), NAMED));
        assert_eq!((code, pointer), (Code::TooLarge, None));
        assert_eq!(id.unwrap().to_string(), "crm#r-1");
        assert_eq!(slug, None);

        let slug = Slug::parse("acme").unwrap();
        let home = Lane::of(&slug, common::LANES).0;
        let keyed = Record { key: Some("acme".into()), partition: home, ..plain(body(bytes)) };
        assert_eq!(refused(&keyed), (Code::TooLarge, None, None, Some(slug)));
        let astray = Record { partition: (home + 1) % common::LANES, ..keyed };
        assert_eq!(unreadable(&astray), Code::TooLarge, "a key that lies elsewhere addresses nobody here");
        assert_eq!(unreadable(&plain(body(bytes))), Code::TooLarge);
    }
    // Exactly 256 KiB is read, and its one long string is found.
    assert_eq!(refused(&binary(body(256 << 10), NAMED)).0, Code::StringTooLong);
}

#[test]
fn too_many_values_too_long_strings_and_doubled_members_are_refused_with_their_place() {
    let named = |document: String| {
        let (code, pointer, id, _) = refused(&binary(document, NAMED));
        assert!(id.is_some());
        (code, pointer.unwrap_or_default())
    };
    let list = |n: usize| format!(r#"{{"name":"Acme","features":[{}]}}"#, vec!["1"; n].join(","));
    assert_eq!(named(list(9_997)), (Code::FieldInvalid, "/features/0".into()), "10,000 values are read");
    assert_eq!(named(list(9_998)), (Code::TooManyNodes, String::new()));
    let members: Vec<_> = (0..20_000).map(|i| format!(r#""k{i}":1"#)).collect();
    assert_eq!(named(format!("{{{}}}", members.join(","))), (Code::TooManyNodes, String::new()));

    let long = "x".repeat(4097);
    assert_eq!(named(format!(r#"{{"name":"{long}"}}"#)), (Code::StringTooLong, "/name".into()));
    assert_eq!(named(format!(r#"{{"a":{{"{long}":1}}}}"#)), (Code::StringTooLong, "/a".into()));
    assert_eq!(named(r#"{"name":"a","name":"b"}"#.into()), (Code::DuplicateMember, "/name".into()));
    let escaped = r#"{"customisation":{"x":[{"ab":1,"\u0061b":2}]}}"#;
    assert_eq!(named(escaped.into()), (Code::DuplicateMember, "/customisation/x/0/ab".into()));
    let huge = format!(r#"{{"name":"Acme","seats":{}}}"#, "9".repeat(400));
    assert_eq!(named(huge), (Code::FieldInvalid, "/seats".into()));

    // With neither id nor slug nobody can be answered; a slug in the body is enough.
    assert_eq!(unreadable(&plain(r#"{"name":"a","name":"b"}"#)), Code::DuplicateMember);
    let (code, _, id, slug) = refused(&plain(r#"{"slug":"acme","name":"a","name":"b"}"#));
    assert_eq!((code, id, slug), (Code::DuplicateMember, None, Some(Slug::parse("acme").unwrap())));
}

#[test]
fn a_document_that_breaks_the_schema_is_refused_at_the_place() {
    for (document, code, pointer) in [
        (r#"{"slug":"acme"}"#, Code::FieldMissing, "/name"),
        (r#"{"name":null}"#, Code::FieldInvalid, "/name"),
        (r#"{"name":7}"#, Code::FieldInvalid, "/name"),
        (r#"{"name":"Acme","sulg":"acme"}"#, Code::FieldUnknown, "/sulg"),
        (r#"{"name":"Acme","requestedSeats":"many"}"#, Code::FieldInvalid, "/requestedSeats"),
        (r#"{"name":"Acme","requestedSeats":-1}"#, Code::FieldInvalid, "/requestedSeats"),
        (r#"{"name":"Acme","requestedSeats":1.5}"#, Code::FieldInvalid, "/requestedSeats"),
        (r#"{"name":"Acme","requestedSeats":4294967296}"#, Code::FieldInvalid, "/requestedSeats"),
        (r#"{"name":"Acme","requestedSeats":1,"seats":1}"#, Code::FieldUnknown, "/seats"),
        (r#"{"name":"Acme","tenant":"TEN-001"}"#, Code::FieldInvalid, "/tenant"),
        (r#"{"name":"Acme","admin":{"mail":"a@b.example"}}"#, Code::FieldUnknown, "/admin/mail"),
        (r#"{"name":"Acme","features":["a",2]}"#, Code::FieldInvalid, "/features/1"),
        (r#"{"name":"Acme","valid_until":"tomorrow"}"#, Code::FieldInvalid, "/valid_until"),
        (r#"{"name":"Acme","billing_cycle":"weekly"}"#, Code::FieldInvalid, "/billing_cycle"),
        (r#"{"name":"Acme","encryption":"none"}"#, Code::FieldInvalid, "/encryption"),
        (r#"{"name":"Acme","plan":"a b"}"#, Code::FieldInvalid, "/plan"),
        (r#"{"name":"Acme","environment":"Prod 1"}"#, Code::EnvironmentInvalid, "/environment"),
        (r#"{"tenantName":"Acme"}"#, Code::FieldMissing, "/organizationName"),
        (r#"{"name":"Acme","admin":["a@b.example"]}"#, Code::FieldInvalid, "/admin"),
        ("[]", Code::FieldInvalid, ""),
        (r#"["Acme"]"#, Code::FieldInvalid, ""),
        ("null", Code::FieldInvalid, ""),
        ("\"acme\"", Code::FieldInvalid, ""),
    ] {
        refused_at(document, code, pointer);
    }
}

#[test]
fn slugs_outside_the_grammar_are_refused_however_they_look() {
    for slug in
        ["acme\u{2011}intel", "аcme", "acmе", "ACME", "ac", "a_b_c", "-acme", "acme-", "ac--me", "../etc", ""]
    {
        refused_at(&format!(r#"{{"name":"Acme","slug":"{slug}"}}"#), Code::SlugInvalid, "/slug");
        refused_at(
            &format!(r#"{{"name":"Acme","slug":"{slug}","requestedSeats":1}}"#),
            Code::SlugInvalid,
            "/slug",
        );
    }
    refused_at(r#"{"name":"Acme","slug":"platform"}"#, Code::SlugReserved, "/slug");
    refused_at(r#"{"name":"Acme","slug":"lane-3"}"#, Code::SlugReserved, "/slug");
    refused_at(r#"{"name":"Акме"}"#, Code::SlugUnderivable, "/name");
    refused_at(r#"{"name":"Admin","adminEmail":"a@b.example"}"#, Code::SlugReserved, "/name");
    refused_at(r#"{"id":"Acme!","name":"Acme","provider":"postgresql"}"#, Code::SlugInvalid, "/id");
}

#[test]
fn names_addresses_and_domains_are_refused_where_they_stand() {
    refused_at(r#"{"name":""}"#, Code::NameInvalid, "/name");
    refused_at(r#"{"name":"Acme\u202Eproc"}"#, Code::NameInvalid, "/name");
    refused_at(r#"{"name":"Acme\nCorp"}"#, Code::NameInvalid, "/name");
    refused_at(r#"{"name":"Acme","contact_email":"admin"}"#, Code::EmailInvalid, "/contact_email");
    refused_at(r#"{"name":"Acme","admin":{"email":"a@b"}}"#, Code::EmailInvalid, "/admin/email");
    refused_at(r#"{"name":"Acme","adminEmail":"a b@c.example"}"#, Code::EmailInvalid, "/adminEmail");
    for domain in ["ACME.example.com", "10.0.0.1", "::1", "acme", "acme.example.com."] {
        refused_at(&format!(r#"{{"name":"Acme","domain":"{domain}"}}"#), Code::DomainInvalid, "/domain");
    }
}

#[test]
fn secrets_are_refused_and_never_repeated() {
    for (document, pointer) in [
        (
            r#"{"name":"Acme","provider":"postgresql","connectionStringTemplate":"Host=db;Password=hunter2"}"#,
            "/connectionStringTemplate",
        ),
        (r#"{"name":"Acme","customisation":{"db":"postgres://a:hunter2@db/x"}}"#, "/customisation/db"),
        (r#"{"name":"Acme","limits":{"apiKey":"hunter2"}}"#, "/limits/apiKey"),
    ] {
        refused_at(document, Code::SecretInRequest, pointer);
        assert!(!format!("{:?}", read(&plain(document))).contains("hunter2"));
    }
    refused_at(r#"{"name":"Acme","provider":"sqlserver"}"#, Code::FieldInvalid, "/provider");
}

#[test]
fn refusals_never_repeat_what_was_said() {
    for document in [
        r#"{"name":"Acme","requestedSeats":"ada@example.com"}"#,
        r#"{"name":"Acme","contact_email":"ada@example"}"#,
        r#"{"name":"Acme","ada@example.com":1}"#,
        r#"{"name":"Acme","tenant":"ada@example.com"}"#,
        r#"{"name":"Acme","plan":"ada@example.com"}"#,
        r#"{"name":"Acme","customisation":{"ada@example.com":{"password":"x"}}}"#,
        r#"{"name":"Acme","billing_cycle":"ada@example.com"}"#,
    ] {
        let Decoded::Refused { refusal, .. } = read(&plain(document)) else { panic!("{document}") };
        assert!(!format!("{refusal} {refusal:?}").contains("ada"), "{refusal}");
    }
}

#[test]
fn types_that_are_not_known_and_newer_versions_are_not_guessed_at() {
    for (kind, code) in [
        ("tenant.requested.v2", Code::VersionUnknown),
        ("tenant.requested.v10", Code::VersionUnknown),
        ("tenant.suspend.requested.v2", Code::VersionUnknown),
        ("tenant.requested", Code::TypeUnknown),
        ("tenantrequested", Code::TypeUnknown),
        ("order.placed.v1", Code::TypeUnknown),
        ("tenant.audit.v1", Code::TypeUnknown),
    ] {
        assert_eq!(unreadable(&binary(GOOD, &[("ce_type", kind)])), code, "{kind}");
        let structured =
            format!(r#"{{"specversion":"1.0","id":"1","source":"s","type":"{kind}","data":{GOOD}}}"#);
        assert_eq!(unreadable(&plain(structured)), code, "{kind}");
    }
}

#[test]
fn an_envelope_that_is_not_sound_cannot_be_read() {
    let long = "x".repeat(257);
    for headers in [
        [("ce_specversion", "0.3"), ("ce_id", "1")],
        [("ce_specversion", "1.0"), ("ce_id", "")],
        [("ce_specversion", "1.0"), ("ce_id", long.as_str())],
        [("ce_id", "1"), ("ce_source", "a\nb")],
        [("ce_id", "1"), ("ce_time", "yesterday")],
        [("ce_id", "1"), ("content-type", "application/cloudevents-batch+json")],
        [("ce_id", "1"), ("content-type", "application/cloudevents+avro")],
    ] {
        assert_eq!(unreadable(&binary(GOOD, &headers)), Code::EnvelopeInvalid, "{headers:?}");
    }
    let mut latin1 = plain(GOOD);
    latin1.headers.push(("ce_source".into(), bytes::Bytes::from_static(b"caf\xe9")));
    assert_eq!(unreadable(&latin1), Code::EnvelopeInvalid);

    for (event, code) in [
        (r#"{"specversion":"1.0","id":"1","source":"s","type":"tenant.requested.v1"}"#, Code::EmptyValue),
        (r#"{"specversion":"1.0","data_base64":"e30="}"#, Code::EnvelopeInvalid),
        (r#"{"specversion":"2.0","data":{}}"#, Code::EnvelopeInvalid),
        (r#"{"specversion":"1.0","datacontenttype":"text/xml","data":"<a/>"}"#, Code::EnvelopeInvalid),
    ] {
        assert_eq!(unreadable(&plain(event)), code, "{event}");
    }
    let typed = binary(r#"{"specversion":1,"data":{}}"#, &[("content-type", "application/cloudevents+json")]);
    assert_eq!(unreadable(&typed), Code::EnvelopeInvalid);
    let torn =
        binary("{\"specversion\":", &[("content-type", "application/cloudevents+json; charset=utf-8")]);
    assert_eq!(unreadable(&torn), Code::NotJson);
}

#[test]
fn in_structured_mode_pointers_speak_of_the_data() {
    let event = |data: &str| {
        plain(format!(
            r#"{{"specversion":"1.0","id":"1","source":"s","type":"TenantRequested","data":{data}}}"#
        ))
    };
    for (data, code, pointer) in [
        (r#"{"name":"a","name":"b"}"#, Code::DuplicateMember, "/name"),
        (r#"{"slug":"acme"}"#, Code::FieldMissing, "/name"),
        (r#"{"name":"Acme","slug":"A"}"#, Code::SlugInvalid, "/slug"),
    ] {
        let (have, place, id, _) = refused(&event(data));
        assert_eq!((have, place.as_deref()), (code, Some(pointer)));
        assert_eq!(id.unwrap().to_string(), "s#1");
    }
}

#[test]
fn a_key_that_disagrees_with_the_body_decides_nothing() {
    let record = binary(GOOD, NAMED);
    for key in ["other-slug", "", "\u{0}", "ACME"] {
        let keyed = Record { key: Some(key.into()), ..record.clone() };
        assert_eq!(heard(&keyed), heard(&record), "{key:?}");
    }
}

#[test]
fn plan_and_region_are_left_to_the_worker_that_knows_the_catalogue() {
    let request =
        heard(&plain(r#"{"name":"Acme","plan":"GOLD","residency":"eu","region":"us-east-1"}"#)).request;
    assert_eq!((request.plan.as_str(), request.residency.as_deref()), ("gold", Some("EU")));
}
