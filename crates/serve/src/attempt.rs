//! Runs a step: try after try while it is shaky, inside its deadline. A step's future is never dropped.

use std::panic::AssertUnwindSafe;

use futures::channel::oneshot;
use futures::future::Shared;
use futures::{FutureExt, select_biased};
use tenantry_contracts::result::{Failure, Said};
use tenantry_contracts::{Class, Code, Json, StepName, Time, Token};
use tenantry_ports::{Clock, Entropy};
use tenantry_step::{Answer, Cx, Trouble};

use crate::erased::Asked;
use crate::ledger::Books;
use crate::options::Limits;
use crate::retry::Pauses;
use crate::telemetry;

/// How the tries of a question ended.
#[derive(Clone, Debug)]
pub(crate) enum Tried {
    /// So it is answered.
    Said(Said),
    /// The provider knows a later question.
    Superseded,
    /// A stop came between two tries.
    Abandoned,
}

/// What the tries need.
pub(crate) struct Attempts<'a, C, E> {
    pub(crate) clock: &'a C,
    pub(crate) entropy: &'a E,
    pub(crate) limits: &'a Limits,
    pub(crate) step: &'a StepName,
    pub(crate) deadline: Time,
    /// What is fenced, under which token; read again before each further try. `None` for what is not fenced.
    pub(crate) fence: Option<(&'a Books, &'a str, Token)>,
    /// Resolves at a stop.
    pub(crate) stopping: Shared<oneshot::Receiver<()>>,
}

impl<C: Clock, E: Entropy> Attempts<'_, C, E> {
    /// Tries until the step answers, its deadline passes or a stop comes. Returns the number of tries as well.
    /// `cx` is the context of the first try; time, deadline and entropy are set anew for each.
    pub(crate) async fn run(self, asked: &dyn Asked, mut cx: Cx) -> (Tried, u32) {
        let mut pauses = Pauses::new(self.limits.retry_ms);
        let mut last = String::new();
        for tries in 0.. {
            // While this one paused, another process may have taken the tenant over and undone it.
            if tries > 0 && self.is_overtaken().await {
                return (Tried::Superseded, tries);
            }
            cx.now = self.clock.now();
            if cx.now >= self.deadline {
                let said = if tries == 0 { Said::Expired } else { exhausted(tries, &last) };
                return (Tried::Said(said), tries);
            }
            cx.deadline = self.deadline.min(cx.now.plus(self.limits.try_ms));
            self.entropy.fill(&mut cx.entropy);
            if tries > 0 {
                telemetry::retried(self.step);
            }
            last = match self.once(asked, &cx).await {
                Ok(json) => return (Tried::Said(self.bounded(json)), tries + 1),
                Err(Trouble::NotYet(after)) => {
                    let after = i64::try_from(after.as_millis()).unwrap_or(i64::MAX);
                    return (Tried::Said(Said::NotYet(after)), tries + 1);
                }
                Err(Trouble::No { code, class, pointer, message }) => {
                    return (Tried::Said(Said::Failed(Failure { code, class, pointer, message })), tries + 1);
                }
                Err(Trouble::Superseded) => return (Tried::Superseded, tries + 1),
                Err(Trouble::Shaky(reason)) => reason,
            };
            let again = self.clock.now().plus(pauses.next(self.entropy));
            if again >= self.deadline {
                // No further try could begin in time: the answer need not wait for the deadline.
                return (Tried::Said(exhausted(tries + 1, &last)), tries + 1);
            }
            let sleep = self.clock.sleep_until(again).fuse();
            let stop = self.stopping.clone();
            futures::pin_mut!(sleep, stop);
            select_biased! {
                _ = stop => return (Tried::Abandoned, tries + 1),
                () = sleep => {}
            }
        }
        // Not reached: four thousand million tries do not fit into any deadline.
        (Tried::Abandoned, u32::MAX)
    }

    async fn is_overtaken(&self) -> bool {
        match self.fence {
            Some((books, resource, token)) => {
                books.fence(resource.to_owned()).await.is_some_and(|stands| stands > token)
            }
            None => false,
        }
    }

    /// One try. Waits for it beyond its deadline too; a panic is a bug's answer.
    async fn once(&self, asked: &dyn Asked, cx: &Cx) -> Answer<Json> {
        let step = AssertUnwindSafe(async { asked.run(cx).await }).catch_unwind().fuse();
        let late = self.clock.sleep_until(cx.deadline).fuse();
        futures::pin_mut!(step, late);
        loop {
            select_biased! {
                answer = step => return answer.unwrap_or_else(|_| Err(panicked())),
                () = late => telemetry::overran(self.step),
            }
        }
    }

    fn bounded(&self, json: Json) -> Said {
        let (have, most) = (json.text().len(), self.limits.output_bytes);
        if have <= most {
            return Said::Succeeded(json);
        }
        Said::Failed(Failure {
            code: Code::OutputInvalid,
            class: Class::Bug,
            pointer: None,
            message: format!("the step's output has {have} bytes; at most {most} can be said"),
        })
    }
}

/// What a panic inside a step answers. Its text stays in the process: it may quote anything.
pub(crate) fn panicked() -> Trouble {
    Trouble::no(Code::Bug, Class::Bug, "the step panicked; the worker's error output has the place")
}

fn exhausted(tries: u32, last: &str) -> Said {
    let last: String = last.chars().take(300).collect();
    Said::Failed(Failure {
        code: Code::Exhausted,
        class: Class::Exhausted,
        pointer: None,
        message: format!("tried {tries} times until the deadline; last: {last}"),
    })
}
