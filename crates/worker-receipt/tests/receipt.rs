//! The step on a real PostgreSQL and a real directory: the kit, and what only this step promises.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use deadpool_postgres::{Manager, Pool, Runtime};
use tempfile::TempDir;
use tenantry_contracts::catalogue::Retention;
use tenantry_contracts::receipt::{Receipt, TenantReceipt};
use tenantry_contracts::steps::identity::{Namespace, Partition};
use tenantry_contracts::steps::receipt::{Input, Output};
use tenantry_contracts::steps::{config, identity, quota, validate};
use tenantry_contracts::{Class, Code, Environment};
use tenantry_step::kit::{self, Failure, NOW, Tenant, World};
use tenantry_step::{Observed, Step, Trouble};
use tenantry_testkit::postgres::Postgres;
use tenantry_worker_receipt::{POINTS, Receipts, Signer, prepare, public_key, read, verify};
use tokio_postgres::NoTls;

const CREATOR: &str = "ada.canary@example.com";
const VALIDATOR: &str = "eve.canary@example.com";
/// The kit's time, as receipts write it.
const SEALED: &str = "2027-01-15T08:00:00Z";

struct Sealed {
    pool: Pool,
    step: Receipts,
    dir: TempDir,
}

impl Sealed {
    async fn new(prefix: &str) -> Self {
        let url = Postgres::shared().await.fresh_database(prefix).await;
        let manager = Manager::new(url.parse().unwrap(), NoTls);
        let pool = Pool::builder(manager).max_size(8).runtime(Runtime::Tokio1).build().unwrap();
        prepare(&pool).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let step = Receipts::new(pool.clone(), dir.path().join("receipts"), signer(1));
        Self { pool, step, dir }
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("receipts")
    }

    /// The same provider under another key.
    fn signed_by(&self, key: u8) -> Receipts {
        Receipts::new(self.pool.clone(), self.root(), signer(key))
    }

    fn envelope(&self, output: &Output, at: usize) -> Vec<u8> {
        read(&self.root(), &output.receipts[at].digest).unwrap().unwrap()
    }

    fn receipt(&self, output: &Output, at: usize) -> Receipt {
        let key = public_key(&self.root(), &output.key).unwrap().unwrap();
        verify(&self.envelope(output, at), &key).unwrap()
    }

    fn place(&self, output: &Output, at: usize) -> PathBuf {
        let digest = &output.receipts[at].digest;
        self.root().join(&digest[..2]).join(format!("{digest}.json"))
    }

    async fn texts(&self, sql: &str) -> Vec<String> {
        let rows = self.pool.get().await.unwrap().query(sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    async fn dump(&self) -> String {
        let tables = "select format('select t::text from %s t', oid::regclass) from pg_class
            where relkind = 'r' and relnamespace::regnamespace::text not in ('pg_catalog', 'information_schema')";
        let mut everything = String::new();
        for sql in self.texts(tables).await {
            everything += &self.texts(&sql).await.join("\n");
        }
        everything
    }
}

fn signer(key: u8) -> Signer {
    Signer::generate([key; 32]).1
}

/// The number that people would call the tenant by.
fn display(tenant: &Tenant) -> String {
    format!("TEN-{:03}", tenant.id.0.as_u128() % 1_000_000_000_000)
}

/// Every file below, fences too.
fn files(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return vec![] };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// What was signed, read as a stranger to this crate would read it.
fn payload(envelope: &[u8]) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let envelope: serde_json::Value = serde_json::from_slice(envelope).unwrap();
    String::from_utf8(STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap()).unwrap()
}

impl World for Sealed {
    type Step = Receipts;
    const POINTS: &'static [&'static str] = POINTS;

    fn step(&self) -> &Receipts {
        &self.step
    }

