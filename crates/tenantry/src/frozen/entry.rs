//! Each run is one entry of the audit: a deed, with what it came to.
//!
//! It is written when the run ends, for it holds the sums. A run that was killed cannot write its own: the next one does,
//! before it says anything, and says nothing where the fleet does not take it.

use std::collections::BTreeMap;

use tenantry_contracts::event::{Event, EventKind};
use tenantry_contracts::operation::{Deed, DeedKind, OperationVerb, PLATFORM};
use tenantry_contracts::{Code, RequestId, Topic, partition};
use tenantry_kafka::{Options, Read, Reader, Start};

use super::people::People;
use super::progress::{Logged, Progress};
use super::sums::Sums;
use crate::deed;
use crate::out::{self, Refused};
use crate::request::{fresh_id, source};
use crate::watch;

/// The audit, as a run of a selection writes in it.
pub(crate) struct Audit<'a> {
    pub(crate) options: &'a Options,
    pub(crate) people: &'a People,
    pub(crate) what: DeedKind,
    /// How many entries the selection has that a run acts on.
    pub(crate) planned: usize,
}

impl Audit<'_> {
    /// A run begins, once the entries of earlier runs are in the audit.
    pub(crate) async fn begin(&self, progress: &mut Progress) -> anyhow::Result<()> {
        for run in progress.runs().to_vec().into_iter().filter(|run| !run.written) {
            let published = run.closed.is_some();
            if !published {
                progress.close(words(&run, progress, self.planned, "it ended before it could say so"))?;
            }
            self.write(progress, &run.id, published).await?;
        }
        progress.run(fresh_id(), self.people.person.account())?;
        Ok(())
    }

    /// The run is over: its entry stands in the audit when this returns. Hands back why nothing more was begun.
    pub(crate) async fn end(
        &self,
        progress: &mut Progress,
        ended: anyhow::Result<Option<String>>,
    ) -> anyhow::Result<Option<String>> {
        let Some(run) = progress.runs().last().cloned() else { return ended };
        let why = match &ended {
            Ok(None) => "finished".to_owned(),
            Ok(Some(why)) => format!("stopped: {why}"),
            Err(error) => match error.downcast_ref::<Refused>() {
                Some(refused) => format!("broke off: {}", refused.code),
                None => "broke off".to_owned(),
            },
        };
        progress.close(words(&run, progress, self.planned, &why))?;
        let written = self.write(progress, &run.id, false).await;
        // What broke the run off matters more; the next one writes down what this one could not.
        let ended = ended?;
        written.map(|()| ended)
    }

    /// Writes the entry of a run that is closed. `published`: an earlier run may have done so.
    async fn write(&self, progress: &mut Progress, run: &str, published: bool) -> anyhow::Result<()> {
        let logged = progress.runs().iter().find(|logged| logged.id == run);
        let note = logged.and_then(|logged| logged.closed.clone()).unwrap_or_default();
        let deed = Deed { what: self.what, digest: progress.head.selection.clone(), note };
        let written = match published {
            true => once(self.options, self.people, run, deed).await,
            false => attest(self.options, self.people, run.to_owned(), deed).await,
        };
        written.map_err(not_written)?;
        Ok(progress.written(run.to_owned())?)
    }
}

/// What the audit says of a run.
fn words(run: &Logged, progress: &Progress, planned: usize, why: &str) -> String {
    let so_far = progress.all().count().min(planned);
    let number = progress.runs().iter().position(|other| other.id == run.id).map_or(0, |at| at + 1);
    let Sums { done, already, moved_on, failed, .. } = run.sums;
    format!(
        "run {number} by {}: done {done}, already {already}, moved on {moved_on}, failed {failed}; so far {so_far} of \
         {planned}, left {}; {why}",
        run.by,
        planned - so_far
    )
}

fn not_written(error: anyhow::Error) -> anyhow::Error {
    let next = "run the same command again, which first writes it down and does nothing before";
    match error.downcast::<Refused>() {
        Ok(refused) => {
            let sign = if unsigned(&refused.code) { "; this fleet demands signatures: sign it" } else { "" };
            let text = format!("the audit has no entry of this run yet: {}{sign}; {next}", refused.text);
            Refused { text, ..refused }.into()
        }
        Err(error) => error.context(format!("the audit has no entry of this run yet; {next}")),
    }
}

/// Whether this code speaks of a signature.
fn unsigned(code: &str) -> bool {
    [Code::SignatureMissing, Code::SignatureInvalid].iter().any(|known| known.as_str() == code)
}

/// Has a deed written down once, however often this is said. A deed that was refused is another one when it is said again.
pub(crate) async fn once(options: &Options, people: &People, key: &str, deed: Deed) -> anyhow::Result<()> {
    let is =
        |id: &RequestId| id.id == key || id.id.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'));
    let decided = decided(options, is).await?;
    if decided.values().any(|kind| *kind == EventKind::OperationAccepted) {
        return Ok(());
    }
    let id = if decided.is_empty() { key.to_owned() } else { format!("{key}.{}", decided.len()) };
    attest(options, people, id, deed).await
}

/// Has a deed written down, in the chain of the lane that the word for all lanes is at home in.
async fn attest(options: &Options, people: &People, id: String, deed: Deed) -> anyhow::Result<()> {
    let lane = partition::partition_of(PLATFORM.as_bytes(), watch::lanes(options).await?);
    let id = RequestId { source: source(), id };
    let operation = people.operation(id, OperationVerb::Attest(deed), None, None)?;
    deed::written(options, lane, &operation).await.map(drop)
}

/// The first decision about each id that is wanted: the answers on `tenant.events`.
pub(crate) async fn decided(
    options: &Options,
    wanted: impl Fn(&RequestId) -> bool,
) -> anyhow::Result<BTreeMap<RequestId, EventKind>> {
    let mut decided = BTreeMap::new();
    let places = Reader::places(options, vec![Topic::Events]).await.map_err(out::bus)?;
    let mut reader = Reader::open(options, places, Start::Earliest).await.map_err(out::bus)?;
    while let Read::Records(records) = reader.read().await.map_err(out::bus)? {
        for record in records {
            let Ok(event) = Event::decode(&record) else { continue };
            if let Some(id) = event.request.filter(|id| wanted(id)) {
                decided.entry(id).or_insert(event.event);
            }
        }
    }
    Ok(decided)
}
