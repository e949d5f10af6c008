//! An export of many records: `TENANTRY_EVIDENCE_RECORDS` says how many, a few thousand where nothing is said.

use std::time::Instant;

use bytes::Bytes;
use tenantry_audit::Head;
use tenantry_contracts::audit::{self, AuditEvent, AuditKind};
use tenantry_contracts::{Lane, TenantId, Time, Topic};
use tenantry_ports::{Outgoing, Place};
use tenantry_tests::harness::{Topics, Up};

use super::log::{public, run, signed, verify};

/// How many tenants share the records.
const CHAINS: usize = 40;
/// How many records are published at once.
const BATCH: usize = 5_000;

#[tokio::test(flavor = "multi_thread")]
async fn many_records_are_signed_exported_and_verified() {
    let count: usize =
        std::env::var("TENANTRY_EVIDENCE_RECORDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3_000);
    let up = Up::start("", &["--checkpoint-every-ms", "1000"]);
    let topics = Topics::of(&up.running);
    let mut heads: Vec<(String, Lane, Head)> = (0..CHAINS)
        .map(|chain| {
            let id = TenantId::new(Time(1), [u8::try_from(chain).expect("few"); 10]).to_string();
            let lane = Lane(u16::try_from(chain).expect("few") % up.running.lanes);
            let head = Head::start(&id);
            (id, lane, head)
        })
        .collect();
    let mut batch = Vec::new();
    for at in 0..count {
        let (chain, lane, head) = &mut heads[at % CHAINS];
        let n = i64::try_from(at).expect("few") + 1;
        let event = AuditEvent {
            fleet: up.running.fleet.clone(),
            chain: chain.clone(),
            seq: head.seq + 1,
            prev: head.prev(),
            ..AuditEvent::new(AuditKind::StepSucceeded, Time(1_700_000_000_000 + n), *lane, n)
        };
        let (headers, value) = audit::encode(&event, "/tests").expect("an event");
        *head = head.after(&value);
        let place = Place { topic: Topic::Audit, partition: lane.0 };
        let key = Some(Bytes::copy_from_slice(chain.as_bytes()));
        batch.push(Outgoing { place, key, headers, value: Some(value), tag: 0 });
        if batch.len() == BATCH || at + 1 == count {
            topics.publish(std::mem::take(&mut batch)).await;
        }
    }
    let began = Instant::now();
    let last = signed(&up, &topics).await.pop().expect("a checkpoint");
    assert_eq!(last.size, count as u64);
    let signing = began.elapsed();
    let out = up.dir().join("all.tar");
    let began = Instant::now();
    let (exit, text) =
        run(&up, &["evidence", "export", "--all", "-o", out.to_str().expect("a path"), "--reason", "AUD-9"]);
    let exporting = began.elapsed();
    assert_eq!(exit, 0, "{text}");
    let began = Instant::now();
    let (exit, verdict) = verify(&out, &public(&up), None);
    assert_eq!(exit, 0, "{verdict}");
    #[allow(clippy::print_stdout)]
    {
        println!(
            "{count} records: signed within {signing:?}, exported in {exporting:?}, verified twice in {:?}, {} bytes",
            began.elapsed(),
            std::fs::metadata(&out).expect("the bundle").len()
        );
    }
}