    fn input(&self, tenant: &Tenant) -> Input {
        let id = tenant.id;
        let partition = |kind: &str| Partition {
            id: format!("part_{id}_{kind}"),
            name: kind.to_owned(),
            kind: kind.to_owned(),
        };
        let namespace = Namespace {
            id: format!("ns_{id}"),
            slug: format!("{}-prod", tenant.slug),
            environment: Environment::default(),
        };
        Input {
            identity: identity::Output {
                display: display(tenant),
                namespace,
                partitions: ["primary", "analytics", "audit"].map(partition).to_vec(),
            },
            quota: quota::Output {
                tier: "ENTERPRISE".to_owned(),
                requests_per_day: 10_000_000,
                seats: 250,
                storage_bytes: 500_000_000_000,
            },
            config: config::Output {
                digest: "c0".repeat(32),
                flags: BTreeMap::new(),
                integrations: vec![],
                customised: vec![],
                retention: Retention { operational_days: 30, security_days: 365, audit_days: 2555 },
                encryption: "standard".to_owned(),
            },
            template: validate::Template {
                name: "enterprise".to_owned(),
                version: "1.0.0".to_owned(),
                digest: "7e".repeat(32),
                tier: "ENTERPRISE".to_owned(),
                isolation: "schema".to_owned(),
            },
            seats: 250,
            storage_bytes: 500_000_000_000,
            decision: "decision-7".to_owned(),
            guard: "6a".repeat(32),
            actor_kind: "user".to_owned(),
            created_by: Some(tenant.seal("requested_by", CREATOR)),
            source: "https://crm.example.com".to_owned(),
            request: "7f9c2a".to_owned(),
            validated_by: Some(VALIDATOR.to_owned()),
            commitments: ["quota", "verify"].map(|row| (row.to_owned(), "6a".repeat(32))).into(),
        }
    }

    async fn remains(&self, tenant: &Tenant) -> Vec<String> {
        let (id, display) = (tenant.id.to_string(), display(tenant));
        let mut remains = Vec::new();
        for path in files(&self.root()) {
            let told = path.strip_prefix(self.root()).unwrap().display().to_string();
            let ours = match told.split_once('/').map_or("", |(folder, _)| folder) {
                ".fence" | "keys" => false,
                "" => told.contains(&tenant.id.simple()),
                _ => {
                    let text = payload(&std::fs::read(&path).unwrap());
                    text.contains(&id) || text.contains(&format!("\"{display}\""))
                }
            };
            remains.extend(ours.then_some(told));
        }
        remains.sort();
        let sql = format!("select digest || document::text from worker_receipt.record where tenant = '{id}'");
        remains.extend(self.texts(&sql).await);
        remains
    }

    async fn plant(&self, tenant: &Tenant) {
        let sql = format!(
            "insert into worker_receipt.record (tenant, owner, digest, document)
             values ('{}', 'somebody else', 'd', '{{}}')",
            tenant.id
        );
        self.pool.get().await.unwrap().batch_execute(&sql).await.unwrap();
    }

    async fn planted_stands(&self, tenant: &Tenant) -> bool {
        let sql = format!(
            "select owner || ' ' || document::text from worker_receipt.record where tenant = '{}'",
            tenant.id
        );
        self.texts(&sql).await == ["somebody else {}"] && self.remains(tenant).await.len() == 1
    }
}

