//! `tenantry evidence open`: what the commitments of the audit stand for, for whoever may know; and the check of one.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args as ClapArgs;
use serde_json::json;
use sha2::{Digest, Sha256};
use tenantry_contracts::audit::AuditEvent;
use tenantry_contracts::opening::Opening;
use tenantry_contracts::operation::{Deed, DeedKind, Target};
use tenantry_contracts::sealed::Place;
use tenantry_contracts::{DataKey, Fleet, Sealed, TenantId, Topic, fact};
use tenantry_coordinator::Entry;
use tenantry_ports::{Keys, Row};
use tenantry_postgres::PgKeys;

use crate::deed;
use crate::journal::gone;
use crate::out::{self, Refused, failed, usage};
use crate::settings::{Find, Home, Key, Person};
use crate::show::Style;
use crate::tenant::find::{self, One};

/// Show the personal data that a tenant's audit commits to, with what proves it; or check one opening, without any key
///
/// The audit never has personal data in it, only salted commitments. An opening is a value with its salt: whoever is given
/// it can check it against the audit, and tell nobody else anything by it. That somebody looked is written into the audit
/// first. Once the tenant is forgotten, nobody can open anything.
///
/// Exit codes: 0 shown, or the opening is right; 1 the opening is not what the audit commits to, or an error.
#[derive(Debug, ClapArgs)]
#[command(mut_arg("reason", |arg| arg.required(false).required_unless_present("check")))]
pub(super) struct Args {
    #[command(flatten)]
    one: One,
    /// Only check this opening, a file with one JSON document as this command prints them
    #[arg(long, env = "TENANTRY_CHECK_OPENING", value_name = "FILE")]
    check: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long, env = "TENANTRY_JSON")]
    json: bool,
    #[command(flatten)]
    key: Key,
    #[command(flatten)]
    person: Option<Person>,
    #[command(flatten)]
    find: Find,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let store = find::store(&args.find).await?;
    let row = args.one.row(&store).await?;
    let history = gone::history(&store, &row).await?;
    let first = history.first().ok_or_else(|| failed("journal_empty", "the tenant has no history"))?;
    let event = requested(first)?;
    if let Some(path) = &args.check {
        return check(path, &event);
    }
    let person = args.person.as_ref().ok_or_else(|| {
        usage("reason_missing", "say with --reason why you open personal data: it is part of the audit")
    })?;
    if event.commitments.is_empty() {
        let text =
            format!("the audit of {} commits to no personal data; it was written before it did", row.slug);
        return Err(failed("commitments_missing", text).into());
    }
    let master = match (args.key.given()?, args.find.running()?) {
        (Some(key), _) => key,
        (None, Some(_)) => Home::open(&args.find.at.data_dir())?.kept_master_key()?,
        (None, None) => args.key.required()?,
    };
    let fleet = args.find.fleet()?;
    let keys = PgKeys::connect(args.find.store()?.expose(), fleet.clone(), master).await?;
    let key = keys.key(row.tenant).await.map_err(|error| out::told(error.0))?;
    let key = key.ok_or_else(|| {
        let text =
            format!("the key of {} was destroyed: nobody can open its personal data any more", row.slug);
        failed("tenant_forgotten", text)
    })?;
    let openings = openings(first, &event, &key, &fleet, row.tenant)?;
    let fields: Vec<&str> = openings.iter().map(|opening| opening.field.as_str()).collect();
    let deed = Deed {
        what: DeedKind::OpeningsRead,
        digest: hex::encode(Sha256::digest(serde_json::to_vec(&event.commitments)?)),
        note: format!("fields {}", fields.join(", ")),
    };
    let about = Target { slug: row.slug, environment: row.environment, tenant: Some(row.tenant) };
    deed::attest(&args.find.bus()?, person, None, Some(about), deed).await?;
    if args.json {
        out::json(&json!({"chain": event.chain, "seq": event.seq, "openings": openings}))?;
    } else {
        for opening in &openings {
            out::line(serde_json::to_string(opening)?);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn check(path: &std::path::Path, event: &AuditEvent) -> anyhow::Result<ExitCode> {
    let text = std::fs::read(path).map_err(|error| {
        usage("file_unreadable", format!("{}: {error}; name a file that this user can read", path.display()))
    })?;
    // What it says may be personal: the error does not repeat it.
    let opening: Opening = serde_json::from_slice(&text).map_err(|_| {
        usage("opening_invalid", format!("{} is no opening: field, salt and value as JSON", path.display()))
    })?;
    let style = Style::detect();
    let right = event.commitments.get(&opening.field) == Some(&opening.commitment());
    let (mark, word) = if right {
        (style.green("✓"), "is what the audit commits to")
    } else {
        (style.red("✗"), "is not what the audit commits to")
    };
    out::line(format_args!(
        "{mark} {} {word}: chain {}, record {}",
        out::plain(&opening.field),
        event.chain,
        event.seq
    ));
    Ok(if right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The audit event of a tenant's first row.
fn requested(row: &Row) -> Result<AuditEvent, Refused> {
    let unreadable = || failed("journal_unreadable", format!("journal row {} has no audit event", row.n));
    let facts = fact::decode(row.facts.clone()).ok_or_else(unreadable)?;
    let audit = facts.into_iter().find(|fact| fact.topic == Topic::Audit).ok_or_else(unreadable)?;
    serde_json::from_slice(&audit.value).map_err(|_| unreadable())
}

/// The opening of each commitment: what was sealed is opened, and compared with what the audit says.
fn openings(
    row: &Row,
    event: &AuditEvent,
    key: &DataKey,
    fleet: &Fleet,
    tenant: TenantId,
) -> Result<Vec<Opening>, Refused> {
    let unreadable = || failed("journal_unreadable", format!("journal row {} has no request", row.n));
    let entry: Entry<'_> = serde_json::from_slice(&row.entry).map_err(|_| unreadable())?;
    let change = entry.change.ok_or_else(unreadable)?;
    let born = change.born.as_ref().ok_or_else(unreadable)?;
    let request = serde_json::to_value(&*born.request).map_err(|_| unreadable())?;
    let open = |field: &str| {
        let place = Place { fleet, tenant, field };
        // A field's name is its path in the request; the request as a whole is known by its digest.
        let sealed =
            request.pointer(&format!("/{}", field.replace('.', "/"))).and_then(|value| value.as_str());
        let clear = match sealed {
            Some(sealed) => key.open(&place, &Sealed::read(sealed)).ok()?,
            None => entry.digest.clone().into_owned(),
        };
        Some(Opening::new(key, &place, &clear))
    };
    let opened = event.commitments.iter().map(|(field, commitment)| {
        open(field).filter(|opening| opening.commitment() == *commitment).ok_or_else(|| {
            failed(
                "opening_differs",
                format!("{field}: what is sealed in the journal is not what the audit commits to"),
            )
        })
    });
    opened.collect()
}
