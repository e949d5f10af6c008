//! The kit passes a sound step and finds every planted bug: a toy step on a provider in memory.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tenantry_contracts::{Class, Code, StepName};
use tenantry_step::kit::{self, Tenant, World};
use tenantry_step::{Answer, Cx, Observed, Resource, Step, Trouble};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Bug {
    None,
    NoFence,
    FenceIsNotRaisedByTheUndo,
    FenceIsCheckedOnlyAtTheBeginning,
    RepeatIsRefused,
    AnswerComesFromChance,
    ForeignIsAdopted,
    ForeignIsRemoved,
    UndoWantsSomethingToUndo,
    UndoForgetsTheSecondThing,
    UndoNeedsTheWhole,
    NamesAreShared,
    PointIsNotDeclared,
    TroubleIsSwallowed,
    ObserveIsBlind,
    NothingIsMade,
}

#[derive(Default)]
struct State {
    /// Owner tag by name of the thing.
    things: BTreeMap<String, String>,
    fences: BTreeMap<String, i64>,
}

struct Toy {
    bug: Bug,
    state: Mutex<State>,
}

#[derive(Deserialize, JsonSchema)]
struct Input {}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Output {
    made: String,
}

impl Toy {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn names(&self, tenant: &str) -> [String; 2] {
        let stem = if self.bug == Bug::NamesAreShared { "everybody" } else { tenant };
        [format!("{stem}/one"), format!("{stem}/two")]
    }

    fn raise(&self, state: &mut State, cx: &Cx, resource: &Resource) -> Answer<()> {
        if self.bug == Bug::NoFence {
            return Ok(());
        }
        let fence = state.fences.entry(resource.as_str().to_owned()).or_default();
        if *fence > cx.token.0 {
            return Err(Trouble::Superseded);
        }
        *fence = cx.token.0;
        Ok(())
    }

    async fn point(&self, cx: &Cx, name: &'static str) -> Answer<()> {
        let answer = cx.point(name).await;
        // A call to a provider takes time.
        tokio::task::yield_now().await;
        if self.bug == Bug::TroubleIsSwallowed { Ok(()) } else { answer }
    }

    fn make(&self, cx: &Cx, resource: &Resource, name: &str) -> Answer<()> {
        let mut state = self.state();
        if self.bug != Bug::FenceIsCheckedOnlyAtTheBeginning {
            self.raise(&mut state, cx, resource)?;
        }
        let there = state.things.get(name);
        if there.is_some() && self.bug == Bug::RepeatIsRefused {
            return Err(Trouble::no(Code::Bug, Class::Bug, "it is there already"));
        }
        if there.is_some_and(|tag| !cx.owns(tag))
            && self.bug != Bug::ForeignIsAdopted
            && self.bug != Bug::NamesAreShared
        {
            return Err(Trouble::no(Code::OwnedByOther, Class::Conflict, "it is not ours"));
        }
        if self.bug != Bug::NothingIsMade {
            state.things.entry(name.to_owned()).or_insert_with(|| cx.owner_tag());
        }
        Ok(())
    }
}

impl Step for Toy {
    const NAME: StepName = StepName::new("toy.make");
    type Input = Input;
    type Output = Output;

    fn resource(&self, cx: &Cx, _: &Input) -> Resource {
        Resource::of_tenant("toy", cx)
    }

    async fn execute(&self, cx: &Cx, input: &Input) -> Answer<Output> {
        let resource = self.resource(cx, input);
        let [one, two] = self.names(&cx.tenant.simple());
        self.raise(&mut self.state(), cx, &resource)?;
        self.point(cx, "toy.before-one").await?;
        self.make(cx, &resource, &one)?;
        self.point(cx, "toy.before-two").await?;
        self.make(cx, &resource, &two)?;
        if self.bug == Bug::PointIsNotDeclared {
            self.point(cx, "toy.secret").await?;
        }
        let chance = if self.bug == Bug::AnswerComesFromChance {
            cx.entropy[0].to_string() + &cx.entropy[1].to_string()
        } else {
            String::new()
        };
        Ok(Output { made: one + &chance })
    }

