//! The house's policies under their own tests, and what of them the tests reach.
#![allow(missing_docs, clippy::unwrap_used)]

use regorus::{Engine, Value};

const DATA: &str = include_str!("../../../schemas/policies/data.json");
const POLICY: &str = include_str!("../../../schemas/policies/tenants/provision.rego");
const TESTS: &str = include_str!("../../../schemas/policies/tenants/provision_test.rego");

/// The policies and their tests, set up as the worker does it.
fn engine() -> Engine {
    let mut engine = Engine::new();
    engine.set_strict_builtin_errors(true);
    engine.add_data_json(DATA).unwrap();
    engine.add_policy("provision.rego".to_owned(), POLICY.to_owned()).unwrap();
    engine.add_policy("provision_test.rego".to_owned(), TESTS.to_owned()).unwrap();
    engine
}

/// The names of the tests, in order.
fn names() -> Vec<&'static str> {
    let tests = TESTS.lines().filter(|line| line.starts_with("test_"));
    tests.map(|line| line.split_once(" if ").unwrap().0).collect()
}

fn run(engine: &mut Engine, name: &str) -> Value {
    let results = engine.eval_query(format!("data.tenants.provision_test.{name}"), false).unwrap();
    results.result.first().map_or(Value::Undefined, |result| result.expressions[0].value.clone())
}

#[test]
fn every_test_of_the_policies_holds() {
    let names = names();
    assert!(names.len() >= 25, "{names:?}");
    let mut engine = engine();
    for name in names {
        assert_eq!(run(&mut engine, name), Value::from(true), "{name}");
    }
}

#[test]
fn the_tests_reach_every_line_of_the_policies() {
    let mut engine = engine();
    engine.set_enable_coverage(true);
    for name in names() {
        run(&mut engine, name);
    }
    let report = engine.get_coverage_report().unwrap();
    let file = report.files.iter().find(|file| file.path == "provision.rego").unwrap();
    assert!(file.covered.len() > 40, "coverage was not measured: {:?}", file.covered);
    let lines: Vec<_> = POLICY.lines().collect();
    let missed: Vec<_> =
        file.not_covered.iter().map(|line| format!("{line}: {}", lines[*line as usize - 1])).collect();
    assert!(missed.is_empty(), "no test reaches these lines of provision.rego:\n{}", missed.join("\n"));
}

#[test]
fn every_rule_has_a_test_that_sees_it_deny() {
    let ids = POLICY.lines().filter_map(|line| line.trim().strip_prefix("\"id\": \"")?.split_once('"'));
    let ids: Vec<_> = ids.map(|(id, _)| id).collect();
    assert_eq!(ids.len(), 8, "{ids:?}");
    for id in ids {
        let sees =
            |line: &str| line.contains("denied_by(provision.deny)") && line.contains(&format!("\"{id}\""));
        assert!(TESTS.lines().any(sees), "no test sees {id} deny");
    }
}
