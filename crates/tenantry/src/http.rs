//! What machines ask: `/metrics` for Prometheus, `/healthz` (the process lives), `/readyz` (it can work, and why not).

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::out::{Refused, failed};
use crate::ready::Ready;

/// From a commit (half a millisecond) to a saga that waits for people (a day), in seconds.
const SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
    1800.0, 7200.0, 86400.0,
];
/// Records in a batch.
const RECORDS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0];
/// How often the exporter tidies up; histograms grow without it.
const UPKEEP: Duration = Duration::from_secs(5);

/// What the handlers share.
#[derive(Clone)]
struct Shown {
    metrics: PrometheusHandle,
    process: metrics_process::Collector,
    ready: Ready,
}

/// A server that listens and does not answer yet.
#[derive(Debug)]
pub struct Listening(TcpListener, SocketAddr);

impl Listening {
    /// Listens. Port 0 takes `usual` if it is free, else any.
    ///
    /// # Errors
    /// `http_port` where the address cannot be had.
    pub async fn on(address: SocketAddr, usual: Option<SocketAddr>) -> Result<Self, Refused> {
        let refused = |error: std::io::Error| {
            failed(
                "http_port",
                format!("cannot listen on {address}: {error}; choose another --http, or 0 for a free port"),
            )
        };
        let usual = usual.filter(|usual| address.port() == 0 && usual.ip() == address.ip());
        let again = match usual {
            Some(usual) => TcpListener::bind(usual).await.ok(),
            None => None,
        };
        let listener = match again {
            Some(listener) => listener,
            None => TcpListener::bind(address).await.map_err(refused)?,
        };
        let bound = listener.local_addr().map_err(refused)?;
        Ok(Self(listener, bound))
    }

    /// Where.
    pub fn address(&self) -> SocketAddr {
        self.1
    }

    /// Answers until `stop`.
    ///
    /// # Errors
    /// `metrics_installed_twice` where this process has metrics already.
    pub fn answer(
        self,
        ready: Ready,
        stop: CancellationToken,
    ) -> Result<tokio::task::JoinHandle<()>, Refused> {
        let metrics = recorder()?;
        let process = metrics_process::Collector::default();
        process.describe();
        let shown = Shown { metrics: metrics.clone(), process, ready };
        let router = Router::new()
            .route("/", get(|| async { "tenantry\n/metrics\n/healthz\n/readyz\n" }))
            .route("/metrics", get(metrics_page))
            .route("/healthz", get(|| async { Json(json!({"alive": true})) }))
            .route("/readyz", get(ready_page))
            .with_state(shown);
        let listener = self.0;
        Ok(tokio::spawn(async move {
            let upkeep = async {
                loop {
                    tokio::time::sleep(UPKEEP).await;
                    metrics.run_upkeep();
                }
            };
            tokio::select! {
                ended = axum::serve(listener, router) => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "metrics and probes are no longer served");
                    }
                }
                () = upkeep => {}
                () = stop.cancelled() => {}
            }
        }))
    }
}

fn recorder() -> Result<PrometheusHandle, Refused> {
    let refused = |error: metrics_exporter_prometheus::BuildError| {
        failed("metrics_failed", format!("metrics cannot be collected: {error}; report this"))
    };
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)
        .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_records".to_owned()), RECORDS))
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(refused)?;
    tenantry_coordinator::telemetry::describe();
    crate::signer::describe();
    tenantry_serve::telemetry::describe();
    metrics::describe_gauge!("tenantry_build_info", "the program that runs here, by version; always 1");
    metrics::gauge!("tenantry_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(handle)
}

async fn metrics_page(State(shown): State<Shown>) -> impl IntoResponse {
    shown.process.collect();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], shown.metrics.render())
}

async fn ready_page(State(shown): State<Shown>) -> impl IntoResponse {
    let checks = shown.ready.checks();
    let ready = checks.iter().all(|check| check.ok);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({"ready": ready, "checks": checks})))
}
