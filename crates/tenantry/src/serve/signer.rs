//! `tenantry serve signer`: what signs the audit. It is given the bus and a key of its own; no database, no tenant's key.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use tenantry_kafka::topics;
use tokio_util::sync::CancellationToken;

use super::{HTTP, properties_shown, stop_in_time, topics_match};
use crate::clock::SystemClock;
use crate::fleet::{self, OnFailure};
use crate::http::Listening;
use crate::out;
use crate::ready::{Ready, Role};
use crate::settings::{Kafka, Serve, Signing, Where};
use crate::signals::Signals;

#[derive(Clone, Debug, Args)]
pub(super) struct Flags {
    #[command(flatten)]
    at: Where,
    #[command(flatten)]
    kafka: Kafka,
    #[command(flatten)]
    signing: Signing,
    #[command(flatten)]
    http: Serve,
    /// Print the settings, without secrets, and end
    #[arg(long, help_heading = None)]
    print_config: bool,
}

pub(super) async fn run(flags: Flags) -> anyhow::Result<ExitCode> {
    let (fleet, base) = (flags.at.fleet(), flags.at.data_dir());
    let http = flags.http.http.unwrap_or(HTTP);
    if flags.print_config {
        out::json(&json!({
            "fleet": fleet,
            "brokers": flags.kafka.brokers,
            "kafka_properties": properties_shown(&flags.kafka)?,
            "signing": flags.signing.shown(&fleet, &base),
            "http": http,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut signals = Signals::new()?;
    let settings = flags.signing.needs(&fleet, flags.signing.required_key_file()?, &base)?;
    let kafka = flags.kafka.required(&fleet)?;
    let clock = SystemClock::from_env()?;
    let ready = Ready::new(&[Role::Signer]);
    let (stop, last) = (CancellationToken::new(), CancellationToken::new());
    let http = Listening::on(http, None).await?;
    let address = http.address();
    http.answer(ready.clone(), last.clone())?;
    tokio::select! {
        checked = topics_match(&kafka, &[]) => checked?,
        () = signals.first() => return Ok(ExitCode::SUCCESS),
    }
    let lanes = topics::lanes(&kafka).await.map_err(out::bus)?;
    tracing::info!(fleet = %fleet, lanes, http = %address, origin = settings.origin, "signing");
    let signing = fleet::sign(settings, kafka, clock, ready.clone(), stop.clone(), OnFailure::Exit);
    let ended = stop_in_time(tokio::spawn(signing), signals, &ready, &stop).await;
    last.cancel();
    ended?;
    Ok(ExitCode::SUCCESS)
}
