//! One command, from its record to its acknowledged answer.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use futures::channel::oneshot;
use futures::future::{Either, Shared, select};
use tenantry_contracts::command::{Command, Question};
use tenantry_contracts::result::{self, Failure, Said};
use tenantry_contracts::{Class, Code, Record, Refusal, StepName, Topic, Verb};
use tenantry_ports::{Clock, Entropy, Keys, Place};
use tenantry_step::{Cx, Points, Trouble};
use tracing::Instrument;

use crate::attempt::{Attempts, Tried, panicked};
use crate::breaker::Sign;
use crate::desk::Ended;
use crate::erased::{AnyStep, Asked};
use crate::fence::{self, Kind, Leave};
use crate::keyring::KeyCache;
use crate::ledger::Books;
use crate::letter::letter;
use crate::mouth::{Mouth, Saying};
use crate::options::{Options, ServeError};
use crate::patience::Patience;
use crate::telemetry::{self, Outcome};

/// The longest name of a plan's row.
const ROW_CHARS: usize = 200;

/// What every command of a server shares.
pub(crate) struct House<K, C, E> {
    pub(crate) options: Options,
    /// The steps of each command topic.
    pub(crate) steps: BTreeMap<Topic, BTreeMap<StepName, Arc<dyn AnyStep>>>,
    pub(crate) points: Arc<dyn Points>,
    pub(crate) patience: Patience<C, E>,
    pub(crate) books: Books,
    pub(crate) keys: KeyCache<K>,
    pub(crate) mouth: Mouth,
    /// Resolves at a stop.
    pub(crate) stopping: Shared<oneshot::Receiver<()>>,
    /// Dead letters since the last good command.
    pub(crate) letters: AtomicU32,
}

/// A command that could be read.
struct Read {
    command: Command,
    kind: Kind,
    asked: Box<dyn Asked>,
}

impl<K: Keys, C: Clock, E: Entropy> House<K, C, E> {
    /// Handles one record; returns when nothing is left to be done for it.
    ///
    /// # Errors
    /// Where one dead letter too many would follow the others; this one was not written.
    pub(crate) async fn serve(&self, record: &Record) -> Result<Ended, ServeError> {
        let read = match self.read(record) {
            Ok(read) => read,
            Err(refusal) => return self.dead_letter(record, &refusal).await,
        };
        self.letters.store(0, Ordering::Relaxed);
        let (step, question) = (read.command.body.step.clone(), &read.command.question);
        let verb = question.verb;
        let span = tracing::info_span!(
            "command",
            tenant = %question.tenant,
            saga = %question.saga,
            correlation = correlation(&read.command),
            row = %question.row,
            step = %step,
            verb = verb.as_str(),
            token = question.token.0,
        );
        async {
            let began = self.patience.clock.now();
            let (tried, tries) = self.tried(read.command.clone(), read.kind, &*read.asked).await;
            let outcome = outcome_of(&tried);
            if let Tried::Said(said) = tried {
                self.answer(record, &read.command, said).await;
            }
            let duration = self.patience.clock.now().since(began);
            telemetry::finished(&step, verb, outcome, duration, tries);
            Ok(ended(outcome))
        }
        .instrument(span)
        .await
    }

