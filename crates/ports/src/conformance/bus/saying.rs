//! What is said: in order, once, exactly, acknowledged.

use bytes::Bytes;
use tenantry_contracts::Headers;

use super::BusWorld;
use super::ear::Ear;
use super::mouth::{Mouth, at, numbers};
use crate::{Outgoing, Place};

/// Records of one producer session are heard once and in order in each partition.
pub async fn order_is_kept_and_nothing_is_doubled<W: BusWorld>(world: &W) {
    const EACH: usize = 2_000;
    let topic = world.topic(2).await;
    let places = [at(&topic, 0), at(&topic, 1)];
    let mut mouth = Mouth::open(world).await;
    for value in 0..EACH {
        for place in &places {
            mouth.say(Mouth::<W>::plain(place, value.to_string())).await;
        }
    }
    mouth.settle().await;
    let mut ear = Ear::worker(world, &world.group(), &[topic]).await;
    ear.until_heard(2 * EACH).await;
    ear.listen(super::SILENCE).await;
    for place in &places {
        assert_eq!(ear.values(place), numbers(0, EACH), "{place:?}");
    }
    ear.close(true).await;
}

/// Each acknowledgement carries the record's own offset; offsets follow the order of saying.
pub async fn acknowledgements_carry_the_offsets_in_order<W: BusWorld>(world: &W) {
    let topic = world.topic(1).await;
    let place = at(&topic, 0);
    let mut mouth = Mouth::open(world).await;
    mouth.count(&place, 0, 300).await;
    let offsets: Vec<_> = mouth.acked.values().copied().collect();
    assert_eq!(offsets, (0..300).collect::<Vec<i64>>());
    let mut ear = Ear::worker(world, &world.group(), &[topic]).await;
    ear.until_heard(300).await;
    for (heard, offset) in ear.heard.iter().zip(offsets) {
        assert_eq!((heard.record.offset, super::ear::text(&heard.record)), (offset, offset.to_string()));
    }
    ear.close(true).await;
}

/// Key, value and headers come back to the byte: nothing, empty, and everything in between.
pub async fn what_was_said_comes_back_exactly<W: BusWorld>(world: &W) {
    let topic = world.topic(1).await;
    let place = at(&topic, 0);
    let header = |name: &str, value: &'static [u8]| (name.to_owned().into(), Bytes::from_static(value));
    let records = [
        record(&place, None, None, vec![]),
        record(&place, Some(b""), Some(b""), vec![]),
        record(&place, Some(b"key"), None, vec![header("id", b"1")]),
        record(&place, None, Some(b"value"), vec![header("a", b"1"), header("a", b"2"), header("a", b"1")]),
        record(
            &place,
            Some(b"\xff\x00\xfe"),
            Some(b"\x00\x80\xff"),
            vec![header("empty", b""), header("b", b"\xff")],
        ),
        record(&place, Some("schlüssel".as_bytes()), Some("größe".as_bytes()), vec![header("straße", b"x")]),
        Outgoing {
            value: Some(Bytes::from(vec![7; 200_000])),
            ..record(&place, Some(b"large"), None, (0..40).map(|i| header(&format!("h{i}"), b"v")).collect())
        },
    ];
    let mut mouth = Mouth::open(world).await;
    for record in &records {
        mouth.say(record.clone()).await;
    }
    mouth.settle().await;
    let mut ear = Ear::worker(world, &world.group(), &[topic]).await;
    ear.until_heard(records.len()).await;
    for (heard, said) in ear.heard.iter().zip(&records) {
        let heard = &heard.record;
        assert_eq!((&heard.key, &heard.value, &heard.headers), (&said.key, &said.value, &said.headers));
        assert_eq!((&heard.topic, heard.partition), (&place.topic, place.partition));
    }
    ear.close(true).await;
}

/// A record above the topic's limit is refused for good, is not there, and does not end the producer.
pub async fn too_large_is_refused_and_the_producer_goes_on<W: BusWorld>(world: &W) {
    let topic = world.topic(1).await;
    let place = at(&topic, 0);
    let most = usize::try_from(topic.settings().max_message_bytes).expect("limits are positive");
    let mut mouth = Mouth::open(world).await;
    mouth.say(Mouth::<W>::plain(&place, "before")).await;
    let large = mouth.offer(Mouth::<W>::plain(&place, "x".repeat(most + 1))).await;
    let fits = "y".repeat(most - 1_000);
    mouth.say(Mouth::<W>::plain(&place, fits.clone())).await;
    mouth.say(Mouth::<W>::plain(&place, "after")).await;
    mouth.settle().await;
    if let Some(large) = large {
        assert!(mouth.refused.contains_key(&large), "a too large record was taken");
    }
    assert_eq!(mouth.acked.len(), 3);
    let mut ear = Ear::worker(world, &world.group(), &[topic]).await;
    ear.until_heard(3).await;
    assert!(
        ear.values(&place) == ["before".to_string(), fits, "after".to_string()],
        "other records were heard"
    );
    ear.close(true).await;
}

fn record(
    place: &Place,
    key: Option<&'static [u8]>,
    value: Option<&'static [u8]>,
    headers: Headers,
) -> Outgoing {
    Outgoing {
        place: place.clone(),
        key: key.map(Bytes::from_static),
        headers,
        value: value.map(Bytes::from_static),
        tag: 0,
    }
}
