//! The image: what the Dockerfile copies is there, and its layout can be made without Docker.

use std::process::Command;

use tenantry_tests::harness::binary;

use crate::{is_executable, read, top};

/// The Dockerfile's instructions, with continued lines joined and comments left out.
fn instructions() -> Vec<String> {
    let text: Vec<_> =
        read("deploy/Dockerfile").lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    text.join("\n")
        .replace("\\\n", " ")
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_dockerfile_copies_only_what_is_there_and_what_is_not_ignored() {
    let ignored = read(".dockerignore");
    let copies: Vec<_> = instructions()
        .into_iter()
        .filter_map(|line| Some(line.strip_prefix("COPY ")?.to_owned()))
        .filter(|copy| !copy.starts_with("--from="))
        .collect();
    assert!(copies.len() > 5, "{copies:?}");
    for copy in copies {
        let words: Vec<_> = copy.split_whitespace().collect();
        for from in &words[..words.len() - 1] {
            assert!(top(from).exists(), "the Dockerfile copies {from}");
            assert!(!ignored.lines().any(|line| line == format!("/{from}")), "{from} is copied and ignored");
        }
    }
}

#[test]
fn the_dockerfile_copies_every_folder_that_the_build_reads() {
    let all = instructions();
    for folder in ["crates", "tests", "migrations", "schemas", "deploy/runbook", ".cargo", ".sqlx"] {
        assert!(all.iter().any(|line| line.starts_with(&format!("COPY {folder} "))), "{folder}");
    }
    let manifest = read("Cargo.toml");
    assert!(manifest.contains(r#"members = ["crates/*", "tests"]"#), "the Dockerfile must copy all members");
}

#[test]
fn the_image_runs_our_program_as_nobody_in_particular() {
    let all = instructions();
    let says = |line: &str| all.iter().any(|found| found == line);
    assert!(says("USER 10001:10001"));
    assert!(says(r#"ENTRYPOINT ["tenantry"]"#));
    assert!(says("EXPOSE 9464"));
    for line in all.iter().filter_map(|line| line.strip_prefix("FROM ")) {
        assert!(line.contains(':') && !line.contains(":latest"), "FROM {line} has no fixed tag");
    }
    // The worker `verify` refuses a tenant whose keys others could reach.
    let folders = all.iter().find(|line| line.starts_with("RUN install -d")).expect("the folders");
    assert!(folders.contains("-m 0700") && folders.contains("/var/lib/tenantry/secrets"), "{folders}");
}

#[test]
fn the_layout_holds_the_program_its_probe_its_licence_and_the_schemas() {
    let work = tempfile::tempdir().expect("a folder");
    let root = work.path().join("root");
    assert!(is_executable("deploy/image-layout") && is_executable("deploy/ready"));
    let made = Command::new(top("deploy/image-layout")).arg("make").arg(binary()).arg(&root).output();
    let made = made.expect("the script starts");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    for file in [
        "usr/share/doc/tenantry/LICENSE",
        "usr/share/tenantry/schemas/examples/request.admin.json",
        "usr/share/tenantry/schemas/templates/starter.json",
    ] {
        assert!(root.join(file).is_file(), "{file}");
    }
    let said = Command::new(root.join("usr/local/bin/tenantry")).arg("--version").env_clear().output();
    assert!(String::from_utf8_lossy(&said.expect("it starts").stdout).starts_with("tenantry "));
    // Into a folder that holds something already, nothing is laid.
    let again = Command::new(top("deploy/image-layout")).arg("make").arg(binary()).arg(&root).output();
    assert_eq!(again.expect("the script starts").status.code(), Some(2));
}

#[test]
fn the_probe_tells_ready_from_not_ready() {
    for (status, ready) in [("200 OK", true), ("503 Service Unavailable", false)] {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let answering = std::thread::spawn(move || {
            use std::io::{Read, Write};
            let (mut stream, _) = listener.accept().expect("the probe connects");
            // To the empty line: what stands unread when a socket is closed takes the answer with it.
            let mut asked = Vec::new();
            let mut byte = [0];
            while !asked.ends_with(b"\r\n\r\n") && stream.read(&mut byte).expect("a request") == 1 {
                asked.push(byte[0]);
            }
            let answer = format!("HTTP/1.0 {status}\r\n\r\n{{\"ready\":{ready}}}\n");
            stream.write_all(answer.as_bytes()).expect("it listens");
            String::from_utf8_lossy(&asked).into_owned()
        });
        let probe =
            Command::new(top("deploy/ready")).env("TENANTRY_HTTP", format!("0.0.0.0:{port}")).output();
        let probe = probe.expect("the probe starts");
        assert_eq!(probe.status.success(), ready, "{status}: {}", String::from_utf8_lossy(&probe.stderr));
        assert!(ready || String::from_utf8_lossy(&probe.stdout).contains("\"ready\":false"), "it says why");
        assert!(answering.join().expect("it answered").starts_with("GET /readyz HTTP/1.0\r\n"));
    }
}
