use super::*;

fn file(name: &str, change: impl Fn(&str) -> String) -> (String, String) {
    let text = BUILT_IN.iter().find(|(file, _)| *file == name).expect("it is built in").1;
    (name.to_owned(), change(text))
}

fn fault(change: impl Fn(&str) -> String) -> Fault {
    let mut faults = Catalogue::read([file("starter.json", change)]).unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults.remove(0)
}

#[test]
fn plans_are_found_by_name_and_alias_in_any_case() {
    let catalogue = Catalogue::built_in();
    for (asked, name) in [
        ("FREE", "starter"),
        ("STARTER", "starter"),
        (" pro ", "professional"),
        ("Professional", "professional"),
        ("ENTERPRISE", "enterprise"),
    ] {
        assert_eq!(catalogue.newest(asked).unwrap().id, name);
    }
    assert!(catalogue.newest("gold").is_none());
    assert_eq!(catalogue.names(), ["enterprise", "professional", "starter"]);
}

#[test]
fn every_file_of_the_folder_is_built_in() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schemas/templates");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, BUILT_IN.map(|(name, _)| name));
}

#[test]
fn needs_grow_with_the_seats() {
    let catalogue = Catalogue::built_in();
    let enterprise = catalogue.newest("enterprise").unwrap();
    let asked = enterprise.requirements(Some(250), Some(500_000_000_000));
    assert_eq!(
        asked,
        Requirements {
            seats: 250,
            storage_bytes: 500_000_000_000,
            database_connections: 45,
            compute_millis: 3500,
            network_segments: 2,
        }
    );
    assert_eq!(enterprise.requirements(None, None).seats, 250);
    let most = enterprise.requirements(Some(u32::MAX), None);
    assert_eq!(most.database_connections, enterprise.resources.database_connections.most);
}

#[test]
fn a_fault_names_file_and_place() {
    let found = fault(|text| text.replace("\"1.0.0\"", "\"one\""));
    assert_eq!((found.file.as_str(), found.refusal.pointer.as_deref()), ("starter.json", Some("/version")));
    let found = fault(|text| text.replace("pooled_rls", "wishful"));
    assert_eq!(found.refusal.pointer.as_deref(), Some("/isolation"));
    let found = fault(|text| text.replacen('{', "{\"speed\": 1,", 1));
    assert_eq!(found.refusal.code, Code::FieldUnknown);
    let found = fault(|text| text.replace("\"approvals\": []", "\"approvals\": [\"astrologer\"]"));
    assert_eq!(found.refusal.pointer.as_deref(), Some("/approvals/0"));
    assert!(found.to_string().starts_with("starter.json: field_invalid at /approvals/0: "), "{found}");
    assert!(Catalogue::read([]).is_err());
}

#[test]
fn a_version_never_changes_and_the_newest_one_serves_new_sagas() {
    let newer = file("starter.json", |text| text.replace("\"1.0.0\"", "\"1.10.0\""));
    let old = file("starter.json", str::to_owned);
    let catalogue = Catalogue::read([newer, old.clone()]).unwrap();
    assert_eq!(catalogue.newest("starter").unwrap().version, "1.10.0");
    let pinned = hex::encode(Sha256::digest(&old.1));
    assert_eq!(catalogue.pinned(&pinned).unwrap().version, "1.0.0");
    let changed = file("starter.json", |text| text.replace("Starter", "Other"));
    let faults = Catalogue::read([old, changed]).unwrap_err();
    assert!(faults[0].refusal.message.contains("with other content"), "{faults:?}");
}
