//! What `up` shows of itself.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{Args, Up};
use crate::faults::Faults;
use crate::out::Refused;
use crate::settings::{property_shown, shown, url_shown};

/// The block that people see when everything is ready.
pub(super) fn block(up: &Up) -> String {
    let running = &up.running;
    let mut text = String::new();
    let mut row = |name: &str, value: String, note: &str| {
        let note = if note.is_empty() { String::new() } else { format!("  ({note})") };
        // Writing into a string does not fail.
        let _ = writeln!(text, "  {name:<12} {value}{note}");
    };
    row("fleet", format!("{}, {} lanes", running.fleet, running.lanes), "");
    row("Kafka", running.brokers.clone(), if up.house.embedded_broker { "embedded" } else { "" });
    let version = up
        .house
        .postgres
        .as_ref()
        .map(|version| format!("private, {}", version.split_whitespace().next().unwrap_or_default()));
    row("PostgreSQL", url_shown(&running.database_url), version.as_deref().unwrap_or_default());
    row("tenants in", url_shown(&running.tenants_url), "");
    row("HTTP", format!("http://{}", running.http), "/metrics /healthz /readyz");
    row("data", up.home.dir().display().to_string(), "master.key in it opens all personal data: keep a copy");
    row("mails", running.places.outbox.display().to_string(), "");
    let place = if up.home.dir() == crate::settings::Where::default().data_dir() {
        String::new()
    } else {
        format!(" --data-dir {}", up.home.dir().display())
    };
    format!(
        "tenantry {version} is up: ready in {ms} ms\n\n{text}\n  \
         ask for a tenant:  echo '{{\"name\": \"Acme\"}}' | tenantry request -f - --watch{place}\n  \
         or with any Kafka client: publish it on tenant.requests, read tenant.events\n  \
         stop: Ctrl-C, or kill {pid}\n",
        version = env!("CARGO_PKG_VERSION"),
        ms = up.took.as_millis(),
        pid = running.pid,
    )
}

/// The same for programs. Passwords stand in `up.json` of the data directory only.
pub(super) fn running(up: &Up) -> Value {
    let running = &up.running;
    json!({
        "ready_ms": u64::try_from(up.took.as_millis()).unwrap_or(u64::MAX),
        "pid": running.pid,
        "fleet": running.fleet,
        "lanes": running.lanes,
        "brokers": running.brokers,
        "database_url": url_shown(&running.database_url),
        "tenants_url": url_shown(&running.tenants_url),
        "http": format!("http://{}", running.http),
        "data_dir": up.home.dir(),
        "places": running.places,
    })
}

/// What `--print-config` prints.
pub(super) fn settings(args: &Args) -> Result<Value, Refused> {
    let data = args.at.data_dir();
    let properties: serde_json::Map<String, Value> = args
        .kafka
        .properties()?
        .into_iter()
        .map(|(name, value)| (name.clone(), property_shown(&name, &value).into()))
        .collect();
    let key = match args.key.given()? {
        Some(_) => "given".to_owned(),
        None => data.join("master.key").display().to_string(),
    };
    Faults::from_env()?;
    Ok(json!({
        "fleet": args.at.fleet,
        "data_dir": data,
        "brokers": args.kafka.brokers.as_deref().unwrap_or("embedded"),
        "broker_port": args.broker_port,
        "kafka_properties": properties,
        "lanes": args.lanes,
        "replication": args.replication,
        "database_url": shown(args.store.url()?.as_ref(), "private"),
        "tenants_url": shown(args.tenants.url()?.as_ref(), "private"),
        "master_key": key,
        "rules": args.governance.shown(),
        "work": args.work.shown(&data),
        "signing": args.signing.shown(&args.at.fleet(), &data),
        "http": args.http.http,
        "faults": std::env::var("TENANTRY_FAULTS").ok(),
        "clock_offset_ms": std::env::var("TENANTRY_CLOCK_OFFSET_MS").ok(),
    }))
}
