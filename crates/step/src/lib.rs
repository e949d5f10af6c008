//! What a step is: three functions that know no broker and no store of the fleet's.
//!
//! A step author writes [`Step::execute`], [`Step::compensate`] and [`Step::observe`], and returns trouble instead of
//! logging it. Order, fencing, retries, dead letters and offsets are the server's business, not the step's.

mod cx;
#[cfg(feature = "files")]
pub mod files;
#[cfg(feature = "kit")]
pub mod kit;
mod owner;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "postgres")]
pub mod shelf;
mod trouble;

use std::future::Future;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use tenantry_contracts::StepName;

pub use cx::{Cx, Keyring, Point, Points};
pub use tenantry_contracts::{Difference, Differences, Observed};
pub use trouble::{Answer, Trouble};

/// One unit of work. Owned by exactly one worker.
pub trait Step: Send + Sync + 'static {
    /// The step's name, as plans and commands call it.
    const NAME: StepName;
    /// Its effect cannot be found again (a mail, a one-time secret): its answer is durable before it is said, and the
    /// first answer stands.
    const ONCE: bool = false;
    /// What it is asked for.
    type Input: DeserializeOwned + JsonSchema + Send + Sync + 'static;
    /// What it made.
    type Output: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static;

    /// What is fenced: equal for all that makes, changes or removes one thing, different for what may run in parallel.
    fn resource(&self, cx: &Cx, input: &Self::Input) -> Resource;

    /// Make it so. Safe to repeat; finds what an earlier try made by its owner tag.
    fn execute(&self, cx: &Cx, input: &Self::Input) -> impl Future<Output = Answer<Self::Output>> + Send;

    /// Make it as if it had never been. `made` is `None` where the step was refused or never answered.
    fn compensate(
        &self,
        cx: &Cx,
        input: &Self::Input,
        made: Option<&Self::Output>,
    ) -> impl Future<Output = Answer<()>> + Send;

    /// What is there now, against what the input asks for. Read-only.
    fn observe(&self, cx: &Cx, input: &Self::Input) -> impl Future<Output = Answer<Observed>> + Send;

    /// What `execute` would answer if it were asked now, a *no* included; `None` where only doing it can tell.
    /// Read-only: a dry run makes the inputs of later rows from it.
    fn foresee(
        &self,
        _cx: &Cx,
        _input: &Self::Input,
    ) -> impl Future<Output = Answer<Option<Self::Output>>> + Send {
        std::future::ready(Ok(None))
    }
}

/// A step that is shared is the same step.
impl<S: Step> Step for Arc<S> {
    const NAME: StepName = S::NAME;
    const ONCE: bool = S::ONCE;
    type Input = S::Input;
    type Output = S::Output;

    fn resource(&self, cx: &Cx, input: &S::Input) -> Resource {
        S::resource(self, cx, input)
    }

    fn execute(&self, cx: &Cx, input: &S::Input) -> impl Future<Output = Answer<S::Output>> + Send {
        S::execute(self, cx, input)
    }

    fn compensate(
        &self,
        cx: &Cx,
        input: &S::Input,
        made: Option<&S::Output>,
    ) -> impl Future<Output = Answer<()>> + Send {
        S::compensate(self, cx, input, made)
    }

    fn observe(&self, cx: &Cx, input: &S::Input) -> impl Future<Output = Answer<Observed>> + Send {
        S::observe(self, cx, input)
    }

    fn foresee(&self, cx: &Cx, input: &S::Input) -> impl Future<Output = Answer<Option<S::Output>>> + Send {
        S::foresee(self, cx, input)
    }
}

/// The name under which a step is fenced. Holds the tenant id or the slug and nothing else that could vary.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource(String);

impl Resource {
    /// A resource that belongs to one tenant for ever.
    pub fn of_tenant(kind: &str, cx: &Cx) -> Self {
        Self(format!("{kind}/{}", cx.tenant))
    }

    /// A resource that is named by the slug, and passes from one tenant to the next.
    pub fn of_slug(kind: &str, cx: &Cx) -> Self {
        Self(format!("{kind}/{}/{}", cx.environment, cx.slug))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
