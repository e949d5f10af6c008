//! What the load asks for, how it comes, and what must become of it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tenantry_contracts::{Lane, RequestId, Time, Topic, request};
use tenantry_ports::{Outgoing, Place};

/// Who asks.
const SOURCE: &str = "/bench";

/// What is asked for, how it comes, and what must become of it.
#[derive(Clone, Debug)]
pub(super) struct Work {
    /// The slugs are `b-<run>-<number>`, counted from one.
    pub(super) run: String,
    pub(super) sagas: u64,
    pub(super) pace: Pace,
    /// The request for the tenant of this slug.
    pub(super) request: fn(&str) -> serde_json::Value,
    /// Whether that tenant must fail and be rolled back.
    pub(super) fails: fn(&str) -> bool,
    /// For which tenants more is asked, right behind the first request.
    pub(super) again: Again,
    /// Hear the audit too, and look where it stands still.
    pub(super) audit: bool,
}

/// Further requests for the same slug. Each must be refused, in order, once the first one was accepted. Tenants that fail are
/// asked for once: their slug gets free.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Again {
    /// For each of so many tenants; for none where it is zero.
    pub(super) every: u64,
    /// How many.
    pub(super) times: u64,
}

impl Work {
    /// The product's own kind, all of which must succeed.
    pub(super) fn new(run: impl Into<String>, sagas: u64, pace: Pace) -> Self {
        Self {
            run: run.into(),
            sagas,
            pace,
            request: document,
            fails: |_| false,
            again: Again::default(),
            audit: false,
        }
    }

    pub(super) fn slug(&self, number: u64) -> String {
        format!("b-{}-{number}", self.run)
    }

    /// How many further requests there are for a tenant.
    pub(super) fn further(&self, number: u64) -> u64 {
        let Again { every, times } = self.again;
        let asked = every > 0 && number % every == 1 % every && !(self.fails)(&self.slug(number));
        if asked { times } else { 0 }
    }
}

/// How requests come.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    /// So many in flight at a time; each is due when it is published.
    Closed(u64),
    /// So many a second, whatever became of the others; each is due at its time, also where it is published late.
    Rate(f64),
}

impl Pace {
    /// Whether one more may be published, after so many, with so many that are open.
    pub(super) fn allows(self, sent: u64, open: u64, since: Duration) -> bool {
        match self {
            Self::Closed(in_flight) => open < in_flight,
            Self::Rate(per_s) => sent as f64 <= since.as_secs_f64() * per_s,
        }
    }

    /// When a request was due.
    pub(super) fn due(self, began: Instant, sent: u64) -> Instant {
        match self {
            Self::Closed(_) => Instant::now(),
            Self::Rate(per_s) => began + Duration::from_secs_f64(sent as f64 / per_s),
        }
    }

    /// When the next one is due, if not by an answer.
    pub(super) fn next_due(self, began: Instant, sent: u64) -> Option<Instant> {
        matches!(self, Self::Rate(_)).then(|| self.due(began, sent))
    }
}

/// A request of about 600 bytes.
pub(super) fn document(slug: &str) -> serde_json::Value {
    serde_json::json!({
        "name": format!("Bench {slug}"),
        "slug": slug,
        "environment": "prod",
        "plan": "enterprise",
        "residency": "US",
        "region": "us-east-1",
        "seats": 250,
        "storage_bytes": 500_000_000_000_u64,
        "admin": { "email": format!("admin@{slug}.example.com"), "first_name": "Ada", "last_name": "Example", "role": "tenant-admin" },
        "features": ["reports", "exports", "sso"],
        "customisation": { "note": "y".repeat(180) },
    })
}

/// A request on its home partition.
pub(super) fn request(
    slug: &str,
    id: String,
    body: serde_json::Value,
    home: Lane,
    at: Time,
) -> anyhow::Result<Outgoing> {
    let id = RequestId { source: SOURCE.into(), id };
    Ok(Outgoing {
        place: Place { topic: Topic::Requests, partition: home.0 },
        key: Some(Bytes::copy_from_slice(slug.as_bytes())),
        headers: request::headers(request::TYPE, &id, at, slug, None),
        value: Some(serde_json::to_vec(&body)?.into()),
        tag: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_that_fail_are_asked_for_once() {
        let again = Again { every: 3, times: 2 };
        let work = Work { again, fails: |slug| slug.ends_with("-7"), ..Work::new("r", 9, Pace::Closed(1)) };
        let asked: Vec<u64> = (1..=9).map(|number| work.further(number)).collect();
        assert_eq!(asked, [2, 0, 0, 2, 0, 0, 0, 0, 0]);
        assert_eq!(Work { again: Again::default(), ..work }.further(1), 0);
    }

    #[test]
    fn a_rate_is_kept_whatever_is_open_and_a_loop_is_closed_whatever_the_time() {
        let second = Duration::from_secs(1);
        assert!(Pace::Rate(5.0).allows(5, 99, second) && !Pace::Rate(5.0).allows(6, 0, second));
        assert!(Pace::Closed(2).allows(99, 1, second) && !Pace::Closed(2).allows(0, 2, second));
    }
}
