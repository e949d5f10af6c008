//! `tenantry tenant ls`: tenants, newest first, as their rows show them.

use std::process::ExitCode;

use clap::Args as ClapArgs;
use serde::Serialize;
use tenantry_contracts::event::TenantRef;
use tenantry_contracts::state::Projection;
use tenantry_contracts::time::rfc3339;
use tenantry_contracts::{State, TenantId, Time};
use tenantry_ports::{Clock, TenantRow};
use tenantry_postgres::{MOST, TenantFilter};

use super::find;
use crate::clock::SystemClock;
use crate::out;
use crate::settings::Find;
use crate::show::style::{Style, duration};
use crate::show::table;

/// List tenants, newest first
///
/// A tenant that is under way shows here as its row was last written, at most a few seconds ago; `tenant show` reads
/// the journal and is exact.
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Only those in this state; may be repeated (ACTIVE, HELD, STUCK, ...)
    #[arg(short, long = "state", env = "TENANTRY_STATES", value_delimiter = ',', value_parser = state)]
    states: Vec<State>,
    /// How many
    #[arg(short = 'n', long, env = "TENANTRY_LIMIT", default_value_t = 50,
          value_parser = clap::value_parser!(u16).range(1..=i64::from(MOST)))]
    limit: u16,
    /// Only those after this one: the cursor that the last page ended with
    #[arg(long, env = "TENANTRY_AFTER", value_name = "CURSOR")]
    after: Option<TenantId>,
    /// Print one JSON document
    #[arg(long, env = "TENANTRY_JSON")]
    json: bool,
    #[command(flatten)]
    find: Find,
}

/// A page.
#[derive(Debug, Serialize)]
struct Page {
    tenants: Vec<Item>,
    /// Give it to `--after` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<TenantId>,
}

/// A tenant in a list.
#[derive(Debug, Serialize)]
struct Item {
    tenant: TenantRef,
    state: State,
    #[serde(with = "rfc3339")]
    since: Time,
    projection: Projection,
    plan: String,
    #[serde(with = "rfc3339")]
    created: Time,
    version: i64,
}

impl From<TenantRow> for Item {
    fn from(row: TenantRow) -> Self {
        Self {
            tenant: TenantRef { id: row.tenant, slug: row.slug, environment: row.environment },
            state: row.state,
            since: row.since,
            projection: row.state.seeds(),
            plan: row.plan,
            created: row.created,
            version: row.head_seq,
        }
    }
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let store = find::store(&args.find).await?;
    let filter = TenantFilter { states: args.states, after: args.after, limit: args.limit };
    let rows = store.tenants(&filter).await?;
    let full = rows.len() == usize::from(args.limit);
    let after = rows.last().map(|row| row.tenant).filter(|_| full);
    let page = Page { tenants: rows.into_iter().map(Item::from).collect(), after };
    if args.json {
        out::json(&page)?;
    } else {
        let now = SystemClock::from_env()?.now();
        for line in page.lines(Style::detect(), now) {
            out::line(line);
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Page {
    fn lines(&self, style: Style, now: Time) -> Vec<String> {
        if self.tenants.is_empty() {
            return vec!["No tenants. Ask for one: tenantry request --name \"Acme Corp\" --watch".to_owned()];
        }
        let mut rows = table::new(style, &["SLUG", "ENV", "STATE", "FOR", "PLAN", "TENANT"]);
        for item in &self.tenants {
            rows.add_row([
                item.tenant.slug.to_string(),
                item.tenant.environment.to_string(),
                item.state.to_string(),
                duration(now.since(item.since)),
                item.plan.clone(),
                item.tenant.id.to_string(),
            ]);
        }
        let mut lines = table::lines(&mut rows, 0);
        if let Some(after) = self.after {
            lines.push(style.dim(&format!("more: --after {after}")));
        }
        lines
    }
}

pub(crate) fn state(text: &str) -> Result<State, String> {
    State::parse(&text.to_ascii_uppercase().replace('-', "_")).ok_or_else(|| {
        let all: Vec<&str> = State::ALL.iter().map(|state| state.as_str()).collect();
        format!("no such state; there are {}", all.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use tenantry_contracts::{Environment, Slug};

    use super::*;

    #[test]
    fn a_page_is_a_table_without_frames_and_names_its_cursor() {
        let id: TenantId = "01919191-9191-7191-8191-919191919191".parse().unwrap();
        let item = Item {
            tenant: TenantRef { id, slug: Slug::parse("acme").unwrap(), environment: Environment::default() },
            state: State::Active,
            since: Time(0),
            projection: State::Active.seeds(),
            plan: "starter".into(),
            created: Time(0),
            version: 6,
        };
        let page = Page { tenants: vec![item], after: Some(id) };
        assert_eq!(
            page.lines(Style::PLAIN, Time(65_000)).join("\n"),
            "SLUG  ENV   STATE   FOR        PLAN     TENANT\n\
             acme  prod  ACTIVE  1 min 5 s  starter  01919191-9191-7191-8191-919191919191\n\
             more: --after 01919191-9191-7191-8191-919191919191"
        );
        assert_eq!(state("rolled-back"), Ok(State::RolledBack));
        assert!(state("gone").unwrap_err().contains("ACTIVE"));
    }
}
