//! `tenantry why`: one screen for whoever is called: where a tenant rests, since when, whose turn it is, the cause, what
//! was tried, who else it hits, and the commands that would help.

mod alike;
pub(crate) mod cause;
mod help;
mod letter;
mod page;
mod subject;
mod tried;
mod waits;

use std::process::ExitCode;

use clap::Args as ClapArgs;
use tenantry_contracts::Environment;
use tenantry_ports::{Clock, TenantRow};
use tenantry_postgres::{MOST, Queries};

use self::page::{Page, Why};
use self::subject::Subject;
use crate::clock::SystemClock;
use crate::out;
use crate::settings::Find;
use crate::show::Style;
use crate::show::sheet::Sheet;
use crate::show::which::Which;
use crate::tenant::find::{self, One};

/// Why a tenant rests where it rests, and what would help
///
/// Also for a tenant that is under way: what it waits for, and whether the worker that should answer answers at all.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// A slug; the id of a tenant or of a saga; or a dead letter, as topic/partition/offset of where its record was heard
    /// or of where it lies
    #[arg(value_name = "SLUG|ID|LETTER")]
    what: Subject,
    /// The environment in which the slug is looked for
    #[arg(short, long, env = "TENANTRY_ENVIRONMENT", value_parser = find::environment, default_value = "prod")]
    environment: Environment,
    /// How many parked tenants are looked through for the same cause, the newest first
    #[arg(long, env = "TENANTRY_AMONG", value_name = "N", default_value_t = 200,
          value_parser = clap::value_parser!(u16).range(0..=i64::from(MOST) - 2))]
    among: u16,
    /// Print one JSON document
    #[arg(long, env = "TENANTRY_JSON")]
    json: bool,
    #[command(flatten)]
    find: Find,
}

/// Tells it.
///
/// # Errors
/// Where the fleet cannot be found or reached, or there is no such tenant or letter.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (letter, which) = match args.what {
        Subject::Tenant(which) => (None, Some(which)),
        Subject::Letter(at) => {
            let letter = letter::find(&args.find.bus()?, &at).await?;
            let id = letter.tenant.map(Which::Id);
            let which = id.or_else(|| letter.slug.clone().map(Which::Slug));
            (Some(letter), which)
        }
    };
    let tenant = match which {
        None => None,
        Some(which) => {
            let store = find::store(&args.find).await?;
            let one = match &letter {
                None => Some(subject::tenant_of(which, args.environment, &store).await?),
                // A letter may speak of a tenant that never came to be.
                Some(_) => known(One { which, environment: args.environment }, &store).await?,
            };
            match one {
                Some(one) => Some(why(&one, &store, args.among).await?),
                None => None,
            }
        }
    };
    let page = Page { letter, tenant };
    if args.json {
        out::json(&page)?;
    } else {
        for line in page.lines(Style::detect(), SystemClock::from_env()?.now()) {
            out::line(line);
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn known(one: One, store: &Queries) -> anyhow::Result<Option<One>> {
    let found: Option<TenantRow> = match &one.which {
        Which::Id(id) => store.tenant(*id).await?,
        Which::Slug(slug) => store.find(&one.environment, slug).await?.into_iter().next(),
    };
    Ok(found.map(|_| one))
}

async fn why(one: &One, store: &Queries, among: u16) -> anyhow::Result<Why> {
    let found = one.fold(store).await?;
    let now = SystemClock::from_env()?.now();
    let tenant = &found.tenant;
    let sheet = Sheet::of(tenant, &found.plans, now, (found.paused_ms, &found.stopped), &found.told);
    let causes = cause::causes(tenant, &found.plans);
    let key = causes.first().and_then(cause::Cause::key);
    let shared = match key {
        Some(key) if among > 0 => Some(alike::alike(store, &found.plans, tenant.id, &key, among).await?),
        _ => None,
    };
    let waits = waits::waits(store, tenant, &found.plans, (found.paused_ms, &found.stopped)).await?;
    Ok(Why::of(&sheet, &found.told, causes, waits, shared))
}