    /// Verifies a record: schema, fleet, cell, a step that is served here, and the step's own input.
    fn read(&self, record: &Record) -> Result<Read, Refusal> {
        let command = Command::decode(record)?;
        let body = &command.body;
        let config = |message: String| Refusal::new(Code::Misconfigured, message);
        if body.fleet != self.options.fleet {
            return Err(
                config(format!("a command of another fleet; this is {}", self.options.fleet)).at("/fleet")
            );
        }
        if body.cell != self.options.cell {
            return Err(
                config(format!("a command to another cell; this is {}", self.options.cell)).at("/cell")
            );
        }
        let row = command.question.row.as_str();
        if row.is_empty() || row.chars().count() > ROW_CHARS || row.chars().any(char::is_control) {
            return Err(Refusal::new(Code::EnvelopeInvalid, "header row names no row of a plan"));
        }
        let step =
            self.steps.get(&record.topic).and_then(|steps| steps.get(&body.step)).ok_or_else(|| {
                config("this worker has no such step; is it the right topic, and the right build?".into())
                    .at("/step")
            })?;
        let verb = command.question.verb;
        let asked = catch_unwind(AssertUnwindSafe(|| step.read(body, verb)))
            .unwrap_or_else(|_| Err(Refusal::new(Code::Bug, "reading the step's input panicked")))?;
        let kind = Kind { verb, supersedes: body.supersedes, once: step.once() };
        Ok(Read { command, kind, asked })
    }

    /// Asks the ledger for leave, runs the step, and remembers its answer where it must be.
    async fn tried(&self, command: Command, kind: Kind, asked: &dyn Asked) -> (Tried, u32) {
        let Command { question, deadline, body, .. } = command;
        let clock = &self.patience.clock;
        let before = async {
            if let Some(said) = fence::remembered(&self.books, kind, &question).await {
                return Err(Tried::Said(recall(&said)));
            }
            if clock.now() >= deadline {
                return Err(Tried::Said(Said::Expired));
            }
            let keys = self.keys.open(question.tenant, &body, &self.patience).await;
            let cx = Cx::new(
                body.fleet.clone(),
                question.tenant,
                body.slug.clone(),
                body.environment.clone(),
                body.region.clone(),
                question.token,
                clock.now(),
                deadline,
                [0; 32],
                keys,
                Arc::clone(&self.points),
            );
            let resource = catch_unwind(AssertUnwindSafe(|| asked.resource(&cx).as_str().to_owned()));
            let Ok(resource) = resource else { return Err(Tried::Said(failed(panicked()))) };
            match fence::leave(&self.books, kind, resource.clone(), question.token).await {
                Leave::Act => Ok((cx, resource)),
                Leave::Superseded => Err(Tried::Superseded),
            }
        };
        // Nothing has been done yet: at a stop there is nothing to wait for.
        let (cx, resource) = match self.unless_stopped(before).await {
            Some(Ok(leave)) => leave,
            Some(Err(tried)) => return (tried, 0),
            None => return (Tried::Abandoned, 0),
        };
        let attempts = Attempts {
            clock,
            entropy: &self.patience.entropy,
            limits: &self.options.limits,
            step: &body.step,
            deadline,
            fence: (kind.verb != Verb::Observe).then_some((&self.books, resource.as_str(), question.token)),
            stopping: self.stopping.clone(),
        };
        let (tried, tries) = attempts.run(asked, cx).await;
        match tried {
            Tried::Said(said) if kind.remembers() && is_final(&said) => {
                let stands = self.remember(&question, said).await;
                (Tried::Said(stands), tries)
            }
            tried => (tried, tries),
        }
    }

    /// Remembers an answer; returns the one that stands.
    async fn remember(&self, question: &Question, said: Said) -> Said {
        match serde_json::to_vec(&said) {
            Ok(bytes) => recall(&self.books.remember(question.id(), bytes.into()).await),
            // An answer always has a JSON form; if one has not, saying it is all that is left.
            Err(_) => said,
        }
    }

    async fn answer(&self, record: &Record, command: &Command, said: Said) {
        let trace = command.traceparent.as_ref().map(|trace| Bytes::from(trace.clone()));
        let key = Bytes::copy_from_slice(command.body.slug.as_str().as_bytes());
        self.say_answer(record, command.question.clone(), said, Some(key), trace).await;
    }

