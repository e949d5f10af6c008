//! The command line: what it tells, what it refuses, and with which exit.

use crate::process::{program, said};

/// Arguments, environment, and what must be said.
type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str);

/// Runs a command that must be refused.
fn refused(args: &[&str], env: &[(&str, &str)]) -> (i32, String) {
    let (code, _, errors) = said(program(args).envs(env.iter().copied()).output().unwrap());
    (code, errors)
}

#[test]
fn help_tells_the_commands_the_exits_the_variables_and_the_faults() {
    let (code, text, _) = said(program(&["--help"]).output().unwrap());
    assert_eq!(code, 0);
    for word in ["up", "serve", "migrate", "topics", "journal", "sim", "Exit codes:", "70"] {
        assert!(text.contains(word), "{word} is not in\n{text}");
    }
    let (code, text, _) = said(program(&["up", "--help"]).output().unwrap());
    assert_eq!(code, 0);
    for word in [
        "TENANTRY_DATABASE_URL_FILE",
        "TENANTRY_FAULTS",
        "--broker-port",
        "TENANTRY_KAFKA_PROPERTIES",
        "TENANTRY_HTTP",
    ] {
        assert!(text.contains(word), "{word} is not in\n{text}");
    }
    assert!(text.starts_with("Run a whole fleet"), "{text}");
}

#[test]
fn a_wrong_command_line_or_setting_ends_with_two_and_says_what_to_do() {
    let cases: &[Case] = &[
        (&["serve", "coordinator"], &[], "brokers_missing"),
        (&["serve", "worker", "database"], &[("TENANTRY_BROKERS", "127.0.0.1:1")], "tenants_url_missing"),
        (&["serve", "worker", "lunch"], &[], "invalid value 'lunch'"),
        (
            &["serve", "coordinator", "--brokers", "127.0.0.1:1", "--database-url", "postgres://x/y"],
            &[],
            "master_key_missing",
        ),
        (&["up", "--nonsense"], &[], "unexpected argument"),
        (&["up", "--fleet", "Not Good"], &[], "lower-case"),
        (&["up", "--print-config"], &[("TENANTRY_FAULTS", "database.before-lunch=no")], "faults_invalid"),
        (&["up", "--database-url", "postgres://x/y"], &[], "tenants_url_missing"),
        (&["migrate"], &[], "database_url_missing"),
        (&["migrate", "--database-url", "postgres://a/b", "--database-url-file", "/x"], &[], "given_twice"),
        (&["migrate", "--database-url-file", "/nowhere/url"], &[], "file_unreadable"),
        (&["sim", "--seeds", "1", "--log", "not=a=filter"], &[], "log_filter_invalid"),
        (&["journal", "archive", "--to", "/nowhere"], &[], "archive_folder"),
        (&["journal", "archive", "--to", "/", "--older-than", "soon"], &[], "90d"),
    ];
    for (args, env, wanted) in cases {
        let (code, errors) = refused(args, env);
        assert_eq!(code, 2, "{args:?}: {errors}");
        assert!(errors.contains(wanted), "{args:?} should say {wanted}: {errors}");
    }
}

#[test]
fn what_cannot_be_reached_ends_with_one_and_is_named_without_its_password() {
    let url = "postgres://me:hunter2@127.0.0.1:1/store";
    let (code, errors) = refused(&["migrate"], &[("TENANTRY_DATABASE_URL", url)]);
    assert_eq!(code, 1, "{errors}");
    assert!(errors.contains("database_unreachable") && !errors.contains("hunter2"), "{errors}");
    let (code, errors) = refused(&["topics", "check", "--brokers", "127.0.0.1:1"], &[]);
    assert_eq!(code, 1, "{errors}");
    assert!(errors.contains("error: bus_unreachable: 127.0.0.1:1"), "{errors}");
}

#[test]
fn the_printed_settings_hold_no_secret() {
    let args = ["serve", "all", "--print-config", "--kafka-property", "sasl.password=hunter2"];
    let env = [
        ("TENANTRY_DATABASE_URL", "postgres://me:hunter2@db/store"),
        ("TENANTRY_TENANTS_URL", "postgres://me:hunter2@db/tenants?sslmode=verify-full"),
        ("TENANTRY_KAFKA_PROPERTIES", "security.protocol=sasl_ssl,sasl.username=me"),
        ("TENANTRY_MASTER_KEY", "7777777777777777777777777777777777777777777777777777777777777777"),
    ];
    let (code, text, errors) = said(program(&args).envs(env).output().unwrap());
    assert_eq!(code, 0, "{errors}");
    assert!(!text.contains("hunter2") && !text.contains("777777"), "{text}");
    assert!(text.contains("sasl_ssl") && text.contains("verify-full"), "{text}");
}

#[test]
fn a_seed_of_the_world_repeats_exactly_and_plans_are_shown() {
    let run = || said(program(&["sim", "--seeds", "1", "--seed", "7", "--tenants", "3"]).output().unwrap());
    let (one, two) = (run(), run());
    assert_eq!(one.0, 0, "{}", one.1);
    assert_eq!(one.1.lines().next(), two.1.lines().next());
    let (code, plans, _) = said(program(&["plan", "show"]).output().unwrap());
    assert_eq!(code, 0);
    assert!(plans.contains("provision/1") && plans.contains("pivot"), "{plans}");
}

#[test]
fn a_bundle_is_verified_offline_and_a_changed_byte_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../audit/tests/bundle/golden.tar");
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let key = |entropy| tenantry_audit::Signer::from_entropy("tests.example", [entropy; 32]).unwrap();
    std::fs::write(path("owner.pem"), key(1).public().to_pem()).unwrap();
    std::fs::write(path("stranger.pem"), key(99).public().to_pem()).unwrap();
    let run = |bundle: &str, key: &str| said(program(&["verify", bundle, "--key", key]).output().unwrap());

    let (code, told, errors) = run(golden, &path("owner.pem"));
    assert_eq!(code, 0, "{errors}");
    assert!(told.contains("records in") && told.contains("chains"), "{told}");
    let (code, told, _) = run(golden, &path("stranger.pem"));
    assert!(code == 3 && told.contains("key_unknown"), "{code} {told}");

    let mut bytes = std::fs::read(golden).unwrap();
    let at = bytes.windows(12).position(|window| window == b"\"chain\":\"lan").expect("a record");
    bytes[at + 10] ^= 1;
    std::fs::write(path("changed.tar"), bytes).unwrap();
    let (code, told, _) = run(&path("changed.tar"), &path("owner.pem"));
    assert!(code == 1 && told.contains("member="), "{code} {told}");
    assert_eq!(run(&path("nothing.tar"), &path("owner.pem")).0, 2);
}
