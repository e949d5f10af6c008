//! What the board shows, gathered from the store and the fleet's metrics.

use std::collections::{BTreeMap, HashMap};

use tenantry_contracts::{State, TenantId, Time};
use tenantry_coordinator::fold;
use tenantry_ports::TenantRow;
use tenantry_postgres::{MOST, Queries, TenantFilter};
use tenantry_saga::{Registry, RowState, Rules, Tenant, What, plans};

use super::workers::{Pace, Pages};
use crate::fleet;
use crate::show::sheet::flags;
use crate::why::cause::{Cause, causes};

/// How many parked tenants are folded for their reason, the oldest first.
const REASONS: usize = 60;
/// How many tenants under way are folded to see which worker they wait for, the newest first.
const UNDER_WAY: u16 = 100;

/// One frame.
#[derive(Clone, Debug, Default)]
pub(super) struct Board {
    pub(super) at: Time,
    pub(super) states: Vec<(State, i64)>,
    /// Oldest first.
    pub(super) parked: Vec<Parked>,
    /// How many there are in all.
    pub(super) parked_all: i64,
    pub(super) workers: Vec<Worker>,
    /// Whether more tenants are under way than were looked at.
    pub(super) cut: bool,
    pub(super) lanes: Vec<Lane>,
    /// Commands that run, and that wait for their turn in their process.
    pub(super) load: (f64, f64),
    /// How many processes told their metrics.
    pub(super) processes: usize,
    /// What is wrong with what the board reads.
    pub(super) wrong: Vec<String>,
}

/// A tenant that needs a person.
#[derive(Clone, Debug)]
pub(super) struct Parked {
    pub(super) slug: String,
    pub(super) state: State,
    pub(super) since: Time,
    /// The row and the code, in words.
    pub(super) reason: String,
}

/// A worker.
#[derive(Clone, Debug, Default)]
pub(super) struct Worker {
    pub(super) name: String,
    /// Questions that are open, and when the oldest was asked.
    pub(super) open: usize,
    pub(super) oldest: Option<Time>,
    pub(super) pace: Pace,
    pub(super) failed: f64,
    pub(super) letters: f64,
    pub(super) breaker: f64,
    /// A person paused it, in some lane at least.
    pub(super) paused: bool,
}

/// A lane.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    pub(super) lane: u16,
    pub(super) n: i64,
    /// Committed rows that are not on Kafka yet.
    pub(super) unspoken: i64,
    /// When its owner last said that it lives.
    pub(super) seen_at: Time,
}

/// Gathers boards, one after the other.
pub(super) struct Gatherer {
    store: Queries,
    pages: Pages,
    plans: Registry,
    /// The reasons of parked tenants, by the version at which they were folded.
    reasons: HashMap<TenantId, (i64, String)>,
}

impl Gatherer {
    pub(super) fn new(store: Queries, pages: Pages) -> Self {
        Self { store, pages, plans: plans::all(Rules::default()), reasons: HashMap::new() }
    }

    /// The board at this time.
    ///
    /// # Errors
    /// Where the store cannot be asked.
    pub(super) async fn board(&mut self, now: Time) -> anyhow::Result<Board> {
        let states = self.store.counts().await?;
        let (parked, parked_all) = self.parked(&states).await?;
        let (open, cut) = self.open().await?;
        let look = self.pages.look().await.clone();
        let rows = self.store.lanes().await?;
        let lanes = rows.iter().map(|row| Lane {
            lane: row.lane.0,
            n: row.n,
            unspoken: row.n - row.spoken,
            seen_at: row.seen_at,
        });
        let workers = fleet::Worker::ALL.into_iter().map(|worker| {
            let name = worker.name().to_string();
            let (open, oldest) = open.get(&name).copied().map_or((0, None), |(n, at)| (n, Some(at)));
            let sums = look.workers.get(&name).cloned().unwrap_or_default();
            Worker {
                pace: self.pages.pace(&name),
                name,
                open,
                oldest,
                failed: sums.failed,
                letters: sums.letters,
                breaker: sums.breaker,
                paused: rows.iter().any(|row| row.stopped.stops(&worker.name())),
            }
        });
        Ok(Board {
            at: now,
            states,
            parked,
            parked_all,
            workers: workers.collect(),
            cut,
            lanes: lanes.collect(),
            load: look.load,
            processes: look.answered,
            wrong: look.wrong,
        })
    }

