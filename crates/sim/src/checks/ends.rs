//! Terminates, all or nothing, and the slug is freed.

use std::collections::{BTreeMap, BTreeSet};

use tenantry_contracts::audit::AuditKind;
use tenantry_contracts::{State, TenantId};

use super::{Book, report};
use crate::evidence::{Broken, Evidence, Living};

/// The state of each tenant by the last event of its chain in the journal.
fn states(evidence: &Evidence, book: &Book) -> BTreeMap<TenantId, State> {
    let mut states = BTreeMap::new();
    for page in &book.pages {
        if let (Some(tenant), Some(state)) = (evidence.journal[page.row].tenant, page.audit.state) {
            states.insert(tenant, state);
        }
    }
    states
}

/// How many tenants rest in each state, by the journal.
pub fn outcomes(evidence: &Evidence) -> BTreeMap<State, u64> {
    let mut counts = BTreeMap::new();
    if let Ok(book) = Book::read(evidence) {
        for state in states(evidence, &book).into_values() {
            *counts.entry(state).or_default() += 1;
        }
    }
    counts
}

/// What people did, by the kinds of the events that name them.
pub fn deeds(evidence: &Evidence) -> Vec<&'static str> {
    let pages = Book::read(evidence).map(|book| book.pages).unwrap_or_default();
    let named = pages.iter().filter(|page| page.audit.actor.is_some());
    named.map(|page| page.audit.kind.as_str()).collect()
}

pub(super) fn check(evidence: &Evidence, book: &Book, broken: &mut Vec<Broken>) {
    let states = states(evidence, book);
    let mut ended: BTreeMap<TenantId, State> = BTreeMap::new();
    for page in &book.pages {
        let Some(tenant) = evidence.journal[page.row].tenant else { continue };
        let kept = [AuditKind::HoldPlaced, AuditKind::HoldReleased, AuditKind::Forgotten];
        if let Some(state) = ended.get(&tenant).filter(|_| !kept.contains(&page.audit.kind)) {
            let how = format!("{tenant} was {state} and then had {}", page.audit.kind.as_str());
            report(broken, "nothing leads out of a final state", how);
        }
        if let Some(state) = page.audit.state.filter(|state| state.is_final()) {
            ended.insert(tenant, state);
        }
    }
    for row in &evidence.tenants {
        let Some(state) = states.get(&row.tenant) else {
            report(broken, "every tenant has a history", format!("{} has none", row.tenant));
            continue;
        };
        let rests =
            state.is_final() || state.is_parked() || matches!(state, State::Active | State::Suspended);
        if !rests {
            report(broken, "terminates", format!("{} ({}) is still {state}", row.tenant, row.slug));
        }
        if state.is_final() || *state == State::Active {
            if row.state != *state || !row.at_rest {
                let how =
                    format!("{} is {state}; its row says {}, at rest {}", row.tenant, row.state, row.at_rest);
                report(broken, "the tenant's row says what its journal says", how);
            }
            if row.holds_slug == state.is_final() {
                let how = format!("{} is {state}; holds its slug: {}", row.tenant, row.holds_slug);
                report(broken, "the slug is held while the tenant lives", how);
            }
        }
    }
    for tenant in states.keys().filter(|id| !evidence.tenants.iter().any(|row| row.tenant == **id)) {
        report(broken, "every history has a tenant", format!("{tenant} has no row"));
    }
    let mut slugs = BTreeSet::new();
    for row in evidence.tenants.iter().filter(|row| row.holds_slug) {
        if !slugs.insert((&row.environment, &row.slug)) {
            report(broken, "one living tenant for each slug", format!("{} in {}", row.slug, row.environment));
        }
    }
    all_or_nothing(evidence, &states, broken);
}

fn all_or_nothing(evidence: &Evidence, states: &BTreeMap<TenantId, State>, broken: &mut Vec<Broken>) {
    let mut living: BTreeMap<TenantId, Vec<&Living>> = BTreeMap::new();
    for thing in &evidence.living {
        living.entry(thing.tenant).or_default().push(thing);
    }
    for (tenant, state) in states {
        let things = living.remove(tenant).unwrap_or_default();
        if state.is_final() && !things.is_empty() {
            let how = format!("{tenant} is {state}, and {} is there", things[0].resource);
            report(broken, "nothing is left of what was undone", how);
        }
        if *state != State::Active {
            continue;
        }
        for stem in &evidence.expected {
            let count = things.iter().filter(|thing| thing.stem() == stem).count();
            if count != 1 {
                let how = format!("{tenant} is ACTIVE with {count} of {stem}");
                report(broken, "everything exists once", how);
            }
        }
    }
    for (tenant, things) in living {
        report(broken, "nothing is anybody's but a tenant's", format!("{} of {tenant}", things[0].resource));
    }
}
