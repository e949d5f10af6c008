//! Somebody writes to the topics: the signer never signs over it, and tenants are served all the same.

use bytes::Bytes;
use tenantry_contracts::{Record, Topic};
use tenantry_ports::{Outgoing, Place};
use tenantry_tests::harness::{Topics, Up};

use super::log::{OFTEN, checkpoints, origin, provision, public, signed, signer, until};

fn again(record: &Record, value: Vec<u8>) -> Outgoing {
    Outgoing {
        place: Place { topic: record.topic.clone(), partition: record.partition },
        key: record.key.clone(),
        headers: record.headers.clone(),
        value: Some(Bytes::from(value)),
        tag: 0,
    }
}

async fn refuses(up: &Up, code: &str) {
    until(code, async || {
        let (well, why) = signer(up);
        (!well && why.starts_with(code)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_record_is_never_signed_and_a_forged_checkpoint_neither_believed() {
    let mut up = Up::start("", OFTEN);
    let topics = Topics::of(&up.running);
    provision(&topics, &["acme-one"]).await;
    signed(&up, &topics).await;

    // The same place in the chain with other bytes.
    let records = topics.read(vec![Topic::Audit]).await;
    let tenant = records.iter().find(|record| record.offset == 0).expect("a first record");
    let text = String::from_utf8(tenant.value.clone().expect("a value").to_vec()).expect("text");
    let place =
        (i32::from(tenant.partition), records.iter().filter(|r| r.partition == tenant.partition).count());
    topics.publish(vec![again(tenant, text.replace("acme-one", "acme-two").into_bytes())]).await;
    refuses(&up, "audit_doubled").await;
    let key = public(&up);

    // Tenants are served; nothing is signed over it, whatever is started again.
    provision(&topics, &["acme-three"]).await;
    up.kill();
    up.start_again();
    refuses(&up, "audit_doubled").await;
    let last = checkpoints(&topics, &key, &origin(&up)).await.pop().expect("a checkpoint");
    let read = last.read.iter().find(|(partition, _)| *partition == place.0).expect("the partition");
    assert!(usize::try_from(read.1).expect("an offset") <= place.1, "{read:?} is beyond {place:?}");

    // A checkpoint that another key signed, on its topic.
    let mut up = Up::start("", OFTEN);
    let topics = Topics::of(&up.running);
    provision(&topics, &["acme-one"]).await;
    let last = signed(&up, &topics).await.pop().expect("a checkpoint");
    up.stop();
    up.start_again();
    let stranger = tenantry_audit::Signer::from_entropy(&last.origin, [3; 32]).expect("a key");
    let note = last.sign(&[&stranger]).expect("a note").into_bytes();
    let notes = topics.read(vec![Topic::Checkpoints]).await;
    topics.publish(vec![again(&notes[0], note)]).await;
    refuses(&up, "signer_doubled").await;
    up.kill();
    up.start_again();
    refuses(&up, "key_unknown").await;
}
