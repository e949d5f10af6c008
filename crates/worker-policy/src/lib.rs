//! Worker `policy`: whether this may be done at all, decided by policy files before anything else is done.
//!
//! Nothing gets past this step without a decision that says so: an engine that is down, undecided, broken or not
//! understood never allows. Each decision is logged with what the policies saw; one that allows stands as a record until
//! it is undone, and answers the same question with the same words even after the policies have changed.

mod decision;
mod embedded;
mod log;
mod opa;
mod provider;

use deadpool_postgres::Pool;
use tenantry_contracts::StepName;
use tenantry_contracts::steps::policy::{DECIDE, Input, Output};
use tenantry_step::shelf::Shelf;
use tenantry_step::{Answer, Cx, Observed, Resource, Step, Trouble};

use decision::{Question, Verdict};
pub use provider::{Engine, read_directory};

/// The worker's own schema in the tenants' database.
const SCHEMA: &str = "worker_policy";

/// Where a test, a drill or the demo can break this step, in the order of the work.
pub const POINTS: &[&str] = &[
    "policy.before-decision",
    "policy.before-record",
    "policy.before-answer",
    "policy.before-withdraw",
    "policy.after-withdraw",
];

/// Step `policy.decide`.
pub struct Policy {
    shelf: Shelf,
    engine: Engine,
}

/// Makes what the worker needs for itself in the tenants' database: its fence, the standing decisions, and the log of
/// all decisions, which nothing can change or remove. Can be repeated and run at once.
///
/// # Errors
/// PostgreSQL cannot be reached, or the account may not create schemas.
pub async fn prepare(pool: &Pool) -> Answer<()> {
    Shelf::new(pool.clone(), SCHEMA).prepare(log::TABLE).await
}

impl Policy {
    /// The step, with its records in the tenants' database and its decisions from `engine`.
    pub fn new(pool: Pool, engine: Engine) -> Self {
        Self { shelf: Shelf::new(pool, SCHEMA), engine }
    }

    /// The decision that stands for this question.
    async fn standing(&self, cx: &Cx, question: &Question) -> Answer<Option<Output>> {
        let mut client = self.shelf.connect(cx).await?;
        self.shelf.look(&mut client, cx).await?.standing(question.seen())
    }

    /// Remembers a decision, under the fence. A decision that stands already is the answer.
    async fn record(
        &self,
        cx: &Cx,
        resource: &Resource,
        question: &Question,
        verdict: Option<&Verdict>,
    ) -> Answer<Output> {
        let mut client = self.shelf.connect(cx).await?;
        let place = self.shelf.begin(&mut client, cx, resource).await?;
        if let Some(standing) = place.standing(question.seen())? {
            place.leave().await?;
            return Ok(standing);
        }
        let Some(verdict) = verdict else {
            return Err(Trouble::shaky("the standing decision was withdrawn meanwhile"));
        };
        log::append(place.tx(), cx, question, verdict).await?;
        let answer = verdict.answer(question);
        match &answer {
            Ok(output) => place.put(question.seen(), output).await?,
            // A *no* is logged too; a decision that stands about another question goes on to stand.
            Err(_) => place.leave().await?,
        }
        answer
    }
}

impl Step for Policy {
    const NAME: StepName = DECIDE;
    type Input = Input;
    type Output = Output;

    fn resource(&self, cx: &Cx, _: &Input) -> Resource {
        Resource::of_tenant("policy", cx)
    }

    async fn execute(&self, cx: &Cx, input: &Input) -> Answer<Output> {
        let question = Question::of(cx, input)?;
        cx.point("policy.before-decision").await?;
        let verdict = match self.standing(cx, &question).await? {
            Some(_) => None,
            None => Some(self.engine.decide(cx, &question).await?),
        };
        cx.point("policy.before-record").await?;
        let output = self.record(cx, &self.resource(cx, input), &question, verdict.as_ref()).await?;
        cx.point("policy.before-answer").await?;
        Ok(output)
    }

    async fn compensate(&self, cx: &Cx, input: &Input, _: Option<&Output>) -> Answer<()> {
        cx.point("policy.before-withdraw").await?;
        let mut client = self.shelf.connect(cx).await?;
        let resource = self.resource(cx, input);
        self.shelf.begin(&mut client, cx, &resource).await?.remove().await?;
        cx.point("policy.after-withdraw").await
    }

    async fn observe(&self, cx: &Cx, input: &Input) -> Answer<Observed> {
        let question = Question::of(cx, input)?;
        self.shelf.observe(cx, question.seen(), None::<&Output>).await
    }

    async fn foresee(&self, cx: &Cx, input: &Input) -> Answer<Option<Output>> {
        let question = Question::of(cx, input)?;
        if let Some(standing) = self.standing(cx, &question).await? {
            return Ok(Some(standing));
        }
        self.engine.decide(cx, &question).await?.answer(&question).map(Some)
    }
}
