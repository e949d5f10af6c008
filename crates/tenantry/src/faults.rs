//! Faults on purpose, for tests, drills and the demo: `TENANTRY_FAULTS` breaks real steps at their named points.
//!
//! ```text
//! rules   = rule { ";" rule }
//! rule    = point "=" action { ":" modifier }
//! point   = a point's name, or its beginning and `*`
//! action  = "no" | "shaky" | "not-yet" | "hang"
//! ```
//!
//! | action | what the step does at the point | number |
//! |---|---|---|
//! | `no` | refuses for good, with code `fault_injected` | |
//! | `shaky` | fails in a way that is tried again | so many times for each tenant, then it passes; always without it |
//! | `not-yet` | asks to be asked again | after so many milliseconds (500), once for each tenant |
//! | `hang` | never comes back | |
//!
//! Modifiers choose tenants, and all must hold: `5%` is a fixed share of all slugs, by hash; `slug:broken-*` those with
//! such a slug. `class:conflict` is the class of a `no` (business where nothing is said).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tenantry_contracts::{Class, Code, TenantId};
use tenantry_step::{Cx, Point, Points, Trouble};

use crate::fleet::Worker;
use crate::out::{Refused, usage};

/// The help text of the variable.
pub const HELP: &str = "\
Faults on purpose (for drills and tests; off unless set):
  TENANTRY_FAULTS='database.before-ddl=no:5%; validate.*=shaky:3; credentials.before-mail=hang:slug:stuck-*'
  A point (or its beginning and *), then no | shaky[:times] | not-yet[:ms] | hang, then any of 5%, slug:PATTERN,
  class:CLASS. The same slugs are hit each time.
  TENANTRY_CLOCK_OFFSET_MS moves the fleet's clock.";

/// What is broken, and for whom.
#[derive(Debug, Default)]
pub struct Faults {
    rules: Vec<Rule>,
    /// How often each rule has hit a tenant, for rules that end.
    hits: Mutex<BTreeMap<(usize, TenantId), u32>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    /// As it was written, for the log.
    text: String,
    point: Pattern,
    action: Action,
    /// In hundredths of a percent.
    share: Option<u64>,
    slug: Option<Pattern>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    No(Class),
    Shaky(Option<u32>),
    NotYet(Duration),
    Hang,
}

/// A text, or its beginning and a star.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    stem: String,
    open: bool,
}

impl Pattern {
    fn new(text: &str) -> Self {
        match text.strip_suffix('*') {
            Some(stem) => Self { stem: stem.to_owned(), open: true },
            None => Self { stem: text.to_owned(), open: false },
        }
    }

    fn fits(&self, text: &str) -> bool {
        if self.open { text.starts_with(&self.stem) } else { text == self.stem }
    }
}

impl Faults {
    /// The rules of `TENANTRY_FAULTS`; none where it is not set.
    ///
    /// # Errors
    /// As [`Faults::parse`].
    pub fn from_env() -> Result<Self, Refused> {
        match std::env::var("TENANTRY_FAULTS") {
            Ok(text) => Self::parse(&text),
            Err(_) => Ok(Self::default()),
        }
    }

    /// Reads rules.
    ///
    /// # Errors
    /// `faults_invalid`: grammar, or a point that no step has.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        let rules = text.split(';').map(str::trim).filter(|rule| !rule.is_empty()).map(Rule::parse);
        Ok(Self { rules: rules.collect::<Result<_, _>>()?, hits: Mutex::default() })
    }

    /// Whether anything is broken at all.
    pub fn armed(&self) -> bool {
        !self.rules.is_empty()
    }

    /// Says loudly what is broken.
    pub fn warn(&self) {
        for rule in &self.rules {
            tracing::warn!(
                rule = rule.text,
                "A FAULT IS ARMED by TENANTRY_FAULTS: steps will fail on purpose"
            );
        }
    }

    fn hit(&self, slug: &str, tenant: TenantId, name: &str) -> Point {
        for (at, rule) in self.rules.iter().enumerate() {
            if !rule.chooses(slug, name) {
                continue;
            }
            if let Some(most) = rule.most() {
                let mut hits = self.hits.lock().unwrap_or_else(PoisonError::into_inner);
                let hits = hits.entry((at, tenant)).or_default();
                if *hits >= most {
                    continue;
                }
                *hits += 1;
            }
            return match rule.action {
                Action::No(class) => Point::Trouble(Trouble::no(
                    Code::FaultInjected,
                    class,
                    format!("broken on purpose at {name}"),
                )),
                Action::Shaky(_) => {
                    Point::Trouble(Trouble::shaky(format_args!("broken on purpose at {name}")))
                }
                Action::NotYet(after) => Point::Trouble(Trouble::NotYet(after)),
                Action::Hang => Point::Hang,
            };
        }
        Point::Pass
    }
}

impl Points for Faults {
    fn at(&self, cx: &Cx, name: &'static str) -> Point {
        if self.rules.is_empty() { Point::Pass } else { self.hit(cx.slug.as_str(), cx.tenant, name) }
    }
}

