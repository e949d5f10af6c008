//! The checks that every worker's tests run, on the worker's real provider.
//!
//! A worker implements [`World`] in its tests and calls [`all`]. Each check makes tenants of its own, so checks can run
//! at once; each failure says which check, which point, and what was seen.

mod checks;
mod points;
mod tenant;

use std::fmt;
use std::future::Future;

use crate::{Answer, Observed, Step, Trouble};

pub use tenant::{NOW, Tenant};

/// What a worker's tests give the kit.
pub trait World: Sync {
    /// The step.
    type Step: Step;
    /// Every point that the step names.
    const POINTS: &'static [&'static str];
    /// Whether the provider checks tokens itself. Where it does not, `serve` alone refuses late questions.
    const FENCED: bool = true;

    /// The step on its provider.
    fn step(&self) -> &Self::Step;

    /// A sound input for this tenant, the same each time.
    fn input(&self, tenant: &Tenant) -> <Self::Step as Step>::Input;

    /// Makes what earlier steps of a plan would have made.
    fn before(&self, _tenant: &Tenant) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Everything of this tenant's that the step left at the provider, found by other means than the step's own.
    /// Fences stay and do not count.
    fn remains(&self, tenant: &Tenant) -> impl Future<Output = Vec<String>> + Send;

    /// Puts a thing that is not ours where the step would put its own.
    fn plant(&self, tenant: &Tenant) -> impl Future<Output = ()> + Send;

    /// Whether that thing is there, untouched.
    fn planted_stands(&self, tenant: &Tenant) -> impl Future<Output = bool> + Send;
}

/// Runs every check.
///
/// # Errors
/// The first check that fails.
pub async fn all<W: World>(world: &W) -> Result<(), Failure> {
    checks::do_twice(world).await?;
    checks::undo_twice(world).await?;
    checks::undo_what_never_was(world).await?;
    checks::late_do_refused(world).await?;
    checks::do_undo_do(world).await?;
    checks::side_by_side(world).await?;
    checks::foreign_is_left_alone(world).await?;
    checks::foresight(world).await?;
    points::every_point_is_declared(world).await?;
    points::failure_at_every_point(world).await?;
    points::crash_at_every_point(world).await?;
    points::zombie_at_every_point(world).await
}

pub use checks::{
    do_twice, do_undo_do, foreign_is_left_alone, foresight, late_do_refused, side_by_side, undo_twice,
    undo_what_never_was,
};
pub use points::{
    crash_at_every_point, every_point_is_declared, failure_at_every_point, zombie_at_every_point,
};

/// A check that failed.
pub struct Failure(String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Failure {
    /// The same as its display: test harnesses print errors so.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One run of a check: a tenant, and words for what goes wrong.
struct Run<'a, W: World> {
    world: &'a W,
    tenant: Tenant,
    check: &'static str,
    /// The point that was hit, where the check is about one.
    point: Option<&'static str>,
}

/// A question's try count before the kit gives up on a provider that shakes.
const TRIES: u32 = 100;

impl<'a, W: World> Run<'a, W> {
    async fn new(world: &'a W, check: &'static str) -> Self {
        let tenant = Tenant::fresh();
        world.before(&tenant).await;
        Self { world, tenant, check, point: None }
    }

    fn failure(&self, what: impl fmt::Display) -> Failure {
        let point = self.point.map(|point| format!(" at point {point}")).unwrap_or_default();
        Failure(format!("step kit, {} {}{point}: {what}", W::Step::NAME, self.check))
    }

    fn ensure(&self, holds: bool, what: impl fmt::Display) -> Result<(), Failure> {
        if holds { Ok(()) } else { Err(self.failure(what)) }
    }

    /// Executes; a provider that shakes is asked again, as `serve` does.
    async fn try_make(&self, token: i64) -> Answer<<W::Step as Step>::Output> {
        let input = self.world.input(&self.tenant);
        let mut tries = 0;
        loop {
            match self.world.step().execute(&self.tenant.cx(token), &input).await {
                Err(Trouble::Shaky(_) | Trouble::NotYet(_)) if tries < TRIES => tries += 1,
                answer => return answer,
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    async fn try_unmake(&self, token: i64, made: Option<&<W::Step as Step>::Output>) -> Answer<()> {
        let input = self.world.input(&self.tenant);
        let mut tries = 0;
        loop {
            match self.world.step().compensate(&self.tenant.cx(token), &input, made).await {
                Err(Trouble::Shaky(_) | Trouble::NotYet(_)) if tries < TRIES => tries += 1,
                answer => return answer,
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    async fn make(&self, token: i64) -> Result<<W::Step as Step>::Output, Failure> {
        let answer = self.try_make(token).await;
        answer.map_err(|trouble| self.failure(format!("execute with token {token} answered: {trouble}")))
    }

    async fn unmake(&self, token: i64, made: Option<&<W::Step as Step>::Output>) -> Result<(), Failure> {
        let answer = self.try_unmake(token, made).await;
        answer.map_err(|trouble| self.failure(format!("compensate with token {token} answered: {trouble}")))
    }

    async fn observe(&self) -> Result<Observed, Failure> {
        let input = self.world.input(&self.tenant);
        let answer = self.world.step().observe(&self.tenant.cx(1000), &input).await;
        answer.map_err(|trouble| self.failure(format!("observe answered: {trouble}")))
    }

    /// The thing is there, ours, and as asked for.
    async fn stands(&self) -> Result<(), Failure> {
        let seen = self.observe().await?;
        let sound = matches!(&seen, Observed::Ours { differences } if differences.is_empty());
        self.ensure(sound, format!("it should stand, and observe sees {seen:?}"))?;
        let remains = self.world.remains(&self.tenant).await;
        self.ensure(!remains.is_empty(), "it should stand, and the provider has nothing of it")
    }

    /// Nothing of it is there.
    async fn is_gone(&self) -> Result<(), Failure> {
        let seen = self.observe().await?;
        self.ensure(seen == Observed::Absent, format!("nothing should be left, and observe sees {seen:?}"))?;
        let remains = self.world.remains(&self.tenant).await;
        self.ensure(
            remains.is_empty(),
            format!("nothing should be left, and there is {}", remains.join(", ")),
        )
    }

    fn text(&self, output: &<W::Step as Step>::Output) -> Result<String, Failure> {
        serde_json::to_string(output)
            .map_err(|error| self.failure(format!("the output has no JSON form: {error}")))
    }
}
