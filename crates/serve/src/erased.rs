//! The one place where steps lose their types.

use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt};
use tenantry_contracts::command::Body;
use tenantry_contracts::{Class, Code, Json, Refusal, StepName, Verb, WorkerName};
use tenantry_step::{Answer, Cx, Resource, Step, Trouble};

/// A step of any type.
pub(crate) trait AnyStep: Send + Sync {
    /// Its effect cannot be found again: its answer is remembered before it is said.
    fn once(&self) -> bool;
    /// Reads what a command asks of it.
    fn read(&self, body: &Body, verb: Verb) -> Result<Box<dyn Asked>, Refusal>;
}

/// A step with what it is asked.
pub(crate) trait Asked: Send + Sync {
    /// What is fenced.
    fn resource(&self, cx: &Cx) -> Resource;
    /// Does what is asked. The output as JSON; `null` for an undo.
    fn run<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Answer<Json>>;
}

/// Erases a step.
pub(crate) fn erase<S: Step>(step: S) -> Arc<dyn AnyStep> {
    Arc::new(Erased(Arc::new(step)))
}

/// The worker that owns a step: its name up to the first dot.
pub(crate) fn worker_of(step: &StepName) -> WorkerName {
    let name = step.as_str();
    WorkerName::read(name.split_once('.').map_or(name, |(worker, _)| worker))
}

struct Erased<S>(Arc<S>);

impl<S: Step> AnyStep for Erased<S> {
    fn once(&self) -> bool {
        S::ONCE
    }

    fn read(&self, body: &Body, verb: Verb) -> Result<Box<dyn Asked>, Refusal> {
        let input = body.input.read().map_err(|error| unreadable(Code::FieldInvalid, "input", &error))?;
        let made = body.made.as_ref().filter(|made| made.text() != "null").map(Json::read).transpose();
        let made = made.map_err(|error| unreadable(Code::OutputInvalid, "made", &error))?;
        Ok(Box::new(Typed { step: Arc::clone(&self.0), verb, input, made }))
    }
}

/// What serde says may quote the value, and the value may be personal: only the place is said.
fn unreadable(code: Code, member: &str, error: &serde_json::Error) -> Refusal {
    let place = format!("line {} column {} of {member}", error.line(), error.column());
    Refusal::new(code, format!("{place}: not as the step's schema says")).at(format!("/{member}"))
}

struct Typed<S: Step> {
    step: Arc<S>,
    verb: Verb,
    input: S::Input,
    made: Option<S::Output>,
}

impl<S: Step> Asked for Typed<S> {
    fn resource(&self, cx: &Cx) -> Resource {
        self.step.resource(cx, &self.input)
    }

    fn run<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Answer<Json>> {
        async move {
            let said = match self.verb {
                Verb::Execute => Json::of(&self.step.execute(cx, &self.input).await?),
                Verb::Compensate => {
                    self.step.compensate(cx, &self.input, self.made.as_ref()).await?;
                    Json::of(&())
                }
                Verb::Observe => Json::of(&self.step.observe(cx, &self.input).await?),
            };
            said.map_err(|_| {
                Trouble::no(Code::OutputInvalid, Class::Bug, "the step's output has no JSON form")
            })
        }
        .boxed()
    }
}
