//! `tenantry audit verify`: nothing is missing, altered, doubled with other bytes or out of order, or the first place
//! where something is.

mod heads;
mod history;
mod verdict;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use tenantry_audit::{Flow, Heard, Verifier};
use tenantry_contracts::{Fact, Lane, Origin, Record, Slug, Time, Topic, fact};
use tenantry_kafka::{Options, Read, Reader, Start};
use tenantry_postgres::Queries;

use crate::journal::read::{Rows, Shelf};
use crate::out::{self, failed};
use crate::settings::Find;
use crate::show::Style;
use crate::show::which::Which;

use heads::Heads;
pub use verdict::Verdict;

/// The audit trail
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Verify(VerifyArgs),
}

/// Verify the audit trail from its beginning, byte by byte
///
/// Reads every record of tenant.audit.events (or of the journal) and checks each chain: one for each tenant, one for
/// each lane. Where the store can be reached, the ends of the chains are compared with it as well, so that a tail that
/// was cut off is found too.
///
/// With --with-history the journal is folded through the fleet's own rules as well and told anew: every record must come out
/// byte for byte as it stands in the journal and on the topic. The first that does not is named, with the member that differs.
///
/// Where rows were archived, the journal is read from the files of --archive and the store together: each file must be the
/// one that was recorded, and the verdict is the one from before.
///
/// Exit codes: 0 all is well, 1 something was altered, doubled, moved or added, 2 something is missing.
#[derive(Debug, ClapArgs)]
struct VerifyArgs {
    /// What is read
    #[arg(long, env = "TENANTRY_AUDIT_FROM", value_enum, default_value_t = From::Topic)]
    from: From,
    /// Only the chain of this tenant
    #[arg(long, env = "TENANTRY_AUDIT_TENANT", value_name = "SLUG|ID")]
    tenant: Option<Which>,
    /// Do not compare the ends of the chains with the store
    #[arg(long, env = "TENANTRY_NO_STORE", conflicts_with = "from")]
    no_store: bool,
    /// Tell the journal anew, and compare every record with it
    #[arg(long, env = "TENANTRY_WITH_HISTORY", conflicts_with_all = ["tenant", "no_store"])]
    with_history: bool,
    /// A folder with files of `tenantry journal archive`, where rows were archived; may be repeated
    #[arg(long, env = "TENANTRY_ARCHIVE", value_name = "FOLDER", value_delimiter = ',')]
    archive: Vec<PathBuf>,
    /// Print one JSON document
    #[arg(long, env = "TENANTRY_JSON")]
    json: bool,
    #[command(flatten)]
    find: Find,
}

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum From {
    /// The records of `tenant.audit.events`.
    Topic,
    /// The rows of the journal.
    Journal,
}

impl From {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::Journal => "journal",
        }
    }
}

/// Runs it.
///
/// # Errors
/// Where the fleet cannot be found, reached or read.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let What::Verify(args) = args.what;
    let only = args.tenant.as_ref().map(Only::new);
    let store = match args.find.store() {
        _ if args.no_store => None,
        Ok(url) => Some(Queries::connect(url.expose()).await?),
        // The topic alone can be read without the store; the journal is the store.
        Err(_) if args.from == From::Topic && !args.with_history && args.find.kafka.brokers.is_some() => None,
        Err(refused) => return Err(refused.into()),
    };
    let bus = match args.from {
        From::Topic => Some(args.find.bus()?),
        From::Journal => None,
    };
    let shelf = match &store {
        Some(store) if args.with_history || args.from == From::Journal => {
            Some((store, Shelf::of(store, &args.archive).await?))
        }
        _ => None,
    };
    let proved = match &shelf {
        Some((store, shelf)) if args.with_history => {
            Some(history::prove(store, shelf, bus.as_ref(), &args.find.fleet()?).await?)
        }
        _ => None,
    };
    let verdict = match proved {
        Some(proved) if proved.problem.is_some() => Verdict::differs(args.from, proved),
        proved => {
            let mut verdict = match (&bus, &shelf) {
                (Some(bus), _) => topic(bus, store.as_ref(), only.as_ref()).await?,
                (None, Some((store, shelf))) => journal(store, shelf, only.as_ref()).await?,
                (None, None) => {
                    return Err(failed("store_missing", "the journal is in the store; name it").into());
                }
            };
            verdict.history = proved;
            verdict
        }
    };
    if let (Some((store, shelf)), Some(_)) = (&shelf, &verdict.problem) {
        shelf.stands(store).await?;
    }
    if args.json {
        out::json(&verdict)?;
    } else {
        for line in verdict.lines(Style::detect()) {
            out::line(line);
        }
    }
    Ok(ExitCode::from(verdict.exit()))
}

