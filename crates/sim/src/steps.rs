//! Steps as a worker's author would write them, against the providers of the seeded world. What a request brings as
//! features are switches: `fail-box`, `shaky-label`, `notyet-name`, `config-box`, `stuck-label`.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tenantry_contracts::{Class, Code, StepName, WorkerName};
use tenantry_step::{Answer, Cx, Observed, Resource, Step, Trouble};

use crate::exec::Me;
use crate::outside::{Caller, Outside, Reply, Silence};
use crate::zoo::Bug;

/// The worker of [`Check`] and [`Name`].
pub const CLERKS: WorkerName = WorkerName::new("clerks");
/// The worker of [`Crate`] and [`Label`].
pub const PORTERS: WorkerName = WorkerName::new("porters");
/// The worker of [`Mail`].
pub const POSTMEN: WorkerName = WorkerName::new("postmen");

/// What every step of this world is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Wish {
    /// The request's switches.
    pub switches: Vec<String>,
}

/// What every step of this world makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Made {
    /// The thing's id at its provider.
    pub id: u64,
}

/// One life of a worker, as its steps see the world outside.
#[derive(Clone)]
pub struct Hands {
    /// The providers.
    pub outside: Outside,
    /// Whose calls these are.
    pub me: Me,
    /// A bug that is planted.
    pub bug: Option<Bug>,
}

impl Hands {
    async fn call(
        &self,
        cx: &Cx,
        resource: &Resource,
        work: impl FnOnce(&Outside, &Caller) -> Reply + Send + 'static,
    ) -> Answer<Reply> {
        let caller = Caller { resource: resource.as_str().to_owned(), tenant: cx.tenant, token: cx.token };
        let answer = self.outside.call(self.me, cx.deadline, move |outside| work(outside, &caller)).await;
        match answer {
            Err(Silence) => Err(Trouble::shaky("the provider did not answer")),
            Ok(Reply::Superseded) => Err(Trouble::Superseded),
            Ok(Reply::Foreign) => {
                Err(Trouble::no(Code::OwnedByOther, Class::Conflict, "somebody else's thing has this name"))
            }
            Ok(reply) => Ok(reply),
        }
    }

    /// What the request's switches make of a step before it does anything.
    fn before(&self, cx: &Cx, wish: &Wish, step: &str) -> Answer<()> {
        let set = |word: &str| wish.switches.iter().any(|switch| *switch == format!("{word}-{step}"));
        let early = |word: &str, times| {
            set(word) && self.outside.tried(format!("{}/{step}/{word}", cx.tenant)) < times
        };
        if set("fail") {
            return Err(Trouble::no_at(
                Code::FaultInjected,
                Class::Business,
                "/switches",
                "as it was asked to",
            ));
        }
        if early("config", 2) {
            return Err(Trouble::no(Code::Misconfigured, Class::Config, "as it was asked to"));
        }
        if early("shaky", 2) {
            return Err(Trouble::shaky("as it was asked to"));
        }
        if early("notyet", 2) {
            return Err(Trouble::NotYet(Duration::from_millis(700)));
        }
        Ok(())
    }

    /// `true` where there is something to do.
    fn before_undo(&self, cx: &Cx, wish: &Wish, step: &str, made: Option<&Made>) -> Answer<bool> {
        let set = |word: &str| wish.switches.iter().any(|switch| *switch == format!("{word}-{step}"));
        if set("stuck") && self.outside.tried(format!("{}/{step}/stuck", cx.tenant)) < 8 {
            return Err(Trouble::no(Code::FaultInjected, Class::Config, "as it was asked to"));
        }
        Ok(made.is_some() || self.bug != Some(Bug::FailedStepNotUndone))
    }

    async fn observe(&self, cx: &Cx, resource: &Resource) -> Answer<Observed> {
        Ok(match self.call(cx, resource, Outside::find).await? {
            Reply::There(_) => Observed::Ours { differences: Vec::new() },
            Reply::Absent | Reply::Foreign | Reply::Superseded => Observed::Absent,
        })
    }
}

fn made(reply: &Reply) -> Answer<Made> {
    match reply {
        Reply::There(id) => Ok(Made { id: *id }),
        Reply::Absent | Reply::Foreign | Reply::Superseded => Err(Trouble::shaky("the provider is confused")),
    }
}

/// Looks at the request; makes nothing.
pub struct Check(pub Hands);

impl Step for Check {
    const NAME: StepName = StepName::new("clerks.check");
    type Input = Wish;
    type Output = Made;

    fn resource(&self, cx: &Cx, _: &Wish) -> Resource {
        Resource::of_tenant("check", cx)
    }

    async fn execute(&self, cx: &Cx, wish: &Wish) -> Answer<Made> {
        self.0.before(cx, wish, "check")?;
        Ok(Made { id: 0 })
    }