    async fn parked(&mut self, states: &[(State, i64)]) -> anyhow::Result<(Vec<Parked>, i64)> {
        let all = states.iter().filter(|(state, _)| state.is_parked()).map(|(_, count)| count).sum();
        if all == 0 {
            self.reasons.clear();
            return Ok((Vec::new(), 0));
        }
        let parked = State::ALL.into_iter().filter(|state| state.is_parked()).collect();
        let filter = TenantFilter { states: parked, after: None, limit: MOST };
        let mut rows = self.store.tenants(&filter).await?;
        rows.sort_by_key(|row| row.since);
        rows.truncate(REASONS);
        self.reasons.retain(|tenant, _| rows.iter().any(|row| row.tenant == *tenant));
        let mut parked = Vec::with_capacity(rows.len());
        for row in rows {
            let reason = self.reason(&row).await?;
            parked.push(Parked { slug: row.slug.to_string(), state: row.state, since: row.since, reason });
        }
        Ok((parked, all))
    }

    async fn reason(&mut self, row: &TenantRow) -> anyhow::Result<String> {
        if let Some((seq, reason)) = self.reasons.get(&row.tenant)
            && *seq == row.head_seq
        {
            return Ok(reason.clone());
        }
        let reason = match fold(&self.store.history(row.tenant).await?) {
            Some((tenant, _, _)) => {
                let why = words(&causes(&tenant, &self.plans));
                flags(tenant.flags).into_iter().map(str::to_owned).chain([why]).collect::<Vec<_>>().join(", ")
            }
            None => "its journal cannot be read by this version".to_owned(),
        };
        self.reasons.insert(row.tenant, (row.head_seq, reason.clone()));
        Ok(reason)
    }

    /// The open questions by worker: how many, and when the oldest was asked.
    async fn open(&self) -> anyhow::Result<(BTreeMap<String, (usize, Time)>, bool)> {
        let states = vec![State::Requested, State::Provisioning, State::Compensating, State::Updating];
        let filter = TenantFilter { states, after: None, limit: UNDER_WAY };
        let rows = self.store.tenants(&filter).await?;
        let mut open = BTreeMap::new();
        for row in &rows {
            if let Some((tenant, _, _)) = fold(&self.store.history(row.tenant).await?) {
                questions(&tenant, &self.plans, &mut open);
            }
        }
        Ok((open, rows.len() == usize::from(UNDER_WAY)))
    }
}

fn questions(tenant: &Tenant, plans: &Registry, open: &mut BTreeMap<String, (usize, Time)>) {
    let Some(saga) = &tenant.saga else { return };
    let Some(plan) = plans.find(saga.kind, saga.version) else { return };
    for run in &saga.rows {
        let (RowState::Asked { at, .. }, Some(row)) = (&run.state, plan.rows.get(usize::from(run.row)))
        else {
            continue;
        };
        if let What::Step { worker, .. } = &row.what {
            let (count, oldest) = open.entry(worker.to_string()).or_insert((0, *at));
            *count += 1;
            *oldest = (*oldest).min(*at);
        }
    }
}

fn words(causes: &[Cause]) -> String {
    let Some(first) = causes.first() else { return "a person must decide".to_owned() };
    let row = first.row.as_deref().unwrap_or_default();
    match &first.trouble {
        Some(trouble) => format!("{row}: {}", trouble.code),
        None => format!("{row} {}", first.how),
    }
}
