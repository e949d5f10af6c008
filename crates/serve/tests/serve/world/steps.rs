//! A step that does what its input says, and notes it.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::task::{Poll, Waker};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tenantry_contracts::{Class, Code, Sealed, StepName, TenantId, Time};
use tenantry_ports::Clock;
use tenantry_step::{Answer, Cx, Observed, Resource, Step, Trouble};

use super::World;

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// What each try does; the last entry goes for all further ones.
    pub(crate) script: Vec<String>,
    pub(crate) sealed: Option<Sealed>,
}

#[derive(Default)]
pub(crate) struct Script {
    tries: BTreeMap<String, usize>,
    /// Tenants whose `hold` may go on.
    pub(crate) released: BTreeSet<TenantId>,
    pub(crate) held: BTreeMap<TenantId, Waker>,
    /// While it is down every step shakes.
    pub(crate) down: bool,
    inside: BTreeSet<TenantId>,
    pub(crate) made: u64,
}

pub(crate) struct Probe<const ONCE: bool>(pub(crate) World);

impl World {
    /// Lets `hold` of this tenant go on.
    pub(crate) fn release(&self, tenant: TenantId) {
        let mut state = self.state();
        state.steps.released.insert(tenant);
        if let Some(waker) = state.steps.held.remove(&tenant) {
            waker.wake();
        }
    }
}

impl<const ONCE: bool> Probe<ONCE> {
    async fn act(&self, cx: &Cx, verb: &str, input: &Input) -> Answer<u64> {
        let what = format!("{verb} {} {}", cx.slug, cx.token);
        let act = {
            let mut state = self.0.state();
            state.journal.push(what.clone());
            assert!(state.steps.inside.insert(cx.tenant), "two commands of {} run at once", cx.slug);
            let tries = state.steps.tries.entry(what.clone()).or_insert(0);
            let act = input.script.get(*tries).or(input.script.last()).cloned().unwrap_or_default();
            *tries += 1;
            if state.steps.down { "shaky".into() } else { act }
        };
        let done = self.does(cx, &act, input).await;
        let mut state = self.0.state();
        state.steps.inside.remove(&cx.tenant);
        state.journal.push(format!("ended {what}"));
        done?;
        state.steps.made += 1;
        Ok(state.steps.made)
    }

    async fn does(&self, cx: &Cx, act: &str, input: &Input) -> Answer<()> {
        match act {
            "shaky" => Err(Trouble::shaky("connection reset")),
            "no" => Err(Trouble::no_at(Code::OwnedByOther, Class::Conflict, "/name", "it is not ours")),
            "not-yet" => Err(Trouble::NotYet(Duration::from_millis(250))),
            "superseded" => Err(Trouble::Superseded),
            "panic" => {
                self.0.state().steps.inside.remove(&cx.tenant);
                panic!("a secret")
            }
            "slow" => {
                self.0.sleep_until(Time(cx.now.0 + 700)).await;
                Ok(())
            }
            "overrun" => {
                self.0.sleep_until(cx.deadline.plus(5_000)).await;
                Ok(())
            }
            "overtaken" => {
                // Another process marks an undo while this one shakes.
                let resource = Resource::of_tenant("probe", cx).as_str().to_owned();
                self.0.state().store.fences.insert(resource, tenantry_contracts::Token(cx.token.0 + 1));
                Err(Trouble::shaky("connection reset"))
            }
            "open" => {
                let sealed = input.sealed.as_ref().ok_or_else(|| Trouble::shaky("nothing sealed"))?;
                let clear = cx.open("email", sealed)?;
                self.0.note(format!("opened {clear}"));
                Ok(())
            }
            "hold" => {
                poll_fn(|context| {
                    let mut state = self.0.state();
                    if state.steps.released.contains(&cx.tenant) {
                        return Poll::Ready(Ok(()));
                    }
                    state.steps.held.insert(cx.tenant, context.waker().clone());
                    Poll::Pending
                })
                .await
            }
            "forever" => std::future::pending().await,
            "point" => cx.point("between").await,
            _ => Ok(()),
        }
    }
}

impl<const ONCE: bool> Step for Probe<ONCE> {
    const NAME: StepName = StepName::new(if ONCE { "mail.send" } else { "probe.make" });
    const ONCE: bool = ONCE;
    type Input = Input;
    type Output = u64;

    fn resource(&self, cx: &Cx, _: &Input) -> Resource {
        Resource::of_tenant("probe", cx)
    }

    async fn execute(&self, cx: &Cx, input: &Input) -> Answer<u64> {
        self.act(cx, "execute", input).await
    }

    async fn compensate(&self, cx: &Cx, input: &Input, made: Option<&u64>) -> Answer<()> {
        self.0.note(format!("made {made:?}"));
        self.act(cx, "compensate", input).await.map(drop)
    }

    async fn observe(&self, cx: &Cx, input: &Input) -> Answer<Observed> {
        self.act(cx, "observe", input).await.map(|_| Observed::Absent)
    }
}
