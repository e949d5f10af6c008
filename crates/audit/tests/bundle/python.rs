//! The second verifier, as a person runs it.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tenantry_audit::bundle::{Trust, verify_bundle};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../deploy/verify")
}

/// The exit code, and the line that it printed.
pub(crate) fn run(bundle: &[u8], trust: &Trust) -> (i32, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bundle.tar");
    std::fs::write(&path, bundle).unwrap();
    let mut command = Command::new("python3");
    command.arg("-B").arg(folder().join("verify.py")).arg(&path);
    for (at, key) in trust.keys.iter().enumerate() {
        // The one form and the other.
        let text = if at % 2 == 0 { key.to_pem() } else { key.to_line() };
        let path = dir.path().join(format!("{at}.pem"));
        std::fs::write(&path, text).unwrap();
        command.arg("--key").arg(path);
    }
    if let Some(known) = &trust.known {
        let path = dir.path().join("known.note");
        // What is known was checked when it was taken; here the text counts.
        std::fs::write(&path, known.sign(&[&crate::world::key(1)]).unwrap()).unwrap();
        command.arg("--known").arg(path);
    }
    let output = command.output().expect("python3 runs; `deploy/packages test` installs it");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.is_empty(), "verify.py failed by itself: {errors}");
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap().trim_end().to_owned())
}

/// What it says of a bundle after each of these changes of a byte (place, value), in one process.
pub(crate) fn changes(bundle: &[u8], trust: &Trust, changes: &[(usize, u8)]) -> Vec<String> {
    const LOOP: &str = "
import sys
sys.path.insert(0, sys.argv[1])
import verify, tlog
from bundle import Wrong
data, keys = bytearray(open(sys.argv[2], 'rb').read()), [tlog.public(open(name).read()) for name in sys.argv[3:]]
for change in sys.stdin:
    at, value = map(int, change.split())
    old, data[at] = data[at], value
    try: print(verify.verify(bytes(data), keys, None))
    except Wrong as wrong: print(wrong.args[0])
    data[at] = old
";
    let dir = tempfile::tempdir().unwrap();
    let (path, key) = (dir.path().join("bundle.tar"), dir.path().join("key.pem"));
    std::fs::write(&path, bundle).unwrap();
    std::fs::write(&key, trust.keys[0].to_pem()).unwrap();
    let input: String = changes.iter().map(|(at, value)| format!("{at} {value}\n")).collect();
    let list = dir.path().join("changes");
    std::fs::File::create(&list).unwrap().write_all(input.as_bytes()).unwrap();
    let output = Command::new("python3")
        .args(["-B", "-c", LOOP])
        .arg(folder())
        .args([&path, &key])
        .stdin(Stdio::from(std::fs::File::open(&list).unwrap()))
        .output()
        .expect("python3 runs; `deploy/packages test` installs it");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "verify.py failed by itself: {errors}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// What both say: the exit code, and the code with the place; empty where all is well.
#[track_caller]
pub(crate) fn both(bundle: &[u8], trust: &Trust) -> (u8, String) {
    let verdict = verify_bundle(bundle, trust).unwrap();
    let line = verdict.finding.as_ref().map(ToString::to_string).unwrap_or_default();
    let (exit, said) = run(bundle, trust);
    let said = if said.starts_with("ok: ") { String::new() } else { said };
    assert_eq!((exit, said.as_str()), (i32::from(verdict.exit), line.as_str()), "the two verifiers differ");
    (verdict.exit, line)
}
