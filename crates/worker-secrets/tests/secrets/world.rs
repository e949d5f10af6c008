//! The step on a directory of its own, and words for what it is asked.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;
use tenantry_contracts::sealed::{MasterKey, Place};
use tenantry_contracts::steps::secrets::{Input, Output};
use tenantry_contracts::{Class, Code, DataKey, Sealed};
use tenantry_step::kit::{Tenant, World};
use tenantry_step::{Answer, Observed, Step, Trouble};
use tenantry_worker_secrets::{POINTS, Secrets};

pub(crate) const MASTER: [u8; 32] = [7; 32];

pub(crate) struct Safe {
    pub(crate) dir: TempDir,
    pub(crate) step: Secrets,
    pub(crate) level: &'static str,
}

impl Safe {
    pub(crate) fn new(level: &'static str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let step = Secrets::new(dir.path().join("keys"), MasterKey::new(MASTER));
        Self { dir, step, level }
    }

    pub(crate) fn file(&self, tenant: &Tenant) -> PathBuf {
        self.dir.path().join(format!("keys/{}.keys", tenant.id))
    }

    pub(crate) fn text(&self, tenant: &Tenant) -> String {
        fs::read_to_string(self.file(tenant)).unwrap()
    }

    pub(crate) async fn ask(&self, tenant: &Tenant, token: i64, generation: u32) -> Answer<Output> {
        self.step.execute(&tenant.cx(token), &asked(self.level, generation)).await
    }

    pub(crate) async fn keys(&self, tenant: &Tenant) -> Vec<DataKey> {
        self.step.keys(&tenant.cx(1000)).await.unwrap()
    }

    /// The paths of the differences that are seen.
    pub(crate) async fn differences(&self, tenant: &Tenant, input: &Input) -> Vec<String> {
        let Observed::Ours { differences } = self.step.observe(&tenant.cx(1000), input).await.unwrap() else {
            panic!("nothing of ours")
        };
        differences.into_iter().map(|difference| difference.path).collect()
    }
}

pub(crate) fn asked(level: &str, generation: u32) -> Input {
    Input { level: level.to_owned(), generation }
}

pub(crate) fn place(tenant: &Tenant) -> Place<'_> {
    Place { fleet: &tenant.fleet, tenant: tenant.id, field: "a.file" }
}

pub(crate) fn seal(tenant: &Tenant, key: &DataKey) -> Sealed {
    key.seal(&place(tenant), "what the tenant wrote", [3; 12])
}

pub(crate) fn opens(tenant: &Tenant, key: &DataKey, sealed: &Sealed) -> bool {
    key.open(&place(tenant), sealed).is_ok()
}

pub(crate) fn is_no(trouble: &Trouble, code: Code, class: Class, pointer: Option<&str>) -> bool {
    matches!(trouble, Trouble::No { code: a, class: b, pointer: at, .. } if (*a, *b, at.as_deref()) == (code, class, pointer))
}

impl World for Safe {
    type Step = Secrets;
    const POINTS: &'static [&'static str] = POINTS;

    fn step(&self) -> &Secrets {
        &self.step
    }

    fn input(&self, _: &Tenant) -> Input {
        asked(self.level, 2)
    }

    async fn remains(&self, tenant: &Tenant) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.dir.path().join("keys")) else { return vec![] };
        let paths = entries.map(|entry| entry.unwrap().path());
        let theirs = paths.filter(|path| path.to_str().unwrap().contains(&tenant.id.to_string()));
        theirs.map(|path| format!("{} {}", path.display(), fs::read_to_string(&path).unwrap())).collect()
    }

    async fn plant(&self, tenant: &Tenant) {
        fs::create_dir_all(self.dir.path().join("keys")).unwrap();
        fs::write(self.file(tenant), "somebody else's").unwrap();
    }

    async fn planted_stands(&self, tenant: &Tenant) -> bool {
        self.remains(tenant).await.len() == 1 && self.text(tenant) == "somebody else's"
    }
}
