//! The step on a real directory: the kit, and what only this step promises.
#![allow(missing_docs, clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tenantry_contracts::steps::storage::{Input, Output};
use tenantry_contracts::{Class, Code};
use tenantry_step::kit::{self, Failure, Tenant, World};
use tenantry_step::{Observed, Step, Trouble};
use tenantry_worker_storage::{POINTS, Storage, prepare, usage};

const REGION: &str = "eu-central-1";
const TAG: &str = ".tenantry.json";

struct Disk {
    dir: TempDir,
    step: Storage,
}

impl Disk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let step = Storage::new(dir.path().join("buckets"), None);
        Self { dir, step }
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("buckets")
    }

    fn bucket(&self, tenant: &Tenant) -> PathBuf {
        self.root().join(REGION).join(format!("t-{}", tenant.id))
    }

    /// A tenant whose bucket stands, with a file in it.
    async fn made(&self) -> (Tenant, Output) {
        let tenant = Tenant::fresh();
        let output = self.step.execute(&tenant.cx(10), &input(1000)).await.unwrap();
        fs::create_dir(self.bucket(&tenant).join("files")).unwrap();
        fs::write(self.bucket(&tenant).join("files/a"), [7; 600]).unwrap();
        (tenant, output)
    }

    /// The paths and values of the differences that are seen.
    async fn differences(&self, tenant: &Tenant, input: &Input) -> Vec<String> {
        let Observed::Ours { differences } = self.step.observe(&tenant.cx(1000), input).await.unwrap() else {
            panic!("nothing of ours")
        };
        let text = |d: &tenantry_step::Difference| format!("{} {} {}", d.path, d.want.text(), d.have.text());
        differences.iter().map(text).collect()
    }
}

fn input(quota_bytes: u64) -> Input {
    Input { region: REGION.to_owned(), quota_bytes }
}

/// Everything below, fences aside, with links as links.
fn below(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return vec![] };
    let mut all = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()).filter(|path| !path.ends_with(".fence")) {
        if path.symlink_metadata().unwrap().is_dir() {
            all.extend(below(&path));
        }
        all.push(path);
    }
    all
}

fn is_no(trouble: &Trouble, code: Code, class: Class, pointer: Option<&str>) -> bool {
    matches!(trouble, Trouble::No { code: a, class: b, pointer: at, .. } if (*a, *b, at.as_deref()) == (code, class, pointer))
}

