//! Whatever is no clear yes is no yes: policies that say nothing, say something else, fail, or cannot be read.

use tenantry_contracts::steps::policy::Input;
use tenantry_contracts::{Class, Code};
use tenantry_step::kit::Tenant;
use tenantry_step::{Step, Trouble};
use tenantry_worker_policy::{Engine, read_directory};

use crate::world::{Decisions, policy, refusal, sound};

#[tokio::test]
async fn policies_that_do_not_say_yes_deny_and_give_the_reason() {
    let world = Decisions::new("unsaid", Engine::built_in()).await;
    for (rules, reason) in [
        ("", "decision.undefined: "),
        ("deny := set()", "decision.undefined: "),
        ("allow := null", "decision.undefined: "),
        ("allow if input.plan == \"none\"", "decision.undefined: "),
        ("allow := false", "decision.denied: "),
        ("allow := true\ndeny contains {\"id\": \"x.y\", \"message\": \"no\"}", "x.y: no"),
    ] {
        let tenant = Tenant::fresh();
        let (code, class, message) =
            refusal(world.with(policy(rules)).execute(&tenant.cx(10), &sound()).await);
        assert_eq!((code, class), (Code::PolicyDenied, Class::Policy), "{rules}");
        assert!(message.contains(&format!(": {reason}")), "{rules}: {message}");
        assert_eq!(world.logged(&tenant).await.len(), 1, "{rules}");
    }
}

#[tokio::test]
async fn a_query_that_no_policy_answers_is_denied() {
    let (world, tenant) = (Decisions::new("query", Engine::built_in()).await, Tenant::fresh());
    let input = Input { query: "tenants/delete".to_owned(), ..sound() };
    let (code, _, message) = refusal(world.step.execute(&tenant.cx(10), &input).await);
    assert_eq!(code, Code::PolicyDenied);
    assert!(message.contains("decision.undefined"), "{message}");
}

#[tokio::test]
async fn a_query_that_is_no_path_is_refused_before_anybody_is_asked() {
    let (world, tenant) = (Decisions::new("path", Engine::built_in()).await, Tenant::fresh());
    for query in ["", "tenants/", "/tenants", "tenants/../x", "tenants.provision", "a b", "true; x", "A", "1"]
    {
        let input = Input { query: query.to_owned(), ..sound() };
        let (code, class, _) = refusal(world.step.execute(&tenant.cx(10), &input).await);
        assert_eq!((code, class), (Code::FieldInvalid, Class::Validation), "{query}");
    }
}

#[tokio::test]
async fn policies_that_fail_or_say_what_is_no_decision_must_be_mended() {
    let world = Decisions::new("broken", Engine::built_in()).await;
    for (rules, said) in [
        ("allow := \"yes\"", "expected a boolean"),
        ("allow := 1", "expected a boolean"),
        ("allow := true\ndeny contains \"no\"", "invalid type"),
        ("allow := true\ndeny contains {\"id\": 1, \"message\": \"no\"}", "invalid type"),
        ("allow := true\ndeny := false", "invalid type"),
        ("allow := true\nobligations := [\"call\"]", "unknown field `obligations`"),
        ("allow := true\nnotices contains {\"code\": \"nonsense\", \"message\": \"m\"}", "unknown variant"),
        ("default allow := false\nallow := true if input.plan\nallow := false if input.source", "line 4"),
        ("allow if to_number(input.plan) > 1", "line 2"),
        ("allow if not to_number(input.plan) > 1", "line 2"),
        ("allow if not no_such_function(input.plan)", "no_such_function"),
    ] {
        let tenant = Tenant::fresh();
        let engine = policy(rules);
        let (code, class, message) = refusal(world.with(engine).execute(&tenant.cx(10), &sound()).await);
        assert_eq!((code, class), (Code::Misconfigured, Class::Config), "{rules}");
        assert!(message.contains(said), "{rules}: {message}");
        assert_eq!(world.logged(&tenant).await, Vec::<String>::new(), "{rules}");
    }
}

#[tokio::test]
async fn policies_that_never_end_are_given_up_and_allow_nothing() {
    let rules = "allow if {\n\tsome a in numbers.range(1, 3000)\n\tsome b in numbers.range(1, 3000)\n\
                 \tsome c in numbers.range(1, 3000)\n\ta + b + c < 0\n}";
    let (world, mut tenant) = (Decisions::new("endless", policy(rules)).await, Tenant::fresh());
    tenant.limit_ms = 300;
    let answer = world.step.execute(&tenant.cx(10), &sound()).await;
    assert!(matches!(&answer, Err(Trouble::Shaky(why)) if why.contains("in time")), "{answer:?}");
}

#[test]
fn a_broken_policy_file_is_refused_with_its_name_and_place() {
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let good = || file("good.rego", "package tenants.provision\nallow := true\n");
    for (name, text, said) in [
        ("bad.rego", "package tenants.provision\n\nallow if {\n", "line 4, column 1: "),
        ("bad.rego", "package tenants.provision\nallow if x == 1\n", "line 2, column 10: "),
        ("bad.rego", "allow := true\n", "line 1, column 1: "),
        ("data.json", "{", ""),
        ("data.json", "[]", "object"),
        ("data.json", "{\"a\": 1, \"a\": 2}", "duplicate_member at /a"),
        ("notes.txt", "", "neither"),
        ("good.rego", "package other\n", "two files"),
    ] {
        let fault = Engine::embedded([good(), file(name, text)]).unwrap_err();
        assert_eq!(fault.file, name, "{text}: {fault}");
        assert!(fault.to_string().contains(said), "{text}: {fault}");
    }
    assert!(
        Engine::embedded([file("data.json", "{}")]).unwrap_err().to_string().contains("no policy at all")
    );
    assert!(Engine::embedded([file("a_test.rego", "package a\n")]).is_err(), "tests decide nothing");
    for address in ["", "opa", "ftp://opa", "http://opa?x=1"] {
        assert!(Engine::remote(address).is_err(), "{address}");
    }
}

#[test]
fn a_bundle_is_known_by_its_names_and_contents_and_not_by_its_tests() {
    let bundle = |files: &[(&str, &str)]| {
        let files = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        Engine::embedded(files).unwrap().bundle().unwrap().to_owned()
    };
    let (one, two) = (("a.rego", "package a\n"), ("b/data.json", "{}"));
    let first = bundle(&[one, two]);
    assert_eq!(bundle(&[two, one]), first);
    assert_eq!(bundle(&[one, two, ("a_test.rego", "package a_test\n")]), first);
    for other in
        [bundle(&[one]), bundle(&[one, ("c/data.json", "{}")]), bundle(&[("a.rego", "package b\n"), two])]
    {
        assert_ne!(other, first);
    }
}

#[tokio::test]
async fn a_directory_is_read_as_opa_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("tenants/p.rego", "package tenants.provision\nallow if input.plan in data.lists.of.plans\n");
    write("lists/of/data.json", "{\"plans\": [\"enterprise\"]}");
    write("README.md", "not read");
    write(".hidden/p.rego", "not read");
    let files = read_directory(dir.path()).unwrap();
    let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["lists/of/data.json", "tenants/p.rego"]);
    let world = Decisions::new("directory", Engine::embedded(files).unwrap()).await;
    assert!(world.step.execute(&Tenant::fresh().cx(10), &sound()).await.unwrap().allow);
    let missing = read_directory(&dir.path().join("none")).unwrap_err();
    assert!(missing.to_string().contains("cannot be read"), "{missing}");
}