    async fn compensate(&self, cx: &Cx, input: &Input, _: Option<&Output>) -> Answer<()> {
        let resource = self.resource(cx, input);
        let names = self.names(&cx.tenant.simple());
        self.point(cx, "toy.before-undo").await?;
        let mut state = self.state();
        if self.bug != Bug::FenceIsNotRaisedByTheUndo {
            self.raise(&mut state, cx, &resource)?;
        }
        let there = names.iter().filter(|name| state.things.contains_key(*name)).count();
        if there == 0 && self.bug == Bug::UndoWantsSomethingToUndo {
            return Err(Trouble::no(Code::Bug, Class::Bug, "there is nothing to undo"));
        }
        if there == 1 && self.bug == Bug::UndoNeedsTheWhole {
            return Ok(());
        }
        let forgotten = usize::from(self.bug == Bug::UndoForgetsTheSecondThing);
        for name in &names[..2 - forgotten] {
            let any = matches!(self.bug, Bug::ForeignIsRemoved | Bug::NamesAreShared);
            if state.things.get(name).is_some_and(|tag| any || cx.owns(tag)) {
                state.things.remove(name);
            }
        }
        Ok(())
    }

    async fn observe(&self, cx: &Cx, _: &Input) -> Answer<Observed> {
        let state = self.state();
        let tags: Vec<_> = self
            .names(&cx.tenant.simple())
            .iter()
            .filter_map(|name| state.things.get(name).cloned())
            .collect();
        let shared = self.bug == Bug::NamesAreShared;
        Ok(match tags.first() {
            None => Observed::Absent,
            _ if self.bug == Bug::ObserveIsBlind => Observed::Absent,
            Some(tag) if cx.owns(tag) || shared => Observed::Ours { differences: vec![] },
            Some(tag) => Observed::Foreign { hint: tag.clone() },
        })
    }
}

impl World for Toy {
    type Step = Self;
    const POINTS: &'static [&'static str] = &["toy.before-one", "toy.before-two", "toy.before-undo"];

    fn step(&self) -> &Self {
        self
    }

    fn input(&self, _: &Tenant) -> Input {
        Input {}
    }

    async fn remains(&self, tenant: &Tenant) -> Vec<String> {
        let names = self.names(&tenant.id.simple());
        self.state().things.keys().filter(|name| names.contains(name)).cloned().collect()
    }

    async fn plant(&self, tenant: &Tenant) {
        let [one, _] = self.names(&tenant.id.simple());
        self.state().things.insert(one, "somebody else's".to_owned());
    }

    async fn planted_stands(&self, tenant: &Tenant) -> bool {
        let [one, _] = self.names(&tenant.id.simple());
        self.state().things.get(&one).is_some_and(|tag| tag == "somebody else's")
    }
}

#[tokio::test]
async fn a_sound_step_passes_and_every_planted_bug_is_found_by_the_check_that_is_meant_for_it() {
    for (bug, check) in [
        (Bug::None, ""),
        (Bug::NoFence, "late_do_refused"),
        (Bug::FenceIsNotRaisedByTheUndo, "late_do_refused"),
        (Bug::FenceIsCheckedOnlyAtTheBeginning, "zombie_at_every_point at point toy.before-one"),
        (Bug::RepeatIsRefused, "do_twice"),
        (Bug::AnswerComesFromChance, "do_twice"),
        (Bug::ForeignIsAdopted, "foreign_is_left_alone"),
        (Bug::ForeignIsRemoved, "foreign_is_left_alone"),
        (Bug::UndoWantsSomethingToUndo, "undo_twice"),
        (Bug::UndoForgetsTheSecondThing, "do_twice"),
        (Bug::UndoNeedsTheWhole, "failure_at_every_point at point toy.before-two"),
        (Bug::NamesAreShared, "side_by_side"),
        (Bug::PointIsNotDeclared, "every_point_is_declared"),
        (Bug::TroubleIsSwallowed, "failure_at_every_point at point toy.before-one"),
        (Bug::ObserveIsBlind, "do_twice"),
        (Bug::NothingIsMade, "do_twice"),
    ] {
        let found = kit::all(&Toy { bug, state: Mutex::default() }).await;
        let text = found.err().map(|failure| failure.to_string()).unwrap_or_default();
        let meant = format!("step kit, toy.make {check}");
        assert!(if bug == Bug::None { text.is_empty() } else { text.starts_with(&meant) }, "{bug:?}: {text}");
    }
}
