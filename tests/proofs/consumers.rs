//! The sample consumers of `deploy/verify`, in Python and in TypeScript, on what stands on the topic of a real fleet.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tenantry_contracts::audit::{AuditEvent, decode};
use tenantry_contracts::{Record, Topic};
use tenantry_tests::harness::Topics;

const PYTHON: &str = "
import sys
sys.path.insert(0, sys.argv[1])
from consume import Chains
for path in sys.argv[2:]:
    chains, new = Chains(), 0
    try:
        for line in open(path, 'rb').read().split(b'\\n')[:-1]:
            key, value = line.split(b'\\t', 1)
            new += chains.hear(key, value) is not None
        print(new)
    except ValueError as wrong:
        print(wrong)
";

const NODE: &str = "
import { readFileSync } from 'node:fs';
const [sample, ...paths] = process.argv.slice(2);
const { Chains } = await import(sample);
for (const path of paths) {
    const chains = new Chains();
    let [rest, fresh] = [readFileSync(path), 0];
    try {
        while (rest.length > 0) {
            const [tab, end] = [rest.indexOf(9), rest.indexOf(10)];
            if (chains.hear(rest.subarray(0, tab), rest.subarray(tab + 1, end))) fresh += 1;
            rest = rest.subarray(end + 1);
        }
        console.log(fresh);
    } catch (wrong) {
        console.log(wrong.message);
    }
}
";

/// Both samples read the topic as it is, with repeats, with a record dropped and with one altered, and say the same.
pub(crate) async fn read_the_real_topic(topics: &Topics) {
    topics.replay(vec![Topic::Audit]).await;
    let repeated = topics.read(vec![Topic::Audit]).await;
    let mut seen = std::collections::BTreeSet::new();
    let event = |record: &Record| -> AuditEvent { decode(record).expect("an audit event") };
    let first = |record: &&Record| {
        let event = event(record);
        seen.insert((event.chain, event.seq))
    };
    let sound: Vec<Record> = repeated.iter().filter(first).cloned().collect();
    assert!(sound.len() > 100 && repeated.len() >= 2 * sound.len(), "{} {}", sound.len(), repeated.len());

    let at = sound.iter().position(|record| event(record).seq == 5).expect("a chain of five");
    let (chain, seq) = (event(&sound[at]).chain, event(&sound[at]).seq);
    let mut dropped = sound.clone();
    dropped.remove(at);
    let mut altered = sound.clone();
    let text = String::from_utf8(altered[at].value.clone().expect("a value").to_vec()).expect("JSON");
    altered[at].value = Some(text.replacen("\"at\":\"20", "\"at\":\"19", 1).into());
    assert_ne!(altered[at].value, sound[at].value);

    let dir = tempfile::tempdir().expect("a folder");
    let file = |name: &str, records: &[Record]| {
        let path = dir.path().join(name);
        let line = |record: &Record| {
            let (key, value) =
                (record.key.as_deref().expect("a key"), record.value.as_deref().expect("a value"));
            assert!(!value.contains(&b'\n') && !key.contains(&b'\t'));
            [key, b"\t", value, b"\n"].concat()
        };
        std::fs::write(&path, records.iter().flat_map(line).collect::<Vec<u8>>()).expect("a file");
        path
    };
    let files = [
        file("sound", &sound),
        file("repeated", &repeated),
        file("dropped", &dropped),
        file("altered", &altered),
    ];
    let expected = [
        sound.len().to_string(),
        sound.len().to_string(),
        format!("audit_missing: chain {chain} record {seq}"),
        format!("audit_altered: chain {chain} record {seq}, or {} which speaks of it", seq + 1),
    ];
    assert_eq!(said(python(&files)), expected, "consume.py");
    assert_eq!(said(node(dir.path(), &files)), expected, "consume.ts");
}

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/verify")
}

fn python(files: &[PathBuf]) -> Output {
    let mut command = Command::new("python3");
    command.args(["-B", "-c", PYTHON]).arg(samples()).args(files);
    command.output().expect("python3 runs; `deploy/packages test` installs it")
}

/// Not every Node reads TypeScript, so esbuild takes the types off.
fn node(dir: &Path, files: &[PathBuf]) -> Output {
    let (sample, script) = (dir.join("consume.mjs"), dir.join("loop.mjs"));
    let mut command = Command::new("esbuild");
    let out = format!("--outfile={}", sample.display());
    command.arg(samples().join("consume.ts")).args(["--format=esm", "--log-level=error", &out]);
    let built = command.output().expect("esbuild runs; `deploy/packages test` installs it");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    std::fs::write(&script, NODE).expect("a file");
    let mut command = Command::new("node");
    command.arg(script).arg(sample).args(files);
    command.output().expect("node runs; `deploy/packages test` installs it")
}

fn said(output: Output) -> Vec<String> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}
