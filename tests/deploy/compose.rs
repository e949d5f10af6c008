//! docker-compose.yml, what it mounts, and what Prometheus scrapes of it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use crate::program::{run, subcommand, variables, variables_of_people, workers};
use crate::{is_executable, read, top};

/// Where a container of ours sees its secrets.
const SECRETS: &str = "/run/secrets/";

#[derive(Debug, Deserialize)]
struct Compose {
    services: BTreeMap<String, Service>,
    secrets: BTreeMap<String, Secret>,
    volumes: BTreeMap<String, Option<Value>>,
}

#[derive(Debug, Deserialize)]
struct Secret {
    file: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Service {
    image: String,
    build: Option<Value>,
    command: Vec<String>,
    environment: BTreeMap<String, String>,
    secrets: Vec<String>,
    volumes: Vec<String>,
    depends_on: BTreeMap<String, Value>,
    healthcheck: Option<Value>,
    profiles: Vec<String>,
    restart: Option<String>,
    stop_grace_period: Option<String>,
    user: Option<String>,
    read_only: bool,
    security_opt: Vec<String>,
    deploy: Option<Value>,
}

impl Service {
    /// Whether it runs our program.
    fn is_ours(&self) -> bool {
        self.image.starts_with("tenantry:")
    }

    /// Whether it runs for good.
    fn serves(&self) -> bool {
        self.profiles.is_empty() && !(self.is_ours() && self.command[0] != "serve")
    }