/// Which chains are looked at.
#[derive(Clone, Debug)]
struct Only {
    id: Option<String>,
    slug: Option<Slug>,
}

impl Only {
    fn new(which: &Which) -> Self {
        match which {
            Which::Id(id) => Self { id: Some(id.to_string()), slug: None },
            Which::Slug(slug) => Self { id: None, slug: Some(slug.clone()) },
        }
    }

    fn takes(&self, key: Option<&[u8]>, value: Option<&[u8]>) -> bool {
        if let Some(id) = &self.id {
            return key == Some(id.as_bytes());
        }
        let event: Option<tenantry_contracts::audit::AuditEvent> =
            value.and_then(|value| serde_json::from_slice(value).ok());
        event.and_then(|event| event.tenant).map(|tenant| tenant.slug) == self.slug
    }
}

/// A reading under way.
struct Reading<'a> {
    verifier: Verifier,
    only: Option<&'a Only>,
    span: Option<(Time, Time)>,
}

impl<'a> Reading<'a> {
    fn new(only: Option<&'a Only>) -> Self {
        Self { verifier: Verifier::new(), only, span: None }
    }

    fn hear(&mut self, key: Option<&[u8]>, value: Option<&[u8]>, at: &Origin, time: Time) -> Flow {
        if self.only.is_some_and(|only| !only.takes(key, value)) {
            return Flow::GoOn;
        }
        let (first, last) = self.span.unwrap_or((time, time));
        self.span = Some((first.min(time), last.max(time)));
        self.verifier.hear(Heard { key, value, at })
    }
}

/// Verifies what the topic holds now; with a store also where the chains end.
///
/// # Errors
/// Where the brokers or the store cannot be reached.
pub async fn verify(options: &Options, store: Option<&Queries>) -> anyhow::Result<Verdict> {
    topic(options, store, None).await
}

async fn topic(options: &Options, store: Option<&Queries>, only: Option<&Only>) -> anyhow::Result<Verdict> {
    // The store first: what it says was spoken must be there when the topic is read.
    let heads = match store {
        Some(store) => Some(Heads::read(store, only).await?),
        None => None,
    };
    let places = Reader::places(options, vec![Topic::Audit]).await.map_err(out::bus)?;
    let mut reader = Reader::open(options, places, Start::Earliest).await.map_err(out::bus)?;
    let mut reading = Reading::new(only);
    'all: while let Read::Records(records) = reader.read().await.map_err(out::bus)? {
        for record in &records {
            let Record { key, value, at, .. } = record;
            if reading.hear(key.as_deref(), value.as_deref(), &record.origin(), *at) == Flow::Stop {
                break 'all;
            }
        }
    }
    Verdict::of(From::Topic, reading, heads, store).await
}

async fn journal(store: &Queries, shelf: &Shelf, only: Option<&Only>) -> anyhow::Result<Verdict> {
    let heads = Heads::read_unspoken(store, only).await?;
    let mut reading = Reading::new(only);
    'all: for lane in store.lanes().await?.into_iter().map(|lane| lane.lane) {
        let mut rows = Rows::of(store, shelf, lane);
        loop {
            let page = rows.page().await?;
            for row in &page {
                let origin = place(lane, row.n);
                let audit = fact::decode(row.facts.clone()).and_then(first_audit);
                let (key, value) = audit.map_or((None, None), |fact| (Some(fact.key), Some(fact.value)));
                if reading.hear(key.as_deref(), value.as_deref(), &origin, row.at) == Flow::Stop {
                    break 'all;
                }
            }
            if page.is_empty() {
                break;
            }
        }
    }
    Verdict::of(From::Journal, reading, Some(heads), Some(store)).await
}

pub(crate) fn first_audit(facts: Vec<Fact>) -> Option<Fact> {
    facts.into_iter().find(|fact| fact.topic == Topic::Audit)
}

pub(crate) fn place(lane: Lane, n: i64) -> Origin {
    Origin { topic: "journal".into(), partition: lane.0, offset: n }
}
