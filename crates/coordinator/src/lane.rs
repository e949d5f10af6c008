//! A lane's memory: its tenants that are not at rest, its numbers, and what waits to be decided.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tenantry_audit::Head;
use tenantry_contracts::command::Question;
use tenantry_contracts::operation::Operation;
use tenantry_contracts::request::Decoded;
use tenantry_contracts::result::Answer;
use tenantry_contracts::{Environment, Record, Refusal, RequestId, Slug, State, TenantId, Time, Topic};
use tenantry_ports::{HeardAt, LaneRow};
use tenantry_saga::{Registry, Tenant};

use crate::restored::Accepted;
use crate::speak::Spoken;

/// How many tenants of a lane are busy at a time, at most.
pub const BUSY_MOST: usize = 2500;

/// How many undecided records an inbox gathers before no more are heard for it.
const INBOX_MOST: usize = 4000;

/// What was heard and is not decided.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    pub(crate) items: VecDeque<Item>,
    /// Nothing is heard for it until it has been worked off.
    full: bool,
}

impl Inbox {
    /// Takes an item. Whether it is full from here on.
    pub(crate) fn push(&mut self, item: Item) -> bool {
        self.items.push_back(item);
        let fills = self.items.len() == INBOX_MOST;
        self.full |= fills;
        fills
    }

    /// Whether it was full, and is worked off.
    pub(crate) fn emptied(&mut self) -> bool {
        self.full && self.items.len() < INBOX_MOST / 4 && std::mem::take(&mut self.full)
    }
}

/// One lane that this process serves.
#[derive(Debug)]
pub(crate) struct Lane {
    /// The row as it will be written with the next batch.
    pub(crate) row: LaneRow,
    /// Its number when the last batch committed.
    pub(crate) committed_n: i64,
    /// When the row was last written.
    pub(crate) written: Time,
    /// The tenants that are not at rest.
    pub(crate) tenants: BTreeMap<TenantId, Held>,
    /// Who holds a slug, among them.
    pub(crate) slugs: BTreeMap<(Environment, Slug), TenantId>,
    /// When they are due.
    dues: BTreeSet<(Time, TenantId)>,
    /// Questions to be said again after *not yet* or *expired*.
    pub(crate) again: BTreeMap<(Time, u64), Question>,
    again_seq: u64,
    /// Requests that were heard and wait for room among the tenants that are busy.
    pub(crate) requests: Inbox,
    /// Answers and operations that were heard and wait for the next batch.
    pub(crate) inbox: Inbox,
    /// How many tenants are busy.
    busy: usize,
    /// The generations under which its three topics are heard.
    pub(crate) generations: BTreeMap<Topic, u64>,
    /// What was said and is not acknowledged.
    pub(crate) spoken: Spoken,
    /// A pause to be written with the first batch after a take-over, in milliseconds.
    pub(crate) pause_ms: Option<i64>,
    /// A restore of the store that was accepted: written first of all.
    pub(crate) restored: Option<Box<Accepted>>,
    /// Tenants that came to rest after their row was last written; the first batch writes it.
    pub(crate) rested: Vec<TenantId>,
    /// When people's verbs turned tenants back in the last hour.
    pub(crate) turned: VecDeque<Time>,
    /// What due times depend on while a worker is stopped.
    plans: Registry,
}

/// A tenant in memory.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// The tenant.
    pub(crate) tenant: Tenant,
    /// The head of its chain.
    pub(crate) head: Head,
    /// The journal number of its last row.
    pub(crate) head_n: i64,
    /// Its row as it was last written, if it was.
    pub(crate) row: Option<Written>,
    /// Its due time in [`Lane::dues`].
    due: Option<Time>,
    /// It counts in [`Lane::busy`].
    busy: bool,
}

/// A tenant's row as it was last written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    /// When.
    pub(crate) at: Time,
    /// Up to which journal number it shows.
    pub(crate) n: i64,
    /// Whether it says that the tenant is at rest.
    pub(crate) at_rest: bool,
}

impl Held {
    pub(crate) fn new(tenant: Tenant, head: Head, head_n: i64, row: Option<Written>) -> Self {
        Self { tenant, head, head_n, row, due: None, busy: false }
    }
}

/// Something that a batch decides on.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    /// A record of `tenant.requests`.
    Request(Record, Decoded),
    /// A record of `tenant.results`.
    Answer(Record, Result<Answer, Refusal>),
    /// A record of `tenant.operations`.
    Operation(Record, Result<Operation, Refusal>),
    /// A tenant whose time has come.
    Due(TenantId),
}

impl Lane {
    pub(crate) fn new(row: LaneRow, now: Time, plans: Registry) -> Self {
        let (n, spoken) = (row.n, row.spoken);
        Self {
            row,
            committed_n: n,
            written: now,
            tenants: BTreeMap::new(),
            slugs: BTreeMap::new(),
            dues: BTreeSet::new(),
            again: BTreeMap::new(),
            again_seq: 0,
            requests: Inbox::default(),
            inbox: Inbox::default(),
            busy: 0,
            generations: BTreeMap::new(),
            spoken: Spoken::new(spoken),
            pause_ms: None,
            restored: None,
            rested: Vec::new(),
            turned: VecDeque::new(),
            plans,
        }
    }