fn refusal<T>(answer: Result<T, Trouble>) -> (Code, Class) {
    match answer.err().unwrap() {
        Trouble::No { code, class, .. } => (code, class),
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_step_passes_the_kit() -> Result<(), Failure> {
    kit::all(&Sealed::new("kit").await).await
}

#[tokio::test]
async fn three_receipts_are_sealed_in_order_and_say_what_was_made() {
    let world = Sealed::new("three").await;
    let tenant = Tenant::fresh();
    let input = world.input(&tenant);
    let output = world.step.execute(&tenant.cx(10), &input).await.unwrap();
    let actions: Vec<_> = output.receipts.iter().map(|sealing| sealing.action.as_str()).collect();
    assert_eq!(actions, ["TENANT_QUOTA_ASSIGNED", "TENANT_PROVISIONED", "TENANT_RECEIPT"]);
    for (at, sealing) in output.receipts.iter().enumerate() {
        assert_eq!(sealing.id, format!("prov_{}", &sealing.digest[..24]));
        assert_eq!(world.receipt(&output, at).action(), sealing.action);
        let mode = std::fs::metadata(world.place(&output, at)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o400);
    }

    let id = tenant.id;
    let slug = &tenant.slug;
    let environment = Environment::default();
    let quota = format!(
        r#"{{"actionType":"TENANT_QUOTA_ASSIGNED","tenantId":"{id}","actorType":"user","quota":{{"tier":"ENTERPRISE","requestsPerDay":10000000,"seats":250,"storageBytes":500000000000}},"plan":"ENTERPRISE","environment":"{environment}","correlationId":"https://crm.example.com#7f9c2a","requestId":"7f9c2a","commitments":{{"quota":"{}"}},"timestamp":"{SEALED}"}}"#,
        "6a".repeat(32)
    );
    assert_eq!(payload(&world.envelope(&output, 0)), quota);
    let provisioned = format!(
        r#"{{"actionType":"TENANT_PROVISIONED","tenantId":"{id}","actorType":"user","namespace":{{"id":"ns_{id}","slug":"{slug}-prod","environment":"{environment}"}},"partitions":[{{"id":"part_{id}_primary","name":"primary","type":"primary"}},{{"id":"part_{id}_analytics","name":"analytics","type":"analytics"}},{{"id":"part_{id}_audit","name":"audit","type":"audit"}}],"plan":"ENTERPRISE","environment":"{environment}","seats":250,"storageBytes":500000000000,"template":{{"name":"enterprise","version":"1.0.0","digest":"{}"}},"config":"{}","policyDecision":"decision-7","guard":"{}","quotaReceipt":"{}","correlationId":"https://crm.example.com#7f9c2a","requestId":"7f9c2a","commitments":{{"quota":"{}","verify":"{}"}},"timestamp":"{SEALED}"}}"#,
        "7e".repeat(32),
        "c0".repeat(32),
        "6a".repeat(32),
        output.receipts[0].digest,
        "6a".repeat(32),
        "6a".repeat(32),
    );
    assert_eq!(payload(&world.envelope(&output, 1)), provisioned);
    let plain = format!(
        r#"{{"tenant_id":"{}","status":"ACTIVE","created_by":"{CREATOR}","validated_by":"{VALIDATOR}","timestamp":"{SEALED}"}}"#,
        display(&tenant)
    );
    assert_eq!(payload(&world.envelope(&output, 2)), plain);
}

#[tokio::test]
async fn without_people_the_receipt_names_the_source_and_the_guard() {
    let world = Sealed::new("nobody").await;
    let tenant = Tenant::fresh();
    let input = Input { created_by: None, validated_by: None, ..world.input(&tenant) };
    let output = world.step.execute(&tenant.cx(10), &input).await.unwrap();
    let Receipt::Tenant(TenantReceipt { created_by, validated_by, .. }) = world.receipt(&output, 2) else {
        panic!("the third receipt has seed 000's form");
    };
    assert_eq!((created_by.as_str(), validated_by.as_str()), ("https://crm.example.com", "isolation-guard"));
}

#[tokio::test]
async fn receipts_keep_to_their_schemas_and_so_does_the_seeds_sample() {
    let schema = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let quota = schema(include_str!("../../../schemas/receipt.quota.schema.json"));
    let provisioned = schema(include_str!("../../../schemas/receipt.provisioned.schema.json"));
    let plain = schema(include_str!("../../../schemas/receipt.v1.schema.json"));
    let world = Sealed::new("schemas").await;
    let tenant = Tenant::fresh();
    let output = world.step.execute(&tenant.cx(10), &world.input(&tenant)).await.unwrap();
    for (at, schema) in [&quota, &provisioned, &plain].into_iter().enumerate() {
        let receipt = serde_json::from_str(&payload(&world.envelope(&output, at))).unwrap();
        let validator = jsonschema::draft202012::new(schema).unwrap();
        let errors: Vec<_> = validator.iter_errors(&receipt).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}");
    }

    let sample: serde_json::Value = serde_json::from_str(
        r#"{
  "tenant_id": "TEN-001",
  "status": "ACTIVE",
  "created_by": "platform_admin@platform.com",
  "validated_by": "security_admin@platform.com",
  "timestamp": "2025-09-29T10:30:00Z"
}"#,
    )
    .unwrap();
    assert!(jsonschema::draft202012::is_valid(&plain, &sample));
    for (member, value) in
        [("extra", "x"), ("status", "active"), ("tenant_id", "001"), ("timestamp", "today")]
    {
        let mut other = sample.clone();
        other[member] = value.into();
        assert!(!jsonschema::draft202012::is_valid(&plain, &other), "{member}");
    }
    for member in ["tenant_id", "status", "created_by", "validated_by", "timestamp"] {
        let mut other = sample.clone();
        other.as_object_mut().unwrap().remove(member);
        assert!(!jsonschema::draft202012::is_valid(&plain, &other), "without {member}");
    }
}