    /// Says an answer on the partition on which the question came; returns when it is acknowledged.
    async fn say_answer(
        &self,
        record: &Record,
        question: Question,
        said: Said,
        key: Option<Bytes>,
        trace: Option<Bytes>,
    ) {
        let body = result::Body { fleet: self.options.fleet.clone(), said };
        let answer = result::Answer { question, body };
        let Ok((mut headers, value)) = answer.encode() else {
            tracing::error!("an answer has no JSON form; nothing was said, the question will be asked again");
            return;
        };
        headers.extend(trace.map(|trace| ("traceparent".into(), trace)));
        let place = Place { topic: Topic::Results, partition: record.partition };
        self.mouth.say(Saying { place, key, headers, value: Some(value) }).await;
    }

    /// Writes the letter and, once it is there, tells whoever asked.
    async fn dead_letter(&self, record: &Record, refusal: &Refusal) -> Result<Ended, ServeError> {
        let row = self.letters.fetch_add(1, Ordering::Relaxed);
        if row >= self.options.limits.dead_letters {
            return Err(ServeError::DeadLetterLimit {
                letters: row,
                last: refusal.code,
                summary: refusal.message.clone(),
            });
        }
        let origin = record.origin();
        telemetry::lettered(&record.topic, refusal.code, &origin.to_string(), &refusal.message);
        self.mouth.say(letter(record, refusal, &self.options)).await;
        if let Some(question) = Question::of(record) {
            self.say_answer(record, question, Said::DeadLettered(origin), record.key.clone(), None).await;
        }
        Ok(Ended::Done(Sign::None))
    }

    async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        futures::pin_mut!(work);
        match select(work, self.stopping.clone()).await {
            Either::Left((done, _)) => Some(done),
            Either::Right(_) => None,
        }
    }
}

/// Reads a remembered answer.
fn recall(bytes: &Bytes) -> Said {
    serde_json::from_slice(bytes).unwrap_or_else(|_| {
        failed(Trouble::no(
            Code::OutputInvalid,
            Class::UnknownOutcome,
            "the remembered answer cannot be read; the step was done, look what it made",
        ))
    })
}

/// An answer after which the same question is not asked again.
fn is_final(said: &Said) -> bool {
    match said {
        Said::Succeeded(_) | Said::Failed(_) => true,
        Said::NotYet(_) | Said::Expired | Said::DeadLettered(_) => false,
    }
}

fn failed(trouble: Trouble) -> Said {
    Said::Failed(match trouble {
        Trouble::No { code, class, pointer, message } => Failure { code, class, pointer, message },
        other => Failure { code: Code::Bug, class: Class::Bug, pointer: None, message: other.to_string() },
    })
}

fn outcome_of(tried: &Tried) -> Outcome {
    match tried {
        Tried::Superseded => Outcome::Superseded,
        Tried::Abandoned => Outcome::Abandoned,
        Tried::Said(Said::Succeeded(_)) => Outcome::Succeeded,
        Tried::Said(Said::Failed(failure)) => Outcome::Failed(failure.code),
        Tried::Said(Said::NotYet(_)) => Outcome::NotYet,
        Tried::Said(Said::Expired) => Outcome::Expired,
        Tried::Said(Said::DeadLettered(_)) => Outcome::Failed(Code::DeadLettered),
    }
}

fn ended(outcome: Outcome) -> Ended {
    match outcome {
        Outcome::Abandoned => Ended::Abandoned,
        Outcome::Failed(Code::Exhausted) => Ended::Done(Sign::Down),
        // A bug says nothing about the dependency, and neither does what never reached it.
        Outcome::Failed(Code::Bug | Code::DeadLettered) | Outcome::Expired | Outcome::Superseded => {
            Ended::Done(Sign::None)
        }
        Outcome::Succeeded | Outcome::Failed(_) | Outcome::NotYet => Ended::Done(Sign::Well),
    }
}

/// The id that ties a request's records together: the trace's, else the saga's.
fn correlation(command: &Command) -> String {
    let trace = command.traceparent.as_deref().and_then(|trace| trace.split('-').nth(1));
    trace.map_or_else(|| command.question.saga.to_string(), str::to_owned)
}
