//! The stage of a drill: a fleet that runs, and what happens on it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tenantry_contracts::operation::{OperationVerb, Target};
use tenantry_contracts::{
    Environment, Lane, RequestId, RowName, Slug, State, Time, Topic, catalogue, request,
};
use tenantry_kafka::Options;
use tenantry_ports::{Clock, Place, TenantRow};
use tenantry_postgres::Queries;
use tokio::time::{Instant, sleep};

use super::nights::{FOREIGN, Move, Night};
use crate::clock::SystemClock;
use crate::deed;
use crate::out::{failed, told};
use crate::request::fresh_id;
use crate::settings::{Person, Running};
use crate::watch;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(200);
/// Who asks, and who decides where nobody else does.
const SOURCE: &str = "tenantry-drill";
/// Why.
const REASON: &str = "a drill";

/// A fleet on which nights happen.
pub struct Stage {
    running: Running,
    store: Queries,
}

/// Writes the settings of a fleet for drills into this folder, and returns the flags that name them: a security review for
/// plan `enterprise`, and no room in one region, unless it is mended.
///
/// # Errors
/// Where the files cannot be written.
pub fn settings(folder: &Path, mended: bool) -> anyhow::Result<Vec<String>> {
    let templates = folder.join("drill-templates");
    std::fs::create_dir_all(&templates)?;
    for (name, text) in catalogue::BUILT_IN {
        let mut template: Value = serde_json::from_str(text)?;
        if name == "enterprise.json" {
            template["approvals"] = json!(["security"]);
        }
        std::fs::write(templates.join(name), template.to_string())?;
    }
    let region = |compute: u64| {
        let pool = |total: u64| json!({ "total": total });
        json!({"database": pool(10_000), "storage": pool(1_000_000_000_000_000), "compute": pool(compute), "network": pool(1_000)})
    };
    let scarce = if mended { 1_000_000 } else { 1 };
    let pools = json!({"regions": {"*": region(1_000_000), "us-east-1": region(scarce)}});
    let path = folder.join("drill-pools.json");
    std::fs::write(&path, pools.to_string())?;
    let text = |path: &Path| path.display().to_string();
    Ok(vec!["--templates".to_owned(), text(&templates), "--pools".to_owned(), text(&path)])
}

impl Stage {
    /// The stage of a fleet that runs.
    ///
    /// # Errors
    /// Where its store cannot be reached.
    pub async fn of(running: &Running) -> anyhow::Result<Self> {
        Ok(Self { running: running.clone(), store: Queries::connect(&running.database_url).await? })
    }