#[tokio::test]
async fn a_flipped_bit_anywhere_in_an_envelope_is_noticed_and_so_is_another_key() {
    let world = Sealed::new("flip").await;
    let tenant = Tenant::fresh();
    let output = world.step.execute(&tenant.cx(10), &world.input(&tenant)).await.unwrap();
    let key = signer(1).public();
    let envelope = world.envelope(&output, 2);
    assert!(verify(&envelope, &key).is_ok());
    for at in 0..envelope.len() {
        let mut other = envelope.clone();
        other[at] ^= 1 << (at % 8);
        let refusal = verify(&other, &key).unwrap_err();
        assert_eq!(refusal.code, Code::ReceiptInvalid, "byte {at}");
    }
    let refusal = verify(&envelope, &signer(2).public()).unwrap_err();
    assert_eq!(refusal.pointer.as_deref(), Some("/signatures/0/keyid"));
    assert!(verify(b"{}", &key).is_err() && verify(b"", &key).is_err());
}

/// OpenSSL knows Ed25519 and nothing of ours: what it checks is what DSSE says is signed.
#[tokio::test]
async fn another_tool_that_only_knows_dsse_verifies_a_receipt() {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let world = Sealed::new("second").await;
    let tenant = Tenant::fresh();
    let output = world.step.execute(&tenant.cx(10), &world.input(&tenant)).await.unwrap();
    let envelope = world.envelope(&output, 1);
    let text = payload(&envelope);
    let kind = "application/vnd.tenantry.receipt+json";
    let envelope: serde_json::Value = serde_json::from_slice(&envelope).unwrap();
    assert_eq!(envelope["payloadType"], kind);
    let sig = STANDARD.decode(envelope["signatures"][0]["sig"].as_str().unwrap()).unwrap();
    let (message, signature) = (world.dir.path().join("message"), world.dir.path().join("signature"));
    std::fs::write(&message, format!("DSSEv1 {} {kind} {} {text}", kind.len(), text.len())).unwrap();
    std::fs::write(&signature, sig).unwrap();
    let key = world.root().join(format!("keys/{}.pub.pem", output.key));
    let verified = || {
        let mut openssl = std::process::Command::new("openssl");
        openssl.args(["pkeyutl", "-verify", "-pubin", "-rawin", "-inkey"]).arg(&key);
        openssl.arg("-in").arg(&message).arg("-sigfile").arg(&signature);
        openssl.output().expect("openssl is installed: apt-get install openssl").status.success()
    };
    assert!(verified());
    std::fs::write(&message, "DSSEv1 something else").unwrap();
    assert!(!verified());
}

#[tokio::test]
async fn who_asked_and_who_validated_stand_in_the_receipt_and_nowhere_else() {
    let world = Sealed::new("canary").await;
    let tenant = Tenant::fresh();
    let output = world.step.execute(&tenant.cx(10), &world.input(&tenant)).await.unwrap();
    assert!(payload(&world.envelope(&output, 2)).contains(CREATOR));
    let dump = world.dump().await;
    assert!(dump.contains(&tenant.id.to_string()) && dump.contains(&output.receipts[2].digest));
    let said = serde_json::to_string(&output).unwrap();
    for clear in [CREATOR, VALIDATOR, &hex::encode(CREATOR), &hex::encode(VALIDATOR)] {
        assert!(!dump.contains(clear) && !said.contains(clear), "{clear}");
    }
    for at in [0, 1] {
        assert!(!payload(&world.envelope(&output, at)).contains("canary"));
    }
}

#[tokio::test]
async fn a_repeat_makes_missing_files_again_byte_for_byte_at_any_later_time() {
    let world = Sealed::new("again").await;
    let tenant = Tenant::fresh();
    let input = world.input(&tenant);
    let output = world.step.execute(&tenant.cx(10), &input).await.unwrap();
    let before = world.envelope(&output, 2);
    std::fs::remove_file(world.place(&output, 2)).unwrap();
    let seen = world.step.observe(&tenant.cx(11), &input).await.unwrap();
    let Observed::Ours { differences } = seen else { panic!("{seen:?}") };
    assert_eq!(differences.iter().map(|one| one.path.as_str()).collect::<Vec<_>>(), ["/receipts/2"]);
    assert_eq!(world.step.foresee(&tenant.cx(11), &input).await.unwrap(), None);

    let mut later = tenant.cx(11);
    later.now = NOW.plus(86_400_000);
    later.deadline = later.now.plus(30_000);
    assert_eq!(world.step.execute(&later, &input).await.unwrap(), output);
    assert_eq!(world.envelope(&output, 2), before);
    assert_eq!(world.step.foresee(&tenant.cx(12), &input).await.unwrap(), Some(output));
}

