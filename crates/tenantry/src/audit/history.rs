//! `audit verify --with-history`: the journal is folded through the pure core and told anew, row by row of each lane, and
//! what comes out is held against what stands in the journal and on the topic. Chains that are sound in themselves and tell
//! something that never happened are found so.

use std::collections::VecDeque;

use serde::Serialize;
use tenantry_audit::{Breach, Problem};
use tenantry_contracts::audit::{AuditEvent, AuditKind};
use tenantry_contracts::{Fleet, Lane, Origin, Record, Topic};
use tenantry_coordinator::{Difference, Retelling, Retold, Unsound};
use tenantry_kafka::{Options, Read, Reader, Start};
use tenantry_ports::{LaneRow, Place};
use tenantry_postgres::Queries;
use tenantry_saga::{Rules, plans};

use super::place;
use crate::journal::read::{Rows, Shelf};
use crate::out;

/// What the history showed.
#[derive(Debug, Default, Serialize)]
pub struct Proved {
    /// How many rows were told anew.
    pub rows: u64,
    /// How many of them were compared with the topic as well.
    pub on_topic: u64,
    /// Where the first difference is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub differs: Option<Differs>,
    /// The same for people.
    #[serde(skip)]
    pub(super) problem: Option<Problem>,
}

/// A record that is not what the history says.
#[derive(Debug, Serialize)]
pub struct Differs {
    /// The journal row.
    pub lane: Lane,
    /// Its number.
    pub n: i64,
    /// Its tenant; none for the lane's own chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The place in its chain.
    pub seq: i64,
    /// The member that differs, and what both say.
    #[serde(flatten)]
    pub difference: Difference,
}

/// Tells the whole journal anew. With a bus, what the topic holds is compared too.
pub(super) async fn prove(
    store: &Queries,
    shelf: &Shelf,
    bus: Option<&Options>,
    fleet: &Fleet,
) -> anyhow::Result<Proved> {
    let plans = plans::all(Rules::default());
    let mut proved = Proved::default();
    // The lanes first: what they say was spoken must be there when the topic is read.
    for lane in store.lanes().await? {
        let said = match bus {
            Some(options) => Some(Said::open(options, &lane).await?),
            None => None,
        };
        let mut look = Look { lane: &lane, said, proved: &mut proved };
        let mut telling = Retelling::new(fleet, &plans, &lane);
        if !look.lane(Rows::of(store, shelf, lane.lane), &mut telling).await? {
            return Ok(proved);
        }
        match telling.end(&lane) {
            Ok(told) => {
                look.all(told).await?;
            }
            Err(unsound) => look.unsound(unsound).await?,
        }
        if proved.problem.is_some() {
            return Ok(proved);
        }
    }
    Ok(proved)
}

/// One lane while it is looked at.
struct Look<'a> {
    lane: &'a LaneRow,
    said: Option<Said>,
    proved: &'a mut Proved,
}