impl World for Disk {
    type Step = Storage;
    const POINTS: &'static [&'static str] = POINTS;

    fn step(&self) -> &Storage {
        &self.step
    }

    fn input(&self, _: &Tenant) -> Input {
        input(5_000_000)
    }

    async fn remains(&self, tenant: &Tenant) -> Vec<String> {
        let paths = below(&self.root()).into_iter();
        let theirs = paths.filter(|path| path.to_str().unwrap().contains(&tenant.id.to_string()));
        let mut remains: Vec<_> = theirs
            .map(|path| format!("{} {:?}", path.display(), fs::read_to_string(&path).unwrap_or_default()))
            .collect();
        remains.sort();
        remains
    }

    async fn plant(&self, tenant: &Tenant) {
        fs::create_dir_all(self.bucket(tenant)).unwrap();
        fs::write(self.bucket(tenant).join("theirs"), "somebody else's").unwrap();
    }

    async fn planted_stands(&self, tenant: &Tenant) -> bool {
        self.remains(tenant).await.len() == 2
            && fs::read(self.bucket(tenant).join("theirs")).unwrap() == b"somebody else's"
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_step_passes_the_kit() -> Result<(), Failure> {
    let world = Disk::new();
    prepare(&world.root()).await.unwrap();
    kit::all(&world).await
}

#[tokio::test]
async fn a_bucket_is_the_tenants_own_directory_with_its_tag_and_for_nobody_else_to_read() {
    let world = Disk::new();
    let (tenant, output) = world.made().await;
    let bucket = format!("t-{}", tenant.id);
    assert_eq!(output, Output { bucket, region: REGION.to_owned(), quota_bytes: 1000 });
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let bucket = world.bucket(&tenant);
    for dir in [&world.root(), &world.root().join(REGION), &bucket] {
        assert_eq!(mode(dir), 0o700, "{}", dir.display());
    }
    assert_eq!(mode(&bucket.join(TAG)), 0o600);
    let tag = fs::read_to_string(bucket.join(TAG)).unwrap();
    let owner = tenant.cx(10).owner_tag();
    assert_eq!(tag, format!(r#"{{"owner":"{owner}","region":"{REGION}","quota_bytes":1000}}"#));
}

#[tokio::test]
async fn a_changed_quota_is_written_and_a_bucket_that_is_over_it_is_seen() {
    let world = Disk::new();
    let (tenant, _) = world.made().await;
    assert!(world.differences(&tenant, &input(1000)).await.is_empty());
    assert_eq!(world.differences(&tenant, &input(2000)).await, ["/quota_bytes 2000 1000"]);

    let smaller = world.step.execute(&tenant.cx(11), &input(500)).await.unwrap();
    assert_eq!(smaller.quota_bytes, 500);
    assert_eq!(world.differences(&tenant, &input(500)).await, ["/used_bytes 500 600"]);
    world.step.execute(&tenant.cx(12), &input(600)).await.unwrap();
    assert!(world.differences(&tenant, &input(600)).await.is_empty(), "full is not over");
    assert_eq!(fs::read(world.bucket(&tenant).join("files/a")).unwrap(), [7; 600]);
    let tag = fs::read_to_string(world.bucket(&tenant).join(TAG)).unwrap();
    assert!(tag.contains(&tenant.cx(10).owner_tag()), "still by the question that made it: {tag}");
    let late = world.step.execute(&tenant.cx(11), &input(500)).await;
    assert_eq!(late, Err(Trouble::Superseded));
    assert_eq!(world.differences(&tenant, &input(600)).await, [""; 0]);
}

#[tokio::test]
async fn usage_counts_files_and_not_the_tag_and_not_what_links_lead_to() {
    let world = Disk::new();
    let (tenant, _) = world.made().await;
    let outside = world.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("large"), [7; 5000]).unwrap();
    let bucket = world.bucket(&tenant);
    fs::write(bucket.join("files").join(TAG), [7; 50]).unwrap();
    symlink(&outside, bucket.join("x")).unwrap();
    let link = outside.as_os_str().len() as u64;
    let soon = || Instant::now() + Duration::from_secs(3600);
    assert_eq!(usage(&bucket, soon()).unwrap(), 600 + 50 + link);
    assert_eq!(usage(&bucket.join("nothing"), soon()).unwrap(), 0);
}

#[tokio::test]
async fn a_region_that_is_not_served_is_refused_before_anything_is_done() {
    let mut world = Disk::new();
    world.step = Storage::new(world.root(), Some(vec!["us-east-1".to_owned()]));
    let tenant = Tenant::fresh();
    let no = world.step.execute(&tenant.cx(10), &input(1)).await.unwrap_err();
    assert!(is_no(&no, Code::Misconfigured, Class::Config, Some("/region")), "{no}");
    assert!(no.to_string().contains("us-east-1"), "{no}");
    assert_eq!(world.step.foresee(&tenant.cx(10), &input(1)).await, Err(no));
    assert!(!world.root().exists());
    // What was refused can be undone, and is proved absent.
    world.step.compensate(&tenant.cx(20), &input(1), None).await.unwrap();
    assert_eq!(world.step.observe(&tenant.cx(21), &input(1)).await, Ok(Observed::Absent));
}

#[tokio::test]
async fn a_region_cannot_lead_out_of_the_root_nor_into_the_workers_own_directories() {
    let world = Disk::new();
    let long = "a".repeat(64);
    for region in ["", ".", "..", "../x", "/tmp", ".fence", "a/b", "EU", "a--b", "-a", "a\0", &long] {
        let input = Input { region: region.to_owned(), quota_bytes: 1 };
        let no = world.step.execute(&Tenant::fresh().cx(10), &input).await.unwrap_err();
        assert!(is_no(&no, Code::Misconfigured, Class::Config, Some("/region")), "{region}: {no}");
    }
    assert!(below(world.dir.path()).is_empty());
}

#[tokio::test]
async fn a_bucket_that_lies_in_another_region_is_not_made_twice_and_is_undone_where_it_lies() {
    let mut world = Disk::new();
    let (tenant, _) = world.made().await;
    let moved = Input { region: "us-east-1".to_owned(), quota_bytes: 1000 };
    let no = world.step.execute(&tenant.cx(11), &moved).await.unwrap_err();
    assert!(is_no(&no, Code::Misconfigured, Class::Conflict, Some("/region")), "{no}");
    assert_eq!(world.step.foresee(&tenant.cx(12), &moved).await, Err(no));
    assert_eq!(world.differences(&tenant, &moved).await, [r#"/region "us-east-1" "eu-central-1""#]);
    // Also after the worker stopped serving that region.
    world.step = Storage::new(world.root(), Some(vec![]));
    world.step.compensate(&tenant.cx(20), &moved, None).await.unwrap();
    assert!(world.remains(&tenant).await.is_empty());
}

#[tokio::test]
async fn a_link_under_the_buckets_name_is_foreign_even_where_it_leads_to_a_tag_of_ours() {
    let world = Disk::new();
    let (tenant, _) = world.made().await;
    let elsewhere = world.dir.path().join("elsewhere");
    fs::rename(world.bucket(&tenant), &elsewhere).unwrap();
    symlink(&elsewhere, world.bucket(&tenant)).unwrap();
    let before = below(world.dir.path());

    let foreseen = world.step.foresee(&tenant.cx(11), &input(1000)).await.unwrap_err();
    let made = world.step.execute(&tenant.cx(11), &input(500)).await.unwrap_err();
    let undone = world.step.compensate(&tenant.cx(20), &input(1000), None).await.unwrap_err();
    for no in [foreseen, made, undone] {
        assert!(is_no(&no, Code::OwnedByOther, Class::Conflict, None), "{no}");
    }
    let seen = world.step.observe(&tenant.cx(21), &input(1000)).await.unwrap();
    assert!(matches!(seen, Observed::Foreign { .. }), "{seen:?}");
    assert_eq!(below(world.dir.path()), before);
}

#[tokio::test]
async fn links_inside_a_bucket_lead_nowhere_while_it_is_changed_and_removed() {
    let world = Disk::new();
    let (tenant, _) = world.made().await;
    let outside = world.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("kept"), "kept").unwrap();
    let bucket = world.bucket(&tenant);
    symlink(&outside, bucket.join("dir")).unwrap();
    symlink(outside.join("kept"), bucket.join("file")).unwrap();
    world.step.execute(&tenant.cx(11), &input(500)).await.unwrap();
    world.step.compensate(&tenant.cx(20), &input(500), None).await.unwrap();
    assert!(world.remains(&tenant).await.is_empty());
    assert_eq!(fs::read(outside.join("kept")).unwrap(), b"kept");
}

#[tokio::test]
async fn a_tag_that_is_a_link_or_is_not_ours_or_no_tag_makes_a_bucket_foreign() {
    let world = Disk::new();
    let (neighbour, _) = world.made().await;
    let theirs = fs::read(world.bucket(&neighbour).join(TAG)).unwrap();
    for broken in ["link", "neighbour", "garbage", "missing", "directory", "huge"] {
        let (tenant, _) = world.made().await;
        let tag = world.bucket(&tenant).join(TAG);
        let mut ours = fs::read(&tag).unwrap();
        fs::remove_file(&tag).unwrap();
        let aside = world.dir.path().join(tenant.id.to_string());
        match broken {
            "link" => fs::write(&aside, &ours).and_then(|()| symlink(&aside, &tag)).unwrap(),
            "neighbour" => fs::write(&tag, &theirs).unwrap(),
            "garbage" => fs::write(&tag, "{").unwrap(),
            "directory" => fs::create_dir(&tag).unwrap(),
            "huge" => {
                ours.resize(20_000, b' ');
                fs::write(&tag, ours).unwrap();
            }
            _ => {}
        }
        let no = world.step.compensate(&tenant.cx(20), &input(1000), None).await.unwrap_err();
        assert!(is_no(&no, Code::OwnedByOther, Class::Conflict, None), "{broken}: {no}");
        assert_eq!(fs::read(world.bucket(&tenant).join("files/a")).unwrap(), [7; 600], "{broken}");
    }
}

#[tokio::test]
async fn what_a_crash_left_is_no_absence_and_the_next_question_takes_it_away() {
    let world = Disk::new();
    for undo in [false, true] {
        let (tenant, _) = world.made().await;
        let name = format!("t-{}", tenant.id);
        world.step.compensate(&tenant.cx(20), &input(1000), None).await.unwrap();
        // Died while it made, while it wrote a tag, and while it deleted: the tag went first.
        let region = world.root().join(REGION);
        fs::create_dir(region.join(".draft").join(&name)).unwrap();
        fs::write(region.join(".draft").join(format!("{name}.json")), "{").unwrap();
        fs::create_dir(region.join(".gone").join(&name)).unwrap();
        fs::write(region.join(".gone").join(&name).join("file"), "half deleted").unwrap();

        let seen = world.differences(&tenant, &input(1000)).await;
        assert_eq!(seen, ["/bucket true false", "/remnants false true"]);
        assert_eq!(world.remains(&tenant).await.len(), 4, "looking takes nothing away");
        if undo {
            world.step.compensate(&tenant.cx(21), &input(1000), None).await.unwrap();
            assert!(world.remains(&tenant).await.is_empty());
            let seen = world.step.observe(&tenant.cx(22), &input(1000)).await;
            assert_eq!(seen, Ok(Observed::Absent));
        } else {
            world.step.execute(&tenant.cx(30), &input(1000)).await.unwrap();
            assert!(world.differences(&tenant, &input(1000)).await.is_empty());
            assert_eq!(world.remains(&tenant).await.len(), 2, "a bucket and its tag");
        }
    }
}

#[tokio::test]
async fn a_long_deletion_is_not_yet_done_and_then_is() {
    let world = Disk::new();
    let (mut tenant, _) = world.made().await;
    for number in 0..3000 {
        fs::write(world.bucket(&tenant).join(format!("files/{number}")), "x").unwrap();
    }
    // Too short for any of it: each question leaves its work running.
    tenant.limit_ms = 1;
    for _ in 0..3 {
        let answer = world.step.compensate(&tenant.cx(20), &input(1000), None).await;
        assert!(matches!(answer, Ok(()) | Err(Trouble::NotYet(_) | Trouble::Shaky(_))), "{answer:?}");
    }
    tenant.limit_ms = 30_000;
    world.step.compensate(&tenant.cx(20), &input(1000), None).await.unwrap();
    assert!(world.remains(&tenant).await.is_empty());
}

#[tokio::test]
async fn a_root_that_cannot_be_used_is_said_at_start_and_is_a_matter_of_configuration() {
    let mut world = Disk::new();
    let file = world.dir.path().join("file");
    fs::write(&file, "").unwrap();
    world.step = Storage::new(file.clone(), None);
    let at_start = prepare(&file).await.unwrap_err();
    let asked = world.step.execute(&Tenant::fresh().cx(10), &input(1)).await.unwrap_err();
    for no in [at_start, asked] {
        assert!(is_no(&no, Code::Misconfigured, Class::Config, None), "{no}");
    }
    // A region that is a link would put buckets where nobody expects them.
    let world = Disk::new();
    prepare(&world.root()).await.unwrap();
    assert!(below(&world.root()).is_empty(), "the trial is taken away");
    assert_eq!(fs::read_dir(world.root().join(".fence")).unwrap().count(), 0);
    symlink("/tmp", world.root().join(REGION)).unwrap();
    let no = world.step.execute(&Tenant::fresh().cx(10), &input(1)).await.unwrap_err();
    assert!(is_no(&no, Code::Misconfigured, Class::Config, None), "{no}");
}
