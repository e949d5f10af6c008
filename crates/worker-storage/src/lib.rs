//! Worker `storage`: a bucket of the tenant's own for its files, in the region that was asked for, with a quota.
//!
//! The bucket is named after the tenant id, so a tenant has one. It carries our owner tag and stands whole or not at
//! all. The quota is recorded with it and `observe` holds what is used against it; writes are not stopped here, that is
//! for whoever gives out the files.

mod directory;
mod provider;
mod usage;

use std::path::{Path, PathBuf};

use tenantry_contracts::steps::storage::{ALLOCATE, Input, Output};
use tenantry_contracts::{Class, Code, StepName};
use tenantry_step::{Answer, Cx, Differences, Observed, Resource, Step, Trouble};

use directory::Directory;
use provider::{Bucket, Found, Provider};

pub use usage::usage;

/// Where a test, a drill or the demo can break this step, in the order of the work.
pub const POINTS: &[&str] = &[
    "storage.before-allocate",
    "storage.before-publish",
    "storage.before-answer",
    "storage.before-remove",
    "storage.before-delete",
    "storage.after-remove",
];

/// Step `storage.allocate`.
pub struct Storage {
    provider: Directory,
    regions: Option<Vec<String>>,
}

/// Makes the directory that buckets lie in, with mode 0700, and tries to write there, so that a path that cannot be used
/// is said at start. Can be repeated and run at once.
///
/// # Errors
/// `misconfigured` where it cannot be made or written.
pub async fn prepare(root: &Path) -> Answer<()> {
    Directory::new(root).prepare().await
}

impl Storage {
    /// The step on the directory `root`. It serves these regions; without them, every region that can be the name of a
    /// directory.
    pub fn new(root: impl Into<PathBuf>, regions: Option<Vec<String>>) -> Self {
        Self { provider: Directory::new(root), regions }
    }

    fn check(&self, input: &Input) -> Answer<()> {
        let region = &input.region;
        let listed = self.regions.as_ref().is_none_or(|regions| regions.contains(region));
        if listed && directory::is_region(region) {
            return Ok(());
        }
        let served = match &self.regions {
            Some(regions) => format!("it serves {}", regions.join(", ")),
            None => "a region is 1 to 63 lower-case letters, digits and single hyphens".to_owned(),
        };
        let message = format!("this worker's storage does not serve the region; {served}");
        Err(Trouble::no_at(Code::Misconfigured, Class::Config, "/region", message))
    }
}

fn output(cx: &Cx, input: &Input) -> Output {
    Output { bucket: provider::bucket(cx), region: input.region.clone(), quota_bytes: input.quota_bytes }
}

fn wanted(input: &Input) -> Bucket {
    Bucket { region: input.region.clone(), quota_bytes: input.quota_bytes }
}

impl Step for Storage {
    const NAME: StepName = ALLOCATE;
    type Input = Input;
    type Output = Output;

    fn resource(&self, cx: &Cx, _: &Input) -> Resource {
        Resource::of_tenant("storage", cx)
    }

    async fn execute(&self, cx: &Cx, input: &Input) -> Answer<Output> {
        self.check(input)?;
        cx.point("storage.before-allocate").await?;
        self.provider.allocate(cx, wanted(input)).await?;
        cx.point("storage.before-answer").await?;
        Ok(output(cx, input))
    }

    async fn compensate(&self, cx: &Cx, _: &Input, _: Option<&Output>) -> Answer<()> {
        // Nothing of the input is needed: the bucket goes wherever it lies, also where its region is served no more.
        cx.point("storage.before-remove").await?;
        self.provider.remove(cx).await?;
        cx.point("storage.after-remove").await
    }

    async fn observe(&self, cx: &Cx, input: &Input) -> Answer<Observed> {
        let Found { bucket, foreign, remnants } = self.provider.find(cx).await?;
        if let Some(hint) = foreign {
            return Ok(Observed::Foreign { hint });
        }
        if bucket.is_none() && !remnants {
            return Ok(Observed::Absent);
        }
        let mut differences = Differences::default();
        differences.note("/bucket", &true, &bucket.is_some());
        differences.note("/remnants", &false, &remnants);
        if let Some(have) = bucket {
            differences.note("/region", &input.region, &have.region);
            differences.note("/quota_bytes", &input.quota_bytes, &have.quota_bytes);
            let used = self.provider.used(cx, have).await?;
            differences.note("/used_bytes", &used.min(input.quota_bytes), &used);
        }
        Ok(differences.ours())
    }

    async fn foresee(&self, cx: &Cx, input: &Input) -> Answer<Option<Output>> {
        self.check(input)?;
        self.provider.find(cx).await?.or_refuse(&wanted(input))?;
        Ok(Some(output(cx, input)))
    }
}