impl Look<'_> {
    /// Every row up to the lane's number. `false`: something was found.
    async fn lane(&mut self, mut rows: Rows<'_>, telling: &mut Retelling<'_>) -> anyhow::Result<bool> {
        loop {
            let page = rows.page().await?;
            let more = page.last().is_some_and(|row| row.n < self.lane.n);
            for row in page.into_iter().filter(|row| row.n <= self.lane.n) {
                if telling.lacks(&row).is_some() {
                    telling.wake(&rows.before(&row).await?);
                }
                match telling.hear(row) {
                    Ok(told) => {
                        if !self.all(told).await? {
                            return Ok(false);
                        }
                    }
                    Err(unsound) => {
                        self.unsound(unsound).await?;
                        return Ok(false);
                    }
                }
            }
            if !more {
                return Ok(true);
            }
        }
    }

    async fn all(&mut self, told: Vec<Retold>) -> anyhow::Result<bool> {
        for row in told {
            self.proved.rows += 1;
            if !self.same(&row).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Holds one row against what stands in the journal and on the topic.
    async fn same(&mut self, row: &Retold) -> anyhow::Result<bool> {
        let here = place(row.lane, row.n);
        let Some(stands) = &row.stands else {
            let message = "the row holds no audit record".to_owned();
            self.found(Breach::Unreadable, Some((row.chain(), row.seq)), here, message);
            return Ok(false);
        };
        if let Some(difference) = Difference::between(&row.told, stands) {
            self.differs(row, difference, here);
            return Ok(false);
        }
        let Some(said) = &mut self.said else { return Ok(true) };
        loop {
            match said.peek().await? {
                Some(record) if record.n < row.n => {
                    let (whose, at, n) = (record.whose.clone(), record.at.clone(), record.n);
                    said.drop_first();
                    // What a restored store lost stands before the record that says so.
                    if row.what != AuditKind::RestoreAccepted {
                        let message = format!("the journal has no row {n} in lane {}", row.lane);
                        self.found(Breach::Unknown, Some(whose), at, message);
                        return Ok(false);
                    }
                }
                Some(record) if record.n == row.n => {
                    let difference = Difference::between(&row.told, &record.value);
                    let at = record.at.clone();
                    said.drop_first();
                    self.proved.on_topic += 1;
                    if let Some(difference) = difference {
                        self.differs(row, difference, at);
                        return Ok(false);
                    }
                    return Ok(true);
                }
                _ if row.n <= self.lane.spoken => {
                    let message = format!("it is in the journal at {here}, and not on the topic");
                    self.found(Breach::Missing, Some((row.chain(), row.seq)), here, message);
                    return Ok(false);
                }
                _ => return Ok(true),
            }
        }
    }

    fn differs(&mut self, row: &Retold, difference: Difference, at: Origin) {
        let message = format!("row {} of lane {}: {difference}", row.n, row.lane);
        self.found(Breach::Altered, Some((row.chain(), row.seq)), at, message);
        let tenant = row.tenant.map(|tenant| tenant.to_string());
        self.proved.differs = Some(Differs { lane: row.lane, n: row.n, tenant, seq: row.seq, difference });
    }

    /// A row that is missing is named by the topic, where that has it.
    async fn unsound(&mut self, unsound: Unsound) -> anyhow::Result<()> {
        let said = match &mut self.said {
            Some(said) => said.peek().await?.filter(|record| record.n == unsound.n),
            None => None,
        };
        let known = (unsound.seq > 0).then(|| {
            let chain = unsound.tenant.map_or_else(|| unsound.lane.chain(), |tenant| tenant.to_string());
            (chain, unsound.seq)
        });
        let whose = known.or_else(|| said.map(|record| record.whose.clone()));
        let breach = if unsound.missing { Breach::Missing } else { Breach::Unreadable };
        self.found(breach, whose, place(unsound.lane, unsound.n), unsound.to_string());
        Ok(())
    }

    fn found(&mut self, breach: Breach, whose: Option<(String, i64)>, at: Origin, message: String) {
        let (chain, seq) = whose.unzip();
        self.proved.problem = Some(Problem { breach, chain, seq, at: Some(at), message });
    }
}

/// What one lane said on its partition of the topic: first occurrences, in order. Repeats are the chains' matter.
struct Said {
    reader: Option<Reader>,
    waiting: VecDeque<Record>,
    first: Option<One>,
    upto: i64,
}

/// A record.
struct One {
    n: i64,
    whose: (String, i64),
    at: Origin,
    value: bytes::Bytes,
}

impl Said {
    async fn open(options: &Options, lane: &LaneRow) -> anyhow::Result<Self> {
        let places = vec![Place { topic: Topic::Audit, partition: lane.lane.0 }];
        let reader = Reader::open(options, places, Start::Earliest).await.map_err(out::bus)?;
        Ok(Self { reader: Some(reader), waiting: VecDeque::new(), first: None, upto: 0 })
    }

    async fn peek(&mut self) -> anyhow::Result<Option<&One>> {
        while self.first.is_none() {
            let Some(record) = self.waiting.pop_front() else {
                let Some(reader) = &mut self.reader else { break };
                match reader.read().await.map_err(out::bus)? {
                    Read::Records(records) => self.waiting.extend(records),
                    Read::CaughtUp => self.reader = None,
                }
                continue;
            };
            let at = record.origin();
            let value = record.value.unwrap_or_default();
            // What cannot be read, the chains' verifier names.
            let Ok(event) = serde_json::from_slice::<AuditEvent>(&value) else { continue };
            if event.lane.0 == record.partition && event.n > self.upto {
                self.first = Some(One { n: event.n, whose: (event.chain, event.seq), at, value });
            }
        }
        Ok(self.first.as_ref())
    }

    fn drop_first(&mut self) {
        self.upto = self.first.take().map_or(self.upto, |first| first.n);
    }
}

#[cfg(test)]
mod tests {
    use tenantry_contracts::Time;
    use tenantry_ports::HeardAt;

    use super::*;

    fn lane() -> LaneRow {
        LaneRow {
            lane: Lane(0),
            epoch: 1,
            n: 5,
            spoken: 4,
            requests: HeardAt::default(),
            results: HeardAt::default(),
            operations: HeardAt::default(),
            fruitless: 0,
            seen_at: Time(0),
            paused_ms: 0,
            chain_seq: 5,
            chain_head: [0; 32],
            stopped: Default::default(),
        }
    }

    fn value(n: i64, note: &str) -> bytes::Bytes {
        let event = AuditEvent {
            chain: "lane-0".to_owned(),
            seq: n,
            note: Some(note.to_owned()),
            ..AuditEvent::new(AuditKind::LanePaused, Time(0), Lane(0), n)
        };
        serde_json::to_vec(&event).unwrap().into()
    }

    /// What is found where the journal has these numbers and the topic says this, each with its note.
    async fn found(what: AuditKind, journal: &[i64], topic: &[(i64, &str)]) -> Proved {
        let record = |(offset, (n, note)): (usize, &(i64, &str))| Record {
            topic: Topic::Audit,
            partition: 0,
            offset: i64::try_from(offset).unwrap(),
            at: Time(0),
            key: None,
            headers: Vec::new(),
            value: Some(value(*n, note)),
        };
        let waiting = topic.iter().enumerate().map(record).collect();
        let said = Said { reader: None, waiting, first: None, upto: 0 };
        let (lane, mut proved) = (lane(), Proved::default());
        let mut look = Look { lane: &lane, said: Some(said), proved: &mut proved };
        let row = |n: &i64| {
            let value = value(*n, "sound");
            Retold {
                lane: Lane(0),
                n: *n,
                tenant: None,
                seq: *n,
                what,
                told: value.clone(),
                stands: Some(value),
            }
        };
        look.all(journal.iter().map(row).collect()).await.unwrap();
        proved
    }

    fn place(proved: &Proved) -> Option<(Breach, Option<i64>, String, i64)> {
        let problem = proved.problem.as_ref()?;
        let at = problem.at.as_ref()?;
        Some((problem.breach, problem.seq, at.topic.to_string(), at.offset))
    }

    #[tokio::test]
    async fn repeats_on_the_topic_and_rows_not_yet_spoken_are_sound() {
        let topic = [(1, "sound"), (2, "sound"), (1, "sound"), (3, "sound"), (4, "sound")];
        let proved = found(AuditKind::LanePaused, &[1, 2, 3, 4, 5], &topic).await;
        assert_eq!((place(&proved), proved.rows, proved.on_topic), (None, 5, 4));
    }

    #[tokio::test]
    async fn a_record_that_is_not_on_the_topic_is_named_by_its_row() {
        let proved = found(AuditKind::LanePaused, &[1, 2, 3], &[(1, "sound"), (3, "sound")]).await;
        assert_eq!(place(&proved), Some((Breach::Missing, Some(2), "journal".to_owned(), 2)));
    }

    #[tokio::test]
    async fn a_record_of_other_bytes_is_named_with_the_member() {
        let proved = found(AuditKind::LanePaused, &[1, 2], &[(1, "sound"), (2, "altered")]).await;
        assert_eq!(place(&proved), Some((Breach::Altered, Some(2), "tenant.audit.events".to_owned(), 1)));
        let differs = proved.differs.unwrap().difference;
        assert_eq!(differs.member, "note");
        assert_eq!((differs.told, differs.stands), (Some("sound".into()), Some("altered".into())));
    }

    #[tokio::test]
    async fn a_record_that_the_journal_lacks_is_unknown_unless_a_restore_was_accepted() {
        let topic = [(1, "sound"), (2, "sound"), (3, "sound")];
        let proved = found(AuditKind::LanePaused, &[1, 3], &topic).await;
        assert_eq!(place(&proved), Some((Breach::Unknown, Some(2), "tenant.audit.events".to_owned(), 1)));
        let proved = found(AuditKind::RestoreAccepted, &[1, 3], &topic).await;
        assert_eq!(place(&proved), None);
    }
}
