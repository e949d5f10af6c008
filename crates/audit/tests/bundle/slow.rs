//! Many records in many chains: exported, and verified by both verifiers. Times and sizes are printed.
//!
//! A million of them: `TENANTRY_SLOW=1 TENANTRY_RECORDS=1000000 cargo test -p tenantry-audit --release --test bundle slow_many`.

use std::time::Instant;

use tenantry_audit::bundle::verify_bundle;

use crate::python::run;
use crate::world::{World, all, before, only, tenant, trust};

#[test]
fn slow_many_records_are_exported_and_verified() {
    let wanted = || std::env::var("TENANTRY_RECORDS").ok()?.parse().ok();
    let records: usize = match std::env::var_os("TENANTRY_SLOW") {
        Some(_) => wanted().unwrap_or(100_000),
        None => 2_000,
    };
    let began = Instant::now();
    let step = |what: &str, began: Instant| println!("{what}: {:.1} s", began.elapsed().as_secs_f64());
    let chains: Vec<String> = (0..records / 100).map(|at| format!("chain-{at:06}")).collect();
    let mut world = World { turn: 1, ..World::default() };
    world.append(&tenant(1));
    let first = before(&world);
    for at in 1..records {
        // Not in turn, so that chains lie in the log as they do in life.
        world.append(&chains[(at * 7919 + at / 13) % chains.len()]);
    }
    step("a log was written", began);
    let began = Instant::now();
    let bundle = world.bundle(&first, all());
    step("everything was exported", began);
    let events: usize = world.values.iter().map(|value| value.len() + 1).sum();
    println!("{records} records of {events} bytes, bundle of {} bytes", bundle.len());
    let began = Instant::now();
    let verdict = verify_bundle(bundle.as_slice(), &trust()).unwrap();
    step("the first verifier", began);
    assert_eq!((verdict.exit, verdict.proved.unwrap().records), (0, records as u64));
    let began = Instant::now();
    assert_eq!(run(&bundle, &trust()).0, 0);
    step("the second verifier", began);
    let began = Instant::now();
    let one = world.bundle(&first, only(&[chains[3].clone()]));
    println!(
        "one chain of {} records, bundle of {} bytes",
        world.heads.get(&chains[3]).unwrap().seq,
        one.len()
    );
    step("one chain was exported", began);
    assert_eq!(verify_bundle(one.as_slice(), &trust()).unwrap().exit, 0);
}