    async fn compensate(&self, _: &Cx, _: &Wish, _: Option<&Made>) -> Answer<()> {
        Ok(())
    }

    async fn observe(&self, _: &Cx, _: &Wish) -> Answer<Observed> {
        Ok(Observed::Absent)
    }
}

/// Claims the slug's name, which passes from one tenant to the next. The provider checks the token.
pub struct Name(pub Hands);

impl Step for Name {
    const NAME: StepName = StepName::new("clerks.name");
    type Input = Wish;
    type Output = Made;

    fn resource(&self, cx: &Cx, _: &Wish) -> Resource {
        Resource::of_slug("name", cx)
    }

    async fn execute(&self, cx: &Cx, wish: &Wish) -> Answer<Made> {
        self.0.before(cx, wish, "name")?;
        made(&self.0.call(cx, &self.resource(cx, wish), Outside::ensure_fenced).await?)
    }

    async fn compensate(&self, cx: &Cx, wish: &Wish, made: Option<&Made>) -> Answer<()> {
        if !self.0.before_undo(cx, wish, "name", made)? {
            return Ok(());
        }
        self.0.call(cx, &self.resource(cx, wish), Outside::remove_fenced).await.map(drop)
    }

    async fn observe(&self, cx: &Cx, wish: &Wish) -> Answer<Observed> {
        self.0.observe(cx, &self.resource(cx, wish)).await
    }
}

/// Makes a crate of the tenant's own. The provider checks the token.
pub struct Crate(pub Hands);

impl Step for Crate {
    const NAME: StepName = StepName::new("porters.crate");
    type Input = Wish;
    type Output = Made;

    fn resource(&self, cx: &Cx, _: &Wish) -> Resource {
        Resource::of_tenant("crate", cx)
    }

    async fn execute(&self, cx: &Cx, wish: &Wish) -> Answer<Made> {
        self.0.before(cx, wish, "crate")?;
        made(&self.0.call(cx, &self.resource(cx, wish), Outside::ensure_fenced).await?)
    }

    async fn compensate(&self, cx: &Cx, wish: &Wish, made: Option<&Made>) -> Answer<()> {
        if !self.0.before_undo(cx, wish, "crate", made)? {
            return Ok(());
        }
        self.0.call(cx, &self.resource(cx, wish), Outside::remove_fenced).await.map(drop)
    }

    async fn observe(&self, cx: &Cx, wish: &Wish) -> Answer<Observed> {
        self.0.observe(cx, &self.resource(cx, wish)).await
    }
}

/// Puts up a label at a provider that can check nothing: what is there is found by its owner tag.
pub struct Label(pub Hands);

impl Step for Label {
    const NAME: StepName = StepName::new("porters.label");
    type Input = Wish;
    type Output = Made;

    fn resource(&self, cx: &Cx, _: &Wish) -> Resource {
        Resource::of_tenant("label", cx)
    }

    async fn execute(&self, cx: &Cx, wish: &Wish) -> Answer<Made> {
        self.0.before(cx, wish, "label")?;
        let resource = self.resource(cx, wish);
        match self.0.call(cx, &resource, Outside::find).await? {
            Reply::There(id) => Ok(Made { id }),
            _ => made(&self.0.call(cx, &resource, Outside::create).await?),
        }
    }

    async fn compensate(&self, cx: &Cx, wish: &Wish, made: Option<&Made>) -> Answer<()> {
        if !self.0.before_undo(cx, wish, "label", made)? {
            return Ok(());
        }
        self.0.call(cx, &self.resource(cx, wish), Outside::remove_tagged).await.map(drop)
    }

    async fn observe(&self, cx: &Cx, wish: &Wish) -> Answer<Observed> {
        self.0.observe(cx, &self.resource(cx, wish)).await
    }
}

/// Sends a letter that nobody can find again.
pub struct Mail(pub Hands);

impl Step for Mail {
    const NAME: StepName = StepName::new("postmen.mail");
    const ONCE: bool = true;
    type Input = Wish;
    type Output = Made;

    fn resource(&self, cx: &Cx, _: &Wish) -> Resource {
        Resource::of_tenant("mail", cx)
    }

    async fn execute(&self, cx: &Cx, wish: &Wish) -> Answer<Made> {
        self.0.before(cx, wish, "mail")?;
        made(&self.0.call(cx, &self.resource(cx, wish), Outside::send).await?)
    }

    async fn compensate(&self, _: &Cx, _: &Wish, _: Option<&Made>) -> Answer<()> {
        Ok(())
    }

    async fn observe(&self, _: &Cx, _: &Wish) -> Answer<Observed> {
        Ok(Observed::Unknown { why: "a letter that was sent cannot be found".into() })
    }
}
