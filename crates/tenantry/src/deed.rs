//! What people do or decide goes out as a record on `tenant.operations`, and its answer is waited for. A command that does
//! something by itself (an export, a replay) writes down that it did with [`attest`].

use std::time::Duration;

use bytes::Bytes;
use tenantry_contracts::operation::{Deed, Operation, OperationVerb, Target};
use tenantry_contracts::{Lane, Origin, RequestId, Topic};
use tenantry_kafka::Options;
use tenantry_ports::{Clock, Place};
use tenantry_saga::{Rules, plans};
use tokio::time::Instant;

use crate::clock::SystemClock;
use crate::out::{Refused, failed};
use crate::request::{fresh_id, source};
use crate::settings::Person;
use crate::show::Style;
use crate::show::code::Outcome;
use crate::show::story::Story;
use crate::watch::{self, Ear};

/// How long a deed's answer may take.
const ANSWERED: Duration = Duration::from_secs(60);

/// Publishes an operation in this lane. From here on what is said of it is heard.
///
/// # Errors
/// Where the brokers cannot be reached or do not take it.
pub async fn publish(options: &Options, lane: u16, operation: &Operation) -> anyhow::Result<(Ear, Origin)> {
    let ear = Ear::open(options, lane).await?;
    let (headers, value) = operation.encode(SystemClock::from_env()?.now())?;
    let key = Some(Bytes::copy_from_slice(operation.key().as_bytes()));
    let place = Place { topic: Topic::Operations, partition: lane };
    let origin = watch::publish(options, place, key, headers, value).await?;
    Ok((ear, origin))
}

/// The lane that hears an operation: the home of its tenant, else lane 0.
pub(crate) fn home(about: Option<&Target>, lanes: u16) -> u16 {
    about.map_or(0, |target| Lane::of(&target.slug, lanes).0)
}

/// Has the fleet write a deed down: it stands in the audit when this returns. About a tenant, in the chain of its lane;
/// else in that of lane 0. The same id is written down once.
///
/// # Errors
/// The code of whoever refused it; `deed_unanswered` where nobody answered in time.
pub async fn attest(
    options: &Options,
    person: &Person,
    id: Option<String>,
    about: Option<Target>,
    deed: Deed,
) -> anyhow::Result<Origin> {
    let lane = home(about.as_ref(), watch::lanes(options).await?);
    let id = RequestId { source: source(), id: id.unwrap_or_else(fresh_id) };
    let operation = person.operation(id, OperationVerb::Attest(deed), about, None, None)?;
    written(options, lane, &operation).await
}

/// Has the fleet hear an operation in this lane: it was accepted when this returns.
///
/// # Errors
/// As [`attest`].
pub async fn written(options: &Options, lane: u16, operation: &Operation) -> anyhow::Result<Origin> {
    let plans = plans::all(Rules::default());
    let mut story = Story::new(Style::PLAIN, plans, operation.id.clone(), false);
    let (mut ear, origin) = publish(options, lane, operation).await?;
    story.at(origin.clone());
    match ear.follow(&mut story, None, Instant::now() + ANSWERED).await? {
        Outcome::Timeout => Err(unanswered(&operation.id).into()),
        Outcome::Rejected => Err(refused(&story).into()),
        Outcome::Done | Outcome::RolledBack | Outcome::Parked => Ok(origin),
    }
}

fn unanswered(id: &RequestId) -> Refused {
    let seconds = ANSWERED.as_secs();
    failed(
        "deed_unanswered",
        format!(
            "nobody wrote {} down within {seconds} s, so it was not done; see that a coordinator runs, then repeat the \
             command",
            id.id
        ),
    )
}

fn refused(story: &Story) -> Refused {
    let refusal = story.answer().and_then(|answer| answer.refusal.as_ref());
    match refusal {
        Some(refusal) => Refused {
            code: refusal.code.as_str().to_owned().into(),
            text: format!("the fleet does not write this down: {}; nothing was done", refusal.message),
            exit: Outcome::Rejected.exit(),
        },
        None => {
            failed("deed_refused", "the fleet does not write this down and says not why; nothing was done")
        }
    }
}