    /// Where one of its topics was heard up to. `None` for topics that a lane does not hear.
    pub(crate) fn heard(&mut self, topic: &Topic) -> Option<&mut HeardAt> {
        match topic {
            Topic::Requests => Some(&mut self.row.requests),
            Topic::Results => Some(&mut self.row.results),
            Topic::Operations => Some(&mut self.row.operations),
            _ => None,
        }
    }

    /// Takes a tenant into memory, or back into it.
    pub(crate) fn hold(&mut self, held: Held) {
        let id = held.tenant.id;
        if held.tenant.holds_slug() {
            let request = &held.tenant.request;
            self.slugs.insert((request.environment.clone(), request.slug.clone()), id);
        }
        self.tenants.insert(id, held);
        self.settle(id);
    }

    /// Puts a tenant's due time right after it changed.
    pub(crate) fn settle(&mut self, id: TenantId) {
        let Some(held) = self.tenants.get_mut(&id) else { return };
        let (stopped, paused_ms) = (&self.row.stopped, self.row.paused_ms);
        let due = if stopped.is_empty() {
            held.tenant.next_due(paused_ms)
        } else {
            held.tenant.next_due_while(&self.plans, stopped, paused_ms)
        };
        if due != held.due {
            if let Some(old) = held.due {
                self.dues.remove(&(old, id));
            }
            if let Some(new) = due {
                self.dues.insert((new, id));
            }
            held.due = due;
        }
        let state = held.tenant.state;
        let busy = due.is_some() && !state.is_parked() && state != State::Grace;
        self.busy = self.busy + usize::from(busy) - usize::from(std::mem::replace(&mut held.busy, busy));
        if !held.tenant.holds_slug() {
            let request = &held.tenant.request;
            let key = (request.environment.clone(), request.slug.clone());
            if self.slugs.get(&key) == Some(&id) {
                self.slugs.remove(&key);
            }
        }
    }

    /// Lets go of a tenant that is at rest.
    pub(crate) fn release(&mut self, id: TenantId) {
        if let Some(held) = self.tenants.remove(&id) {
            self.busy -= usize::from(held.busy);
            if let Some(due) = held.due {
                self.dues.remove(&(due, id));
            }
            let request = &held.tenant.request;
            let key = (request.environment.clone(), request.slug.clone());
            if self.slugs.get(&key) == Some(&id) {
                self.slugs.remove(&key);
            }
        }
    }

    /// How many more requests may be taken up now. A saga takes memory from its first row to its last, however many are
    /// asked for at once; so there is a limit, and what is begun is finished first. Who waits for a person, or for the end
    /// of a grace period, does not count.
    pub(crate) fn room(&self) -> usize {
        BUSY_MOST.saturating_sub(self.busy)
    }

    /// Puts back what was not decided, in front of what came in since.
    pub(crate) fn put_back(&mut self, items: impl DoubleEndedIterator<Item = Item>) {
        for item in items.rev() {
            match item {
                Item::Request(..) => self.requests.items.push_front(item),
                Item::Answer(..) | Item::Operation(..) => self.inbox.items.push_front(item),
                // It is still due.
                Item::Due(_) => {}
            }
        }
    }

    /// When something is due next: a tenant, or a question to be said again.
    pub(crate) fn next_due(&self) -> Option<Time> {
        let due = self.dues.first().map(|(at, _)| *at);
        let again = self.again.first_key_value().map(|((at, _), _)| *at);
        [due, again].into_iter().flatten().min()
    }

    /// Whether some tenant's time has come.
    pub(crate) fn is_due(&self, now: Time) -> bool {
        self.dues.first().is_some_and(|(at, _)| *at <= now)
    }

    /// The tenants whose time has come.
    pub(crate) fn due(&self, now: Time) -> Vec<TenantId> {
        self.dues.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| *id).collect()
    }

    /// A question is to be said again.
    pub(crate) fn say_again(&mut self, at: Time, question: Question) {
        self.again_seq += 1;
        self.again.insert((at, self.again_seq), question);
    }

    /// Moves every due time after a pause became known.
    pub(crate) fn paused(&mut self, ms: i64) {
        self.row.paused_ms += ms;
        self.settle_all();
    }

    /// Puts every due time right after what they depend on changed.
    pub(crate) fn settle_all(&mut self) {
        let ids: Vec<_> = self.tenants.keys().copied().collect();
        for id in ids {
            self.settle(id);
        }
    }
}

/// Reads a record for a lane.
pub(crate) fn read(record: Record, lanes: u16, default_plan: &str) -> Item {
    match record.topic {
        Topic::Results => {
            let answer = Answer::decode(&record);
            Item::Answer(record, answer)
        }
        Topic::Operations => {
            let operation = tenantry_contracts::operation::decode_operation(&record);
            Item::Operation(record, operation)
        }
        _ => {
            let decoded = tenantry_contracts::request::decode(&record, lanes, default_plan);
            Item::Request(record, decoded)
        }
    }
}

/// The request or operation id of an item, where it has one.
pub(crate) fn request_id(item: &Item) -> Option<&RequestId> {
    match item {
        Item::Request(_, Decoded::Heard(heard)) => Some(&heard.id),
        Item::Request(_, Decoded::Refused { id, .. }) => id.as_ref(),
        Item::Operation(_, Ok(operation)) => Some(&operation.id),
        _ => None,
    }
}
