//! The log goes on: in silence, through kills, without what the signer remembered, and under another key.

use std::os::unix::fs::PermissionsExt;

use tenantry_audit::{Checkpoint, Signer};
use tenantry_contracts::Topic;
use tenantry_tests::harness::{Topics, Up};

use super::log::{OFTEN, checkpoints, origin, provision, public, run, signed, signer, until, verify};

#[tokio::test(flavor = "multi_thread")]
async fn one_log_through_silence_kills_and_another_key() {
    let mut up = Up::start("", OFTEN);
    let topics = Topics::of(&up.running);
    provision(&topics, &["acme-one"]).await;
    let before = signed(&up, &topics).await;
    assert!(before.windows(2).all(|pair| pair[1].size - pair[0].size <= 7), "seven records at most");

    // Silence is signed.
    let size = before.last().map(|last| last.size);
    let silent = |all: &[Checkpoint]| all.iter().filter(|one| Some(one.size) == size).count();
    let log = origin(&up);
    let key = public(&up);
    until("three checkpoints of the same log", async || {
        (silent(&checkpoints(&topics, &key, &log).await) >= 3).then_some(())
    })
    .await;

    // A second signer on the same folder stands back.
    let dir = up.dir().to_owned();
    let at = |name: &str| dir.join(name).to_str().expect("a path").to_owned();
    let (exit, text) = run(
        &up,
        &[
            "serve",
            "signer",
            "--brokers",
            &up.running.brokers,
            "--http",
            "0",
            "--signer-key-file",
            &at("signer.key"),
        ],
    );
    assert!(exit == 70 && text.contains("signer_running"), "{exit} {text}");

    // Killed with signal 9, and started again: with what it remembered, and without. `checkpoints` finds any break.
    for forgets in [false, true] {
        up.kill();
        if forgets {
            std::fs::remove_file(up.dir().join("signer/state.json")).expect("the state");
        }
        up.start_again();
        let slug = if forgets { "acme-three" } else { "acme-two" };
        provision(&topics, &[slug]).await;
        let after = signed(&up, &topics).await;
        assert!(after.len() > before.len() && after[..before.len()] == before[..], "the same log goes on");
    }

    // Records that are said again, from long ago too, are no leaves.
    let size = signed(&up, &topics).await.last().map(|last| last.size);
    topics.replay(vec![Topic::Audit]).await;
    up.kill();
    up.start_again();
    let again = signed(&up, &topics).await;
    assert_eq!(again.last().map(|last| last.size), size);

    // Another key takes over. Whoever knows the old one believes the new one too.
    let old = up.dir().join("old.pem");
    std::fs::copy(public(&up), &old).expect("the old public key");
    let new = at("new.key");
    std::fs::write(&new, Signer::from_entropy("audit", [7; 32]).expect("a key").to_pem()).expect("a key");
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600)).expect("closed");
    up.stop();
    let previous = at("signer.key");
    let mut args = OFTEN.to_vec();
    args.extend(["--signer-key-file", &new]);
    up.start_again_as(&args);
    let refused = until("it is not this key's turn", async || {
        let (well, why) = signer(&up);
        (!well && why.starts_with("key_unknown")).then_some(())
    });
    refused.await;
    up.stop();
    args.extend(["--previous-signer-key-file", &previous]);
    up.start_again_as(&args);
    provision(&topics, &["acme-four"]).await;
    let rotated = signed(&up, &topics).await;
    assert_eq!(rotated[..again.len()], again[..]);
    let by_old = checkpoints(&topics, &old, &log).await;
    assert!(by_old.len() >= rotated.len() && by_old[..rotated.len()] == rotated[..]);
    let out = at("rotated.tar");
    let (exit, text) =
        run(&up, &["evidence", "export", "acme-four", "-o", &out, "--reason", "AUD-8", "--key-file", &new]);
    assert_eq!(exit, 0, "{text}");
    for key in [&old, &public(&up)] {
        let (exit, verdict) = verify(out.as_ref(), key, None);
        assert_eq!(exit, 0, "{verdict}");
    }
}
