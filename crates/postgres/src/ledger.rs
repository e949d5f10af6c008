//! [`PgLedger`]: what workers must not forget. Calls of many commands share one statement.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use bytes::Bytes;
use tenantry_contracts::Token;
use tenantry_ports::{Fence, Ledger, Mark, Marked, Remembered, StoreError};

use crate::Error;
use crate::connect::{Hot, Purpose, prepared};
use crate::gather::{Gather, Trouble};

const LEDGER: Purpose = Purpose { name: "ledger", connections: 4, statement_ms: 10_000, lock_ms: 2_000 };

const FENCES: &str = "\
select f.resource, f.token from unnest($1::text[]) as a(resource) join fence f on f.resource = a.resource";

/// Raises only; an equal token is written again, so that what returns stands durably. What does not return was higher.
const MARK: &str = "\
insert into fence as f (resource, token)
select m.resource, m.token from unnest($1::text[], $2::int8[]) as m(resource, token)
on conflict (resource) do update set token = excluded.token where f.token <= excluded.token
returning f.resource";

const ANSWERS: &str = "\
select a.question, a.answer from unnest($1::text[]) as q(question) join answer a on a.question = q.question";

const REMEMBER: &str = "\
insert into answer (question, answer)
select a.question, a.answer from unnest($1::text[], $2::bytea[]) as a(question, answer)
on conflict (question) do nothing
returning question";

/// The ledger on PostgreSQL. Clones share their connections and their statements.
#[derive(Clone)]
pub struct PgLedger {
    fences: Gather<String, Option<Fence>>,
    marks: Gather<Mark, Marked>,
    answers: Gather<String, Option<Bytes>>,
    remember: Gather<(String, Bytes), Remembered>,
}

impl PgLedger {
    /// Connects, and starts one task for each kind of statement. Call it within the runtime that will use it.
    ///
    /// # Errors
    /// Where the URL cannot be used or the server cannot be reached.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        let pool = Hot::new(url, LEDGER)?;
        pool.try_out().await?;
        let [a, b, c, d] = [pool.clone(), pool.clone(), pool.clone(), pool];
        Ok(Self {
            fences: Gather::start(move |items| fences(a.clone(), items)),
            marks: Gather::start(move |items| mark(b.clone(), items)),
            answers: Gather::start(move |items| answers(c.clone(), items)),
            remember: Gather::start(move |items| remember(d.clone(), items)),
        })
    }

    /// The statements of the hot path, by name: for tests of their plans.
    #[doc(hidden)]
    #[must_use]
    pub fn hot_statements() -> Vec<(&'static str, &'static str)> {
        vec![("fences", FENCES), ("mark", MARK), ("answers", ANSWERS), ("remember", REMEMBER)]
    }
}

impl Ledger for PgLedger {
    async fn fences(&self, resources: Vec<String>) -> Result<Vec<Option<Fence>>, StoreError> {
        self.fences.ask(resources).await
    }

    async fn mark(&self, marks: Vec<Mark>) -> Result<Vec<Marked>, StoreError> {
        self.marks.ask(marks).await
    }

    async fn answers(&self, questions: Vec<String>) -> Result<Vec<Option<Bytes>>, StoreError> {
        self.answers.ask(questions).await
    }

    async fn remember(&self, answers: Vec<(String, Bytes)>) -> Result<Vec<Remembered>, StoreError> {
        self.remember.ask(answers).await
    }
}

async fn fences(pool: Hot, resources: Vec<String>) -> Result<Vec<Option<Fence>>, Trouble> {
    let client = pool.lease().await?;
    let statement = prepared(&client, FENCES).await?;
    let wanted: BTreeSet<&str> = resources.iter().map(String::as_str).collect();
    let rows = client.query(&statement, &[&Vec::from_iter(wanted)]).await?;
    let mut found = HashMap::new();
    for row in &rows {
        found.insert(row.try_get::<_, &str>(0)?, Fence { token: Token(row.try_get(1)?) });
    }
    Ok(resources.iter().map(|resource| found.get(resource.as_str()).copied()).collect())
}

async fn mark(pool: Hot, marks: Vec<Mark>) -> Result<Vec<Marked>, Trouble> {
    let client = pool.lease().await?;
    let statement = prepared(&client, MARK).await?;
    // One write for each resource, with its highest token; in one order for all, so that no two wait for each other.
    let mut highest: BTreeMap<&str, i64> = BTreeMap::new();
    for mark in &marks {
        let token = highest.entry(&mark.resource).or_insert(mark.token.0);
        *token = mark.token.0.max(*token);
    }
    let (resources, tokens): (Vec<&str>, Vec<i64>) = highest.iter().map(|(r, t)| (*r, *t)).unzip();
    let rows = client.query(&statement, &[&resources, &tokens]).await?;
    let standing = rows.iter().map(|row| row.try_get::<_, &str>(0)).collect::<Result<HashSet<_>, _>>()?;
    let became = |mark: &Mark| {
        let resource = mark.resource.as_str();
        if standing.contains(resource) && highest.get(resource) == Some(&mark.token.0) {
            Marked::Stands
        } else {
            Marked::Superseded
        }
    };
    Ok(marks.iter().map(became).collect())
}

async fn answers(pool: Hot, questions: Vec<String>) -> Result<Vec<Option<Bytes>>, Trouble> {
    let found = standing(&pool, questions.iter().map(String::as_str).collect()).await?;
    Ok(questions.iter().map(|question| found.get(question).cloned()).collect())
}

async fn standing(pool: &Hot, questions: BTreeSet<&str>) -> Result<HashMap<String, Bytes>, Trouble> {
    let client = pool.lease().await?;
    let statement = prepared(&client, ANSWERS).await?;
    let rows = client.query(&statement, &[&Vec::from_iter(questions)]).await?;
    let mut found = HashMap::with_capacity(rows.len());
    for row in &rows {
        found.insert(row.try_get(0)?, Bytes::copy_from_slice(row.try_get(1)?));
    }
    Ok(found)
}

async fn remember(pool: Hot, answers: Vec<(String, Bytes)>) -> Result<Vec<Remembered>, Trouble> {
    let mut firsts: BTreeMap<&str, &[u8]> = BTreeMap::new();
    for (question, answer) in &answers {
        firsts.entry(question).or_insert(answer);
    }
    let mut written: HashSet<String> = HashSet::new();
    {
        let client = pool.lease().await?;
        let statement = prepared(&client, REMEMBER).await?;
        let (questions, bytes): (Vec<&str>, Vec<&[u8]>) = firsts.iter().map(|(q, a)| (*q, *a)).unzip();
        for row in client.query(&statement, &[&questions, &bytes]).await? {
            written.insert(row.try_get(0)?);
        }
    }
    // A second statement, since the first one does not see what another worker committed while it waited for it.
    let others: BTreeSet<&str> = firsts.keys().copied().filter(|q| !written.contains(*q)).collect();
    let earlier = if others.is_empty() { HashMap::new() } else { standing(&pool, others).await? };
    let mut told: HashSet<&str> = HashSet::new();
    let mut all = Vec::with_capacity(answers.len());
    for (question, _) in &answers {
        all.push(match (earlier.get(question), firsts.get(question.as_str())) {
            (Some(answer), _) => Remembered::Earlier(answer.clone()),
            (None, _) if told.insert(question) && written.contains(question) => Remembered::First,
            (None, Some(answer)) if written.contains(question) => {
                Remembered::Earlier(Bytes::copy_from_slice(answer))
            }
            (None, _) => {
                return Err(
                    StoreError(format!("the answer to {question} was there and is not any more")).into()
                );
            }
        });
    }
    Ok(all)
}