#[tokio::test]
async fn another_file_under_a_receipts_digest_is_a_conflict_and_stays() {
    let world = Sealed::new("conflict").await;
    let tenant = Tenant::fresh();
    let input = world.input(&tenant);
    let output = world.step.execute(&tenant.cx(10), &input).await.unwrap();
    let place = world.place(&output, 1);
    std::fs::remove_file(&place).unwrap();
    // A sound envelope of the same key, and not this receipt's.
    std::fs::write(&place, world.envelope(&output, 2)).unwrap();
    let no = world.step.execute(&tenant.cx(11), &input).await;
    assert_eq!(refusal(no), (Code::OwnedByOther, Class::Conflict));
    world.step.compensate(&tenant.cx(20), &input, Some(&output)).await.unwrap();
    assert!(place.exists());
    assert!(!world.place(&output, 0).exists() && !world.place(&output, 2).exists());
}

#[tokio::test]
async fn a_changed_input_is_sealed_anew_and_the_earlier_receipts_stay_until_all_are_withdrawn() {
    let world = Sealed::new("changed").await;
    let tenant = Tenant::fresh();
    let input = world.input(&tenant);
    let first = world.step.execute(&tenant.cx(10), &input).await.unwrap();
    let changed = Input { seats: 300, ..world.input(&tenant) };
    let second = world.step.execute(&tenant.cx(11), &changed).await.unwrap();
    assert_ne!(first.receipts[1].digest, second.receipts[1].digest);
    for (output, at) in [(&first, 1), (&second, 1), (&second, 2)] {
        world.receipt(output, at);
    }
    world.step.compensate(&tenant.cx(20), &changed, None).await.unwrap();
    assert!(world.remains(&tenant).await.is_empty());
}

#[tokio::test]
async fn receipts_of_an_earlier_key_stand_and_are_never_signed_again() {
    let world = Sealed::new("rotated").await;
    let tenant = Tenant::fresh();
    let input = world.input(&tenant);
    let output = world.step.execute(&tenant.cx(10), &input).await.unwrap();
    let rotated = world.signed_by(2);
    assert_eq!(rotated.execute(&tenant.cx(11), &input).await.unwrap(), output);
    assert_eq!(
        rotated.observe(&tenant.cx(11), &input).await.unwrap(),
        Observed::Ours { differences: vec![] }
    );
    std::fs::remove_file(world.place(&output, 0)).unwrap();
    let no = rotated.execute(&tenant.cx(12), &input).await;
    assert_eq!(refusal(no), (Code::Misconfigured, Class::Config));
    // Its public key lies beside the other one, for those who verify later.
    assert!(public_key(&world.root(), signer(2).id()).unwrap().is_some());
    rotated.compensate(&tenant.cx(20), &input, None).await.unwrap();
    assert!(world.remains(&tenant).await.is_empty());
}

#[tokio::test]
async fn an_unknown_kind_of_actor_is_refused_with_its_place_and_seals_nothing() {
    let world = Sealed::new("actor").await;
    let tenant = Tenant::fresh();
    let input = Input { actor_kind: "robot".to_owned(), ..world.input(&tenant) };
    let no = world.step.execute(&tenant.cx(10), &input).await;
    assert_eq!(refusal(no), (Code::FieldInvalid, Class::Validation));
    assert!(world.remains(&tenant).await.is_empty());
}

#[test]
fn a_key_goes_through_its_file_and_what_is_no_key_is_refused_without_repeating_it() {
    let (pem, signer) = Signer::generate([7; 32]);
    let again = Signer::from_pem(&pem).unwrap();
    assert_eq!((again.id(), again.public()), (signer.id(), signer.public()));
    assert_eq!(signer.id().len(), 32);
    let broken = pem.replace("PRIVATE", "PUBLIC");
    let no = Signer::from_pem(&broken).err().unwrap();
    assert!(!no.to_string().contains(pem.lines().nth(1).unwrap()), "{no}");
    assert_eq!(refusal(Err::<(), _>(no)), (Code::Misconfigured, Class::Config));
}

#[test]
fn only_a_digest_leads_to_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let traversal = format!("../{}", "a".repeat(61));
    for other in ["", "ab", traversal.as_str(), &"é".repeat(32)] {
        assert_eq!(read(dir.path(), other).unwrap(), None);
    }
    assert!(public_key(dir.path(), "../../etc/passwd").unwrap().is_none());
}
