//! The samples for consumers: what they check while reading, and the mapping for a SIEM.

use std::path::PathBuf;
use std::process::Command;

use tenantry_contracts::audit::AuditKind;

use crate::world::{tenant, world};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../deploy/verify")
}

#[test]
fn the_python_sample_reads_a_sound_topic_and_stops_at_the_first_breach() {
    const LOOP: &str = "
import json, sys
sys.path.insert(0, sys.argv[1])
from consume import Chains
values = open(sys.argv[2], 'rb').read().split(b'\\n')[:-1]
def read(values):
    chains, new = Chains(), 0
    try:
        for value in values: new += chains.hear(json.loads(value)['chain'].encode(), value) is not None
        return new
    except ValueError as wrong: return wrong
mine = [at for at, value in enumerate(values) if json.loads(value)['chain'] == sys.argv[3]]
print(read(values))
print(read(values + values[:5]))
print(read(values[:mine[2]] + values[mine[2] + 1:]))
print(read([value.replace(b'words', b'Words') if at == mine[2] else value for at, value in enumerate(values)]))
";
    let (world, _) = world();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("values");
    let values: Vec<u8> = world.values.iter().flat_map(|value| [value.as_slice(), b"\n"].concat()).collect();
    std::fs::write(&path, values).unwrap();
    let chain = tenant(2);
    let mut command = Command::new("python3");
    let output = command.args(["-B", "-c", LOOP]).arg(folder()).arg(&path).arg(&chain).output();
    let output = output.expect("python3 runs; `deploy/packages test` installs it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    let altered = format!("audit_altered: chain {chain} record 3, or 4 which speaks of it");
    let expected = ["23", "23", &format!("audit_missing: chain {chain} record 3"), &altered];
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn every_kind_of_audit_event_is_mapped_to_ocsf() {
    let text = std::fs::read_to_string(folder().join("ocsf-mapping.json")).unwrap();
    let mapping: serde_json::Value = serde_json::from_str(&text).unwrap();
    let types = mapping["types"].as_object().unwrap();
    for kind in AuditKind::ALL {
        let to = types.get(kind.as_str());
        let to = to.unwrap_or_else(|| panic!("deploy/verify/ocsf-mapping.json lacks {}", kind.as_str()));
        let (class, activity) = (to["class_uid"].as_u64().unwrap(), to["activity_id"].as_u64().unwrap());
        assert_eq!(to["type_uid"].as_u64(), Some(class * 100 + activity), "{}", kind.as_str());
        assert!(mapping["classes"].get(class.to_string()).is_some(), "{}", kind.as_str());
    }
    assert_eq!(types.len(), AuditKind::ALL.len(), "the mapping speaks of kinds that do not exist");
}

#[test]
fn the_readme_names_every_code_with_its_exit() {
    use tenantry_audit::bundle::Kind;
    let text = std::fs::read_to_string(folder().join("README.md")).unwrap();
    for kind in Kind::ALL {
        let row = text.lines().find(|line| line.starts_with(&format!("| {}", kind.exit()))).unwrap();
        assert!(
            row.contains(&format!("`{}`", kind.as_str())),
            "deploy/verify/README.md lacks {}",
            kind.as_str()
        );
    }
}
