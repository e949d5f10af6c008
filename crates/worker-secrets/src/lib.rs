//! Worker `secrets`: the tenant's own encryption keys, made, rotated and destroyed.
//!
//! Keys are kept wrapped: by the fleet's master key (`standard`), or by a key of the tenant's own that the master key
//! wraps (`enhanced`). No key leaves this worker but through [`Secrets::keys`]. A rotation adds a key and keeps the
//! older ones, since data is sealed with them; so there is no way back to a lower generation.

mod directory;
mod keys;
mod provider;

use std::path::{Path, PathBuf};

use tenantry_contracts::sealed::MasterKey;
use tenantry_contracts::steps::secrets::{CREATE, Input, Output};
use tenantry_contracts::{Class, Code, DataKey, StepName};
use tenantry_step::{Answer, Cx, Differences, Observed, Resource, Step, Trouble};

use directory::Directory;
use keys::{Keys, Level};
use provider::{Found, Provider};

/// The most generations that a tenant can have.
pub const MOST_GENERATIONS: u32 = 1000;

/// Where a test, a drill or the demo can break this step, in the order of the work.
pub const POINTS: &[&str] = &[
    "secrets.before-look",
    "secrets.before-write",
    "secrets.before-answer",
    "secrets.before-destroy",
    "secrets.before-erase",
    "secrets.after-destroy",
];

/// Step `secrets.create`.
pub struct Secrets {
    provider: Directory,
    master: MasterKey,
}

/// Makes the directory that key files lie in, with mode 0700, and tries to write there, so that a path that cannot be
/// used is said at start. Can be repeated and run at once.
///
/// # Errors
/// `misconfigured` where it cannot be made or written.
pub async fn prepare(root: &Path) -> Answer<()> {
    Directory::new(root).prepare().await
}

/// What is asked for, checked.
struct Wanted {
    level: Level,
    generation: u32,
}

impl Wanted {
    fn of(input: &Input) -> Answer<Self> {
        let no = |at: &str, message: String| {
            Err(Trouble::no_at(
                Code::Misconfigured,
                Class::Config,
                at,
                format!("{message}; correct the plan"),
            ))
        };
        let Some(level) = Level::read(&input.level) else {
            return no("/level", "expected standard or enhanced".to_owned());
        };
        if !(1..=MOST_GENERATIONS).contains(&input.generation) {
            return no("/generation", format!("expected 1 to {MOST_GENERATIONS}"));
        }
        Ok(Self { level, generation: input.generation })
    }

    /// Whether `keys` are what is asked for, or can become it.
    fn stands(&self, keys: &Keys) -> Answer<bool> {
        let have = keys.generation();
        if have > self.generation {
            let message = format!(
                "the newest key has generation {have}, and keys are never taken back: data may be sealed with them"
            );
            return Err(Trouble::no_at(Code::VersionStale, Class::Conflict, "/generation", message));
        }
        Ok(have == self.generation && keys.level == self.level)
    }

    fn output(&self, cx: &Cx, keys: &Keys) -> Output {
        Output {
            path: provider::path(cx),
            key: keys.newest_id().to_owned(),
            generation: self.generation,
            level: self.level.as_str().to_owned(),
        }
    }
}

impl Secrets {
    /// The step, with its key files in the directory `root`. `master` wraps them.
    pub fn new(root: impl Into<PathBuf>, master: MasterKey) -> Self {
        Self { provider: Directory::new(root), master }
    }

    /// The tenant's keys, the oldest first: the last one seals, all of them open. Empty where the tenant has none, or
    /// they were destroyed.
    ///
    /// # Errors
    /// `misconfigured` where they do not open with the master key or were altered; `owned_by_other` where the file is
    /// not ours.
    pub async fn keys(&self, cx: &Cx) -> Answer<Vec<DataKey>> {
        let found = self.provider.find(cx).await?;
        let keys = self.opened(cx, found)?;
        Ok(keys.map(Keys::into_keys).unwrap_or_default())
    }

    /// Opens what was found; `None` where nothing was.
    fn opened(&self, cx: &Cx, found: Found) -> Answer<Option<Keys>> {
        let Some(text) = found.ours_only()? else { return Ok(None) };
        Keys::open(cx, &self.master, &text).map(Some)
    }
}

impl Step for Secrets {
    const NAME: StepName = CREATE;
    type Input = Input;
    type Output = Output;

    fn resource(&self, cx: &Cx, _: &Input) -> Resource {
        Resource::of_tenant("secrets", cx)
    }

    async fn execute(&self, cx: &Cx, input: &Input) -> Answer<Output> {
        let wanted = Wanted::of(input)?;
        cx.point("secrets.before-look").await?;
        let (place, found) = self.provider.enter(cx).await?;
        let mut keys = self.opened(cx, found)?.unwrap_or_else(|| Keys::none(cx, wanted.level));
        if !wanted.stands(&keys)? {
            keys.extend(cx, wanted.level, wanted.generation);
            let text = keys.seal(cx, &self.master)?;
            cx.point("secrets.before-write").await?;
            self.provider.write(cx, &place, text).await?;
        }
        cx.point("secrets.before-answer").await?;
        Ok(wanted.output(cx, &keys))
    }

    async fn compensate(&self, cx: &Cx, _: &Input, _: Option<&Output>) -> Answer<()> {
        // Neither the input nor the master key is needed: keys that nobody can open any more are destroyed as well.
        cx.point("secrets.before-destroy").await?;
        let (place, found) = self.provider.enter(cx).await?;
        found.ours_only()?;
        self.provider.destroy(cx, &place).await?;
        cx.point("secrets.after-destroy").await
    }

    async fn observe(&self, cx: &Cx, input: &Input) -> Answer<Observed> {
        let found = self.provider.find(cx).await?;
        if let Some(hint) = found.foreign {
            return Ok(Observed::Foreign { hint });
        }
        if found.text.is_none() && !found.remnants {
            return Ok(Observed::Absent);
        }
        let wanted = Wanted::of(input)?;
        let mut differences = Differences::default();
        differences.note("/path", &true, &found.text.is_some());
        differences.note("/remnants", &false, &found.remnants);
        match found.text.map(|text| Keys::open(cx, &self.master, &text)) {
            Some(Ok(keys)) => {
                differences.note("/level", &wanted.level.as_str(), &keys.level.as_str());
                differences.note("/generation", &wanted.generation, &keys.generation());
            }
            Some(Err(Trouble::No { message, .. })) => differences.note("/key", &"opens", &message.as_str()),
            Some(Err(trouble)) => return Err(trouble),
            None => {}
        }
        Ok(differences.ours())
    }

    /// A key's id is known only where the key stands.
    async fn foresee(&self, cx: &Cx, input: &Input) -> Answer<Option<Output>> {
        let wanted = Wanted::of(input)?;
        let Some(keys) = self.opened(cx, self.provider.find(cx).await?)? else { return Ok(None) };
        wanted.stands(&keys)?;
        // Another level keeps the keys and their ids; another generation makes a key.
        Ok((keys.generation() == wanted.generation).then(|| wanted.output(cx, &keys)))
    }
}