impl Rule {
    fn parse(text: &str) -> Result<Self, Refused> {
        let refused = |what: fmt::Arguments<'_>| {
            usage(
                "faults_invalid",
                format!("rule {text:?}: {what}; write point=action[:modifier], see `tenantry up --help`"),
            )
        };
        let (point, rest) = text.split_once('=').ok_or_else(|| refused(format_args!("there is no =")))?;
        let point = Pattern::new(point.trim());
        if !points().any(|known| point.fits(known)) {
            let known: Vec<_> = points().collect();
            return Err(refused(format_args!("no step has such a point; there are {}", known.join(", "))));
        }
        let mut words = rest.split(':').map(str::trim);
        let action = words.next().unwrap_or_default();
        let (mut class, mut number, mut share, mut slug) = (Class::Business, None, None, None);
        while let Some(word) = words.next() {
            if let Some(percent) = word.strip_suffix('%') {
                let percent: f64 = percent
                    .parse()
                    .ok()
                    .filter(|p| (0.0..=100.0).contains(p))
                    .ok_or_else(|| refused(format_args!("{word} is no share between 0% and 100%")))?;
                share = Some((percent * 100.0).round() as u64);
            } else if let Ok(value) = word.parse::<u32>() {
                number = Some(value);
            } else if word == "slug" {
                slug = Some(Pattern::new(words.next().unwrap_or_default()));
            } else if word == "class" {
                let name = words.next().unwrap_or_default();
                class = CLASSES.into_iter().find(|class| class.as_str() == name).ok_or_else(|| {
                    let known = CLASSES.map(Class::as_str).join(", ");
                    refused(format_args!("{name:?} is no class; there are {known}"))
                })?;
            } else {
                return Err(refused(format_args!("{word:?} is no modifier")));
            }
        }
        let action = match action {
            "no" => Action::No(class),
            "shaky" => Action::Shaky(number),
            "not-yet" => Action::NotYet(Duration::from_millis(number.unwrap_or(500).into())),
            "hang" => Action::Hang,
            other => return Err(refused(format_args!("{other:?} is no action"))),
        };
        Ok(Self { text: text.to_owned(), point, action, share, slug })
    }

    fn chooses(&self, slug: &str, name: &str) -> bool {
        self.point.fits(name)
            && self.slug.as_ref().is_none_or(|pattern| pattern.fits(slug))
            && self.share.is_none_or(|share| lot(&self.text, slug) < share)
    }

    /// How often the rule hits one tenant.
    fn most(&self) -> Option<u32> {
        match self.action {
            Action::Shaky(times) => times,
            Action::NotYet(_) => Some(1),
            Action::No(_) | Action::Hang => None,
        }
    }
}

const CLASSES: [Class; 9] = [
    Class::Validation,
    Class::Policy,
    Class::Business,
    Class::Capacity,
    Class::Conflict,
    Class::Config,
    Class::Exhausted,
    Class::UnknownOutcome,
    Class::Bug,
];

/// Every point of every step.
pub fn points() -> impl Iterator<Item = &'static str> {
    Worker::ALL.into_iter().flat_map(Worker::points).copied()
}

/// A number below 10,000 that is the same each time for a rule and a slug, and differs between rules.
fn lot(rule: &str, slug: &str) -> u64 {
    let digest = Sha256::digest(format!("{rule}\n{slug}").as_bytes());
    digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte)) % 10_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(number: u128) -> TenantId {
        TenantId(uuid::Uuid::from_u128(number))
    }

    fn is_no(point: &Point) -> bool {
        matches!(point, Point::Trouble(Trouble::No { code: Code::FaultInjected, .. }))
    }

    #[test]
    fn a_share_hits_the_same_slugs_each_time_and_about_so_many() {
        let faults = Faults::parse("database.before-ddl=no:5%").unwrap();
        let hit: Vec<bool> = (0..2000)
            .map(|n| is_no(&faults.hit(&format!("tenant-{n}"), tenant(n), "database.before-ddl")))
            .collect();
        let again: Vec<bool> = (0..2000)
            .map(|n| is_no(&faults.hit(&format!("tenant-{n}"), tenant(n + 9999), "database.before-ddl")))
            .collect();
        assert_eq!(hit, again);
        let count = hit.iter().filter(|hit| **hit).count();
        assert!((60..140).contains(&count), "{count} of 2000");
        assert!(matches!(faults.hit("tenant-1", tenant(1), "database.before-seed"), Point::Pass));
    }

    #[test]
    fn a_shaky_point_passes_after_so_many_times_for_each_tenant() {
        let faults = Faults::parse("validate.*=shaky:2:slug:weak-*").unwrap();
        let at =
            |slug: &str, id| matches!(faults.hit(slug, tenant(id), "validate.before-claims"), Point::Pass);
        assert_eq!([at("weak-1", 1), at("weak-1", 1), at("weak-1", 1)], [false, false, true]);
        assert_eq!([at("weak-2", 2), at("strong", 3)], [false, true]);
    }

    #[test]
    fn classes_and_the_other_actions_are_read() {
        let faults =
            Faults::parse("database.before-seed=no:class:conflict; credentials.before-mail=hang").unwrap();
        let Point::Trouble(Trouble::No { class, .. }) = faults.hit("a", tenant(1), "database.before-seed")
        else {
            panic!("it should say no");
        };
        assert_eq!(class, Class::Conflict);
        assert!(matches!(faults.hit("a", tenant(1), "credentials.before-mail"), Point::Hang));
        let faults = Faults::parse("validate.before-claims=not-yet:30").unwrap();
        let first = faults.hit("a", tenant(1), "validate.before-claims");
        assert!(
            matches!(first, Point::Trouble(Trouble::NotYet(after)) if after == Duration::from_millis(30))
        );
        assert!(matches!(faults.hit("a", tenant(1), "validate.before-claims"), Point::Pass));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_what_would() {
        for text in [
            "database.before-lunch=no",
            "nonsense",
            "validate.before-claims=maybe",
            "validate.before-claims=no:150%",
            "validate.before-claims=no:often",
            "validate.before-claims=no:class:bad",
        ] {
            assert_eq!(Faults::parse(text).unwrap_err().code, "faults_invalid", "{text}");
        }
        assert!(!Faults::parse(" ; ").unwrap().armed());
    }
}
