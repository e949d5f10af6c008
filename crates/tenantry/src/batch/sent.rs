//! How one tenant is sent the verb, and what became of it.

use tenantry_contracts::Code;
use tenantry_contracts::event::{Event, EventKind};
use tenantry_contracts::operation::OperationVerb;

use super::selection::{Chosen, Selection};
use super::verb;
use crate::frozen::file;
use crate::frozen::house::House;
use crate::frozen::past::Past;
use crate::frozen::people::People;
use crate::frozen::progress::Ended;
use crate::frozen::run::{self, End, Says, Work};
use crate::show::trouble::Trouble;
use crate::why::cause::causes;

type Open<'a> = run::Open<'a, Chosen>;
type Begun<'a> = run::Begun<'a, Chosen>;

/// The verb of a selection, sent.
pub(super) struct Sent<'a> {
    pub(super) house: &'a House,
    pub(super) selection: &'a Selection,
    /// Whose work it is.
    pub(super) people: People,
    /// The second person answers for each tenant, and not only for the batch: the fleet's limit does not hold.
    pub(super) beyond_limit: bool,
    /// Hears of each tenant for which it ended.
    pub(super) tell: &'a dyn Fn(&Chosen, Ended, &str),
}

impl Work for Sent<'_> {
    type Item = Chosen;

    fn id(&self, chosen: &Chosen) -> String {
        chosen.tenant.to_string()
    }

    fn key(&self, chosen: &Chosen) -> String {
        chosen.tenant.to_string()
    }

    async fn begin<'a>(&self, mut one: Open<'a>, says: &mut Says<'_>) -> anyhow::Result<Begun<'a>> {
        let chosen = one.item;
        let moved = |why: String| Ok(Begun::Ended(End::With(Ended::MovedOn, why)));
        let Some(past) = self.house.past(chosen.tenant).await? else {
            return moved("the store does not know it".into());
        };
        let id = self.selection.operation(chosen.tenant, says.progress().back(&self.id(chosen)));
        one.id = Some(id.clone());
        if past.taken_up(&id).is_some() {
            return Ok(Begun::Open(one));
        }
        let version = past.tenant.version;
        if version != chosen.version {
            return moved(format!(
                "version {version}, planned at {}; it is {}",
                chosen.version, past.tenant.state
            ));
        }
        let people = self.people.because(&format!("batch {}", file::short(&self.selection.digest)));
        let verb = self.selection.verb.clone();
        let limited = verb == OperationVerb::Cancel && !self.beyond_limit;
        let people = if limited { people.alone() } else { people };
        let operation = people.operation(id, verb, Some(chosen.target()), Some(chosen.version))?;
        let record = self.house.record(&operation)?;
        one.ours = true;
        says.say(record).await?;
        Ok(Begun::Open(one))
    }

    fn heard(&self, one: &mut Open<'_>, event: &Event) -> Option<End> {
        if one.id.is_none() || one.id != event.request {
            return None;
        }
        let code = event.refusal.as_ref().map(|refusal| refusal.code);
        let why = event.refusal.as_ref().map_or_else(String::new, ToString::to_string);
        match (event.event, code) {
            (EventKind::RequestDuplicate, _) | (EventKind::OperationRefused, Some(Code::RequestIdReused)) => {
                one.before = true;
                None
            }
            // Everybody else would hear the same until an hour is over, or a key is there.
            (
                EventKind::OperationRefused,
                Some(Code::BlastRadius | Code::SignatureMissing | Code::SignatureInvalid),
            ) => Some(End::NotNow(why)),
            (
                EventKind::OperationRefused,
                Some(Code::VersionStale | Code::VerbNotAllowed | Code::TenantUnknown),
            ) => Some(End::With(Ended::MovedOn, why)),
            (EventKind::OperationRefused, _) => Some(End::With(Ended::Failed, why)),
            _ => None,
        }
    }

    async fn look(&self, one: &Open<'_>) -> anyhow::Result<Option<End>> {
        let Some(past) = self.house.past(one.item.tenant).await? else { return Ok(None) };
        if one.id.as_ref().and_then(|id| past.taken_up(id)).is_none() {
            let refused = || End::With(Ended::MovedOn, "an earlier run asked, and was refused".to_owned());
            return Ok(one.before.then(refused));
        }
        let end = verb::end(&self.selection.verb, past.tenant.state);
        Ok(end.map(|how| End::With(how, self.words(how, &past))))
    }

    fn tell(&self, chosen: &Chosen, how: Ended, why: &str) {
        (self.tell)(chosen, how, why);
    }
}

impl Sent<'_> {
    fn words(&self, how: Ended, past: &Past) -> String {
        let (verb, state) = (self.selection.verb.as_str(), past.tenant.state);
        let causes = causes(&past.tenant, &self.house.plans);
        let cause = causes.first().filter(|_| how == Ended::Failed);
        let code =
            cause.and_then(|cause| cause.trouble.as_ref()).map(|Trouble { code, .. }| format!(" ({code})"));
        format!("{verb} was taken up; it is {state}{}", code.unwrap_or_default())
    }
}