    /// Makes the trouble of these nights, and returns when all their tenants rest as they should.
    ///
    /// # Errors
    /// Where something does not come to rest, or the fleet cannot be reached.
    pub async fn trouble(&self, nights: &[&'static Night]) -> anyhow::Result<()> {
        // Everything is asked for first, so that the nights pass side by side.
        let first =
            |night: &Night| 1 + night.trouble.iter().position(|each| matches!(each, Move::Ask)).unwrap_or(0);
        for night in nights {
            self.all(night, &night.trouble[..first(night)]).await?;
        }
        for night in nights {
            self.all(night, &night.trouble[first(night)..]).await?;
        }
        for night in nights {
            self.until(night, night.rests).await?;
        }
        Ok(())
    }

    async fn all(&self, night: &Night, moves: &[Move]) -> anyhow::Result<()> {
        for each in moves {
            self.play(night, each).await?;
        }
        Ok(())
    }

    /// Does one thing.
    ///
    /// # Errors
    /// Where it is refused or takes too long.
    pub async fn play(&self, night: &Night, what: &Move) -> anyhow::Result<()> {
        match what {
            Move::Ask => self.ask(night, "{}").await,
            Move::AskWith(difference) => self.ask(night, difference).await,
            Move::Sql(text) => self.sql(night, text).await,
            Move::Reject(gate) => self.reject(night, gate).await,
            Move::Until(state) => self.until(night, *state).await,
            Move::Type(line) => self.type_in(line).await,
            Move::Mend => Ok(()),
        }
    }

    /// The tenants of a night, where they exist: the newest of each slug.
    ///
    /// # Errors
    /// Where the store cannot be asked.
    pub async fn tenants(&self, night: &Night) -> anyhow::Result<Vec<(&'static str, Option<TenantRow>)>> {
        let mut found = Vec::new();
        for slug in night.slugs {
            let rows = self.store.find(&Environment::default(), &slug_of(slug)?).await?;
            found.push((*slug, rows.into_iter().next()));
        }
        Ok(found)
    }

    /// Whether all tenants of a night are in this state.
    ///
    /// # Errors
    /// Where the store cannot be asked.
    pub async fn are(&self, night: &Night, state: State) -> anyhow::Result<bool> {
        let tenants = self.tenants(night).await?;
        Ok(tenants.iter().all(|(_, row)| row.as_ref().is_some_and(|row| row.state == state)))
    }

    /// Waits until all tenants of a night are in this state.
    ///
    /// # Errors
    /// `drill_stalled` where they are not in time.
    pub async fn until(&self, night: &Night, state: State) -> anyhow::Result<()> {
        let end = Instant::now() + PATIENCE;
        while !self.are(night, state).await? {
            if Instant::now() > end {
                return Err(stalled(night, &format!("its tenants are not {state}")));
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    async fn ask(&self, night: &Night, difference: &str) -> anyhow::Result<()> {
        for slug in night.slugs {
            let id = RequestId { source: SOURCE.to_owned(), id: fresh_id() };
            let partition = Lane::of(&slug_of(slug)?, self.running.lanes).0;
            let headers = request::headers(request::TYPE, &id, now()?, slug, None);
            let key = Some(Bytes::from_static(slug.as_bytes()));
            let body = Bytes::from(night.request(slug, difference).to_string());
            let place = Place { topic: Topic::Requests, partition };
            watch::publish(&self.options(), place, key, headers, body).await?;
        }
        Ok(())
    }

    /// Tries until it can be done: what it is about may not be there yet.
    async fn sql(&self, night: &Night, text: &str) -> anyhow::Result<()> {
        let (client, connection) =
            tokio_postgres::connect(&self.running.tenants_url, tokio_postgres::NoTls).await.map_err(told)?;
        tokio::spawn(connection);
        let end = Instant::now() + PATIENCE;
        loop {
            let tenant = self.tenants(night).await?.into_iter().find_map(|(_, row)| row);
            let id = tenant.map_or_else(|| FOREIGN.to_owned(), |row| row.tenant.to_string());
            let Err(error) = client.batch_execute(&text.replace("{id}", &id.replace('-', ""))).await else {
                return Ok(());
            };
            if Instant::now() > end {
                return Err(stalled(night, &error.to_string()));
            }
            sleep(LOOK).await;
        }
    }

    async fn reject(&self, night: &Night, gate: &'static str) -> anyhow::Result<()> {
        for slug in night.slugs {
            let slug = slug_of(slug)?;
            let lane = Lane::of(&slug, self.running.lanes).0;
            let person = Person {
                reason: "no evidence of a DPA".to_owned(),
                actor: Some("eve".to_owned()),
                second: None,
                sign_with: None,
            };
            let id = RequestId { source: SOURCE.to_owned(), id: fresh_id() };
            let target = Target { slug, environment: Environment::default(), tenant: None };
            let verb = OperationVerb::Reject(RowName::new(gate));
            let operation = person.operation(id, verb, Some(target), None, None)?;
            deed::publish(&self.options(), lane, &operation).await?;
        }
        Ok(())
    }

    /// Runs the program as a person would, on this fleet.
    async fn type_in(&self, line: &str) -> anyhow::Result<()> {
        let folder = self.running.places.outbox.parent().map(Path::to_path_buf).unwrap_or_default();
        let mut command = tokio::process::Command::new(std::env::current_exe()?);
        command
            .args(line.split_whitespace())
            .args(["--reason", REASON, "--yes"])
            .arg("--data-dir")
            .arg(folder);
        let ended = command.stdin(Stdio::null()).stdout(Stdio::null()).status().await?;
        if ended.success() {
            return Ok(());
        }
        Err(failed("drill_stalled", format!("tenantry {line} ended with {ended}; see what it said")).into())
    }

    fn options(&self) -> Options {
        let mut options = Options::new(self.running.brokers.clone(), self.running.fleet.as_str());
        options.properties.clone_from(&self.running.kafka_properties);
        options
    }
}

fn stalled(night: &Night, what: &str) -> anyhow::Error {
    let text =
        format!("{}: {what}, after {} s; see the fleet's log (--log info)", night.name, PATIENCE.as_secs());
    failed("drill_stalled", text).into()
}

fn slug_of(text: &str) -> anyhow::Result<Slug> {
    Slug::parse(text).map_err(|refusal| failed("internal", format!("{refusal}; report this")).into())
}

fn now() -> anyhow::Result<Time> {
    Ok(SystemClock::from_env()?.now())
}
