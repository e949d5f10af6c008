//! Records whose place in their chain was taken long ago: the topic shows whether they repeat it, byte for byte. That is
//! rare, and costs one pass over their partitions.

use std::collections::BTreeMap;

use tenantry_audit::{Older, digest};
use tenantry_contracts::{Origin, Topic, audit};
use tenantry_kafka::{Options, Read, Reader, Start};
use tenantry_ports::Place;

use crate::trail::Trouble;

/// Compares each with the first record of its place.
///
/// # Errors
/// `audit_doubled` where the bytes differ.
pub(super) async fn compare(options: &Options, older: Vec<(Older, Origin)>) -> Result<(), Trouble> {
    if older.is_empty() {
        return Ok(());
    }
    let mut open: BTreeMap<(String, i64), Vec<(Older, Origin)>> = BTreeMap::new();
    let mut places = Vec::new();
    for (repeat, at) in older {
        let place = Place { topic: Topic::Audit, partition: at.partition };
        if !places.contains(&place) {
            places.push(place);
        }
        open.entry((repeat.chain.clone(), repeat.seq)).or_default().push((repeat, at));
    }
    tracing::info!(count = open.len(), "records are said again from long ago; comparing them with the topic");
    let mut reader = Reader::open(options, places, Start::Earliest).await?;
    while !open.is_empty()
        && let Read::Records(records) = reader.read().await?
    {
        for record in &records {
            let Ok(event) = audit::decode(record) else { continue };
            let Some(repeats) = open.remove(&(event.chain, event.seq)) else { continue };
            let first = digest(record.value.as_deref().unwrap_or_default());
            if let Some((repeat, at)) = repeats.iter().find(|(repeat, _)| repeat.digest != first) {
                return Err(repeat.doubled(at).into());
            }
        }
    }
    Ok(())
}
