//! The limit line: what this machine, this PostgreSQL and this broker give at best, measured beside the sagas, so that figures
//! of different machines can be held against each other as ratios.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bytes::Bytes;
use tenantry_contracts::Topic;
use tenantry_kafka::{Kafka, Options, Read, Reader, Start};
use tenantry_ports::{Bus, Delivery, Outgoing, Place, Producer, Refused};
use tokio_postgres::{Client, NoTls};

use super::figures::{Limits, percentile};

/// How long commits are counted.
const COMMITS_FOR: Duration = Duration::from_secs(2);
/// How many clients commit at once.
const CLIENTS: usize = 64;
/// How often a page is synced and a byte goes round.
const ROUNDS: usize = 400;
/// How many records are produced, and of how many bytes.
const RECORDS: usize = 50_000;
const RECORD_BYTES: usize = 1024;
/// How many paced hops, and how far apart.
const HOPS: usize = 300;
const PACE: Duration = Duration::from_millis(5);
/// Records that nobody of the fleet reads go here.
const PLACE: Place = Place { topic: Topic::Quarantine, partition: 0 };

/// Takes the limit line.
pub(super) async fn take(url: &str, options: &Options, dir: &Path) -> anyhow::Result<Limits> {
    let setup = connect(url).await?;
    setup.batch_execute("create table if not exists bench_limit (n int8 not null)").await?;
    let commits_per_s_1 = commits(url, 1).await?;
    let commits_per_s_64 = commits(url, CLIENTS).await?;
    setup.batch_execute("drop table bench_limit").await?;
    let path = dir.join("fdatasync");
    let synced = tokio::task::spawn_blocking(move || fdatasync(&path)).await??;
    let loopback = tokio::task::spawn_blocking(loopback).await??;
    let produced_per_s = produced(options).await?;
    let hops = hops(options).await?;
    Ok(Limits {
        commits_per_s_1,
        commits_per_s_64,
        fdatasync_p50_ms: percentile(&synced, 50.0),
        fdatasync_p99_ms: percentile(&synced, 99.0),
        loopback_us: percentile(&loopback, 50.0) * 1000.0,
        produced_per_s,
        hop_p50_ms: percentile(&hops, 50.0),
        hop_p99_ms: percentile(&hops, 99.0),
    })
}

async fn connect(url: &str) -> anyhow::Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Commits of one row a second, by so many clients.
async fn commits(url: &str, clients: usize) -> anyhow::Result<f64> {
    let mut running = tokio::task::JoinSet::new();
    let mut connected = Vec::new();
    for _ in 0..clients {
        let client = connect(url).await?;
        let insert = client.prepare("insert into bench_limit values ($1)").await?;
        connected.push((client, insert));
    }
    let began = Instant::now();
    for (client, insert) in connected {
        running.spawn(async move {
            let mut count = 0_i64;
            while began.elapsed() < COMMITS_FOR {
                client.execute(&insert, &[&count]).await?;
                count += 1;
            }
            Ok::<_, tokio_postgres::Error>(count)
        });
    }
    let mut sum = 0;
    while let Some(count) = running.join_next().await {
        sum += count??;
    }
    Ok(sum as f64 / began.elapsed().as_secs_f64())
}

/// Milliseconds that a synced page takes, sorted.
fn fdatasync(path: &Path) -> std::io::Result<Vec<f64>> {
    let mut file = std::fs::File::create(path)?;
    let times = (0..ROUNDS).map(|_| {
        file.write_all(&[7; 8192])?;
        let began = Instant::now();
        file.sync_data()?;
        Ok(millis(began))
    });
    let times: std::io::Result<Vec<f64>> = times.collect();
    std::fs::remove_file(path)?;
    times.map(sorted)
}

/// Milliseconds that a byte takes there and back, sorted.
fn loopback() -> std::io::Result<Vec<f64>> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let mut near = std::net::TcpStream::connect(listener.local_addr()?)?;
    let (mut far, _) = listener.accept()?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let echo = std::thread::spawn(move || {
        let mut byte = [0];
        while far.read_exact(&mut byte).is_ok() && far.write_all(&byte).is_ok() {}
    });
    let times = (0..ROUNDS).map(|_| {
        let began = Instant::now();
        near.write_all(&[1])?;
        near.read_exact(&mut [0])?;
        Ok(millis(began))
    });
    let times: std::io::Result<Vec<f64>> = times.collect();
    drop(near);
    // It ends with the connection.
    let _ = echo.join();
    times.map(sorted)
}

/// Records a second that the broker takes.
async fn produced(options: &Options) -> anyhow::Result<f64> {
    let mut producer = Kafka::new(options.clone()).producer().await?;
    let value = Bytes::from(vec![b'x'; RECORD_BYTES]);
    let (mut sent, mut acked) = (0, 0);
    let began = Instant::now();
    while acked < RECORDS {
        while sent < RECORDS {
            match producer.send(record(value.clone())) {
                Ok(()) => sent += 1,
                Err(Refused::Full(_)) => break,
                Err(Refused::Never(_, why)) => bail!("the broker refuses a record: {why}"),
            }
        }
        acked += acknowledged(&mut producer).await?;
    }
    Ok(RECORDS as f64 / began.elapsed().as_secs_f64())
}

/// Milliseconds from the producer to a consumer, sorted.
async fn hops(options: &Options) -> anyhow::Result<Vec<f64>> {
    let mut reader = Reader::open(options, vec![PLACE], Start::End).await?;
    let mut producer = Kafka::new(options.clone()).producer().await?;
    let mut times = Vec::with_capacity(HOPS);
    for _ in 0..HOPS {
        tokio::time::sleep(PACE).await;
        let began = Instant::now();
        if producer.send(record(Bytes::from_static(b"hop"))).is_err() {
            bail!("the broker refuses a record");
        }
        let mut heard = false;
        while !heard {
            tokio::select! {
                read = reader.read() => heard = matches!(read?, Read::Records(records) if !records.is_empty()),
                acked = acknowledged(&mut producer) => { acked?; }
                () = tokio::time::sleep(Duration::from_secs(10)) => bail!("a record did not come back in 10 s"),
            }
        }
        times.push(millis(began));
    }
    Ok(sorted(times))
}

async fn acknowledged(producer: &mut impl Producer) -> anyhow::Result<usize> {
    let reports = producer.delivered().await;
    let bad = reports.iter().find(|report| !matches!(report.delivery, Delivery::Acked(_)));
    match bad {
        Some(bad) => Err(anyhow::anyhow!("{:?}", bad.delivery)).context("a record was not acknowledged"),
        None => Ok(reports.len()),
    }
}

fn record(value: Bytes) -> Outgoing {
    Outgoing { place: PLACE, key: None, headers: Vec::new(), value: Some(value), tag: 0 }
}

fn millis(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1000.0
}

fn sorted(mut times: Vec<f64>) -> Vec<f64> {
    times.sort_by(f64::total_cmp);
    times
}