    /// The worker that it is.
    fn worker(&self) -> Option<&str> {
        let serves = self.is_ours() && self.command.starts_with(&["serve".into(), "worker".into()]);
        serves.then(|| self.command[2].as_str())
    }
}

fn compose() -> Compose {
    serde_saphyr::from_str(&read("docker-compose.yml")).expect("docker-compose.yml is as this test reads it")
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The schema of the Compose Specification; see deploy/compose/NOTICE.
fn schema() -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(&read("deploy/compose/compose-spec.schema.json")).expect("JSON");
    jsonschema::draft202012::new(&schema).expect("a schema")
}

#[test]
fn the_compose_file_holds_against_the_compose_specification() {
    let schema = schema();
    let mut document = yaml("docker-compose.yml");
    let faults: Vec<_> =
        schema.iter_errors(&document).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    // The schema bites.
    document["services"]["kafka"]["imagine"] = "apache/kafka:4".into();
    assert!(!schema.is_valid(&document), "an unknown key of a service passes");
}

#[test]
fn every_worker_has_a_service_of_its_own() {
    let compose = compose();
    let mut served = BTreeSet::new();
    let mut members = BTreeSet::new();
    for (name, service) in compose.services.iter().filter(|(_, service)| service.is_ours()) {
        if let Some(worker) = service.worker() {
            assert_eq!(*name, format!("worker-{worker}"));
            served.insert(worker.to_owned());
        }
        // The signer is a member of no group.
        if service.serves() && service.command != ["serve", "signer"] {
            let flag = service.command.iter().skip_while(|word| *word != "--member").nth(1);
            let member = flag.or_else(|| service.environment.get("TENANTRY_MEMBER"));
            let member = member.unwrap_or_else(|| panic!("{name} has no static member id"));
            assert!(
                members.insert(member.clone()),
                "two services are the member {member}: one fences the other"
            );
        }
    }
    assert_eq!(served, workers());
}

#[test]
fn every_variable_is_one_that_the_service_s_command_reads() {
    let compose = compose();
    for (name, service) in compose.services.iter().filter(|(_, service)| service.is_ours()) {
        let known = if service.profiles.is_empty() {
            variables(&subcommand(&service.command))
        } else {
            variables_of_people()
        };
        for variable in service.environment.keys() {
            assert!(known.contains(variable), "{name} sets {variable}, which its command does not read");
        }
    }
}

#[test]
fn the_program_takes_every_command_line_as_it_stands() {
    let compose = compose();
    for (name, service) in compose.services.iter().filter(|(_, service)| service.is_ours()) {
        let environment = service.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let line = service.command.iter().map(String::as_str);
        match service.command[0].as_str() {
            "serve" => {
                // The master key is read even here.
                let key = tempfile::NamedTempFile::new().expect("a file");
                std::fs::write(key.path(), "00".repeat(32)).expect("a key");
                let environment = environment.map(|(name, value)| match name {
                    "TENANTRY_DATABASE_URL_FILE"
                    | "TENANTRY_TENANTS_URL_FILE"
                    | "TENANTRY_MASTER_KEY_FILE" => (name, key.path().to_str().expect("a path")),
                    _ => (name, value),
                });
                let output = run(line.chain(["--print-config"]), environment);
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                assert!(output.status.success(), "{name}: {said}");
                let shown: Value = serde_json::from_slice(&output.stdout).expect("settings as JSON");
                assert_eq!(shown["http"], "0.0.0.0:9464", "{name}");
                assert_eq!(shown["brokers"], "kafka:9092", "{name}");
                assert!(shown["member"].is_string() || shown["signing"].is_object(), "{name}");
            }
            // Nothing of theirs can be tried without servers but that the words are known.
            "migrate" | "topics" => {
                let output = run(line.chain(["--help"]), environment);
                assert!(output.status.success(), "{name}");
            }
            "--help" => assert!(!service.profiles.is_empty(), "{name} runs at every `up` and does nothing"),
            other => panic!("{name} runs {other}"),
        }
    }
}

#[test]
fn every_file_secret_and_volume_that_is_named_is_there() {
    let compose = compose();
    let made = read("deploy/compose/make-secrets");
    for (name, secret) in &compose.secrets {
        assert_eq!(secret.file, format!("deploy/compose/secrets/{name}"));
        assert!(made.contains(&format!("\nkeep {name} ")), "make-secrets does not make {name}");
    }
    for (name, service) in &compose.services {
        for secret in &service.secrets {
            assert!(compose.secrets.contains_key(secret), "{name} asks for the secret {secret}");
        }
        for (variable, value) in &service.environment {
            if let Some(secret) = value.strip_prefix(SECRETS) {
                assert!(
                    service.secrets.iter().any(|has| has == secret),
                    "{name} lacks {secret}, which {variable} names"
                );
            }
        }
        for volume in &service.volumes {
            let from = volume.split(':').next().expect("source:target");
            match from.strip_prefix("./") {
                Some(file) => assert!(top(file).is_file(), "{name} mounts {file}"),
                None => assert!(compose.volumes.contains_key(from), "{name} mounts the volume {from}"),
            }
        }
        for other in service.depends_on.keys() {
            assert!(compose.services.contains_key(other), "{name} waits for {other}");
        }
        if let Some(build) = &service.build {
            assert!(top(build["dockerfile"].as_str().expect("a Dockerfile")).is_file(), "{name}");
        }
    }
    for script in ["deploy/compose/make-secrets", "deploy/compose/databases.sh"] {
        assert!(is_executable(script), "{script}");
    }
    assert!(
        read(".dockerignore").contains("/deploy/compose/secrets\n"),
        "secrets must not get into an image"
    );
    assert_eq!(read("deploy/compose/.gitignore"), "/secrets/\n");
}

#[test]
fn every_image_is_pinned_and_every_service_is_watched_and_bounded() {
    for (name, service) in &compose().services {
        let tag = service.image.rsplit_once(':').map_or("", |(_, tag)| tag);
        assert!(!tag.is_empty() && !tag.starts_with("latest"), "{name}: {} has no fixed tag", service.image);
        assert!(service.security_opt.iter().any(|option| option == "no-new-privileges:true"), "{name}");
        if service.is_ours() {
            assert_eq!(service.user.as_deref(), Some("10001:10001"), "{name}");
            assert!(service.read_only, "{name}");
        }
        if service.serves() {
            assert!(service.healthcheck.is_some(), "{name} has no health check");
            assert_eq!(service.restart.as_deref(), Some("unless-stopped"), "{name}");
            assert!(service.stop_grace_period.is_some(), "{name}");
            let limits = service.deploy.as_ref().map(|deploy| &deploy["resources"]["limits"]);
            let limits = limits.unwrap_or_else(|| panic!("{name} has no limits"));
            assert!(limits["memory"].is_string() && limits["cpus"].is_string(), "{name}");
        }
    }
}

#[test]
fn prometheus_scrapes_everything_that_serves() {
    let compose = compose();
    let serving: BTreeSet<_> = compose
        .services
        .iter()
        .filter(|(_, service)| service.is_ours() && service.serves())
        .map(|(name, _)| format!("{name}:9464"))
        .collect();
    let settings = yaml("deploy/prometheus/prometheus.yml");
    let jobs = settings["scrape_configs"].as_array().expect("jobs");
    let scraped: BTreeSet<_> = jobs
        .iter()
        .flat_map(|job| job["static_configs"].as_array().expect("targets"))
        .flat_map(|group| group["targets"].as_array().expect("targets"))
        .map(|target| target.as_str().expect("host:port").to_owned())
        .filter(|target| target != "localhost:9090")
        .collect();
    assert_eq!(scraped, serving);
}
