//! No key stands in clear, none opens where it does not belong, and what was altered is noticed.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD as BASE64};
use serde_json::{Value, json};
use tenantry_contracts::sealed::MasterKey;
use tenantry_contracts::{Class, Code, DataKey};
use tenantry_step::kit::{Tenant, World};
use tenantry_step::{Observed, Step};
use tenantry_worker_secrets::Secrets;

use crate::world::{MASTER, Safe, asked, is_no, opens, seal};

#[tokio::test]
async fn no_key_stands_in_clear_in_files_outputs_or_debug_texts() {
    for level in ["standard", "enhanced"] {
        let world = Safe::new(level);
        let tenant = Tenant::fresh();
        let cx = tenant.cx(10);
        let output = world.step.execute(&cx, &asked(level, 3)).await.unwrap();
        // A data key shows its bytes to nobody, so every 32 bytes in the texts are tried as one.
        let keys = world.keys(&tenant).await;
        let seen = world.step.observe(&cx, &asked(level, 3)).await.unwrap();
        let texts = format!("{} {output:?} {seen:?} {keys:?} {cx:?}", world.text(&tenant));
        assert!(texts.contains("DataKey(..)"), "{texts}");
        let sealed: Vec<_> = keys.iter().map(|key| seal(&tenant, key)).collect();
        let mut candidates = 0;
        for bytes in candidates_of(&texts) {
            candidates += 1;
            let key = DataKey::new(bytes);
            assert!(!sealed.iter().any(|sealed| opens(&tenant, &key, sealed)), "{level}: a key in clear");
        }
        assert!(candidates > 100, "{level}: {candidates}");
        // The same search finds a key that does stand there.
        let planted = DataKey::new([5; 32]);
        let sealed = seal(&tenant, &planted);
        for text in [format!("x{}", "05".repeat(32)), format!("{{\"k\":\"{}\"}}", BASE64.encode([5; 32]))] {
            let found = candidates_of(&text).any(|bytes| opens(&tenant, &DataKey::new(bytes), &sealed));
            assert!(found, "{text}");
        }
        let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&world.file(&tenant)), 0o600);
        assert_eq!(mode(&world.dir.path().join("keys")), 0o700);
    }
}

/// Every 32 bytes that stand in a text in hexadecimal, or in base64 wherever it begins.
fn candidates_of(text: &str) -> impl Iterator<Item = [u8; 32]> {
    let windows = |length| text.as_bytes().windows(length);
    let hex = windows(64).filter_map(|part| {
        let mut bytes = [0; 32];
        hex::decode_to_slice(part, &mut bytes).ok().map(|()| bytes)
    });
    let base64 = windows(44).filter_map(|part| {
        let bytes = BASE64.decode(part).ok()?;
        bytes.get(..32)?.try_into().ok()
    });
    // 32 bytes without padding: the text ends with them.
    let last = windows(43).filter_map(|part| BASE64.decode(part).ok()?.try_into().ok());
    hex.chain(base64).chain(last)
}

#[tokio::test]
async fn another_master_key_fleet_or_tenant_opens_nothing_and_nothing_is_lost() {
    for level in ["standard", "enhanced"] {
        let mut world = Safe::new(level);
        let tenant = Tenant::fresh();
        let output = world.ask(&tenant, 10, 2).await.unwrap();
        let before = world.text(&tenant);
        world.step = Secrets::new(world.dir.path().join("keys"), MasterKey::new([8; 32]));
        let no = world.ask(&tenant, 11, 3).await.unwrap_err();
        assert!(is_no(&no, Code::Misconfigured, Class::Config, None), "{no}");
        assert!(no.to_string().contains("master key"), "{no}");
        assert_eq!(world.step.keys(&tenant.cx(11)).await.unwrap_err(), no);
        assert_eq!(world.step.foresee(&tenant.cx(11), &asked(level, 2)).await, Err(no));
        assert_eq!(world.differences(&tenant, &asked(level, 2)).await, ["/key"]);
        assert_eq!(world.text(&tenant), before);

        world.step = Secrets::new(world.dir.path().join("keys"), MasterKey::new(MASTER));
        assert_eq!(world.ask(&tenant, 12, 2).await.unwrap(), output);
        // A neighbour's keys under this tenant's name and tag.
        let other = Tenant::fresh();
        let moved = before.replace(&tenant.cx(10).owner_tag(), &other.cx(10).owner_tag());
        fs::write(world.file(&other), moved).unwrap();
        let no = world.step.keys(&other.cx(11)).await.unwrap_err();
        assert!(is_no(&no, Code::Misconfigured, Class::Config, None), "{no}");

        // Keys that nobody can open any more can be destroyed.
        world.step = Secrets::new(world.dir.path().join("keys"), MasterKey::new([8; 32]));
        world.step.compensate(&tenant.cx(20), &asked(level, 2), None).await.unwrap();
        assert!(world.remains(&tenant).await.is_empty());
    }
}

type Alter<'a> = Box<dyn Fn(&mut Value) + 'a>;

#[tokio::test]
async fn whatever_is_altered_in_a_key_file_is_noticed() {
    for level in ["standard", "enhanced"] {
        let world = Safe::new(level);
        let tenant = Tenant::fresh();
        world.ask(&tenant, 10, 3).await.unwrap();
        let sound: Value = serde_json::from_str(&world.text(&tenant)).unwrap();
        let other = Tenant::fresh();
        world.ask(&other, 10, 3).await.unwrap();
        let theirs: Value = serde_json::from_str(&world.text(&other)).unwrap();
        let alterations: Vec<(&str, Alter<'_>)> = vec![
            (
                "two keys exchanged",
                Box::new(|text| {
                    let first = text["keys"][0]["wrapped"].take();
                    text["keys"][0]["wrapped"] = text["keys"][1]["wrapped"].take();
                    text["keys"][1]["wrapped"] = first;
                }),
            ),
            (
                "the newest key left out",
                Box::new(|text| {
                    text["keys"].as_array_mut().unwrap().pop();
                }),
            ),
            (
                "the oldest key left out",
                Box::new(|text| {
                    text["keys"].as_array_mut().unwrap().remove(0);
                }),
            ),
            ("no keys", Box::new(|text| text["keys"] = json!([]))),
            ("another id", Box::new(|text| text["keys"][2]["id"] = json!("0000000000000000"))),
            ("another generation", Box::new(|text| text["keys"][2]["generation"] = json!(4))),
            ("no base64", Box::new(|text| text["keys"][1]["wrapped"] = json!("!"))),
            ("an empty key", Box::new(|text| text["keys"][1]["wrapped"] = json!(""))),
            ("a neighbour's key", Box::new(|text| text["keys"][1] = theirs["keys"][1].clone())),
            ("another question's tag", Box::new(|text| text["owner"] = json!(tenant.cx(9).owner_tag()))),
            (
                "the other level",
                Box::new(|text| {
                    text["level"] = json!(if level == "standard" { "enhanced" } else { "standard" });
                }),
            ),
            ("no level that there is", Box::new(|text| text["level"] = json!("none"))),
            ("a wrapping key of theirs", Box::new(|text| text["wrapping"] = theirs["wrapping"].clone())),
            (
                "no digest",
                Box::new(|text| {
                    text.as_object_mut().unwrap().remove("digest");
                }),
            ),
            ("another digest", Box::new(|text| text["digest"] = theirs["digest"].clone())),
            ("a member more", Box::new(|text| text["more"] = json!(1))),
        ];
        for (what, alter) in &alterations {
            let mut text = sound.clone();
            alter(&mut text);
            if text == sound || (level == "standard" && *what == "a wrapping key of theirs") {
                continue;
            }
            fs::write(world.file(&tenant), text.to_string()).unwrap();
            let no = world.ask(&tenant, 11, 3).await.unwrap_err();
            assert!(is_no(&no, Code::Misconfigured, Class::Config, None), "{level}, {what}: {no}");
            assert_eq!(world.differences(&tenant, &asked(level, 3)).await, ["/key"], "{level}, {what}");
            assert_eq!(fs::read_to_string(world.file(&tenant)).unwrap(), text.to_string(), "{what}");
        }
        // It was the alterations that were noticed: the same text in another order of members opens.
        fs::write(world.file(&tenant), sound.to_string()).unwrap();
        world.ask(&tenant, 12, 3).await.unwrap();
    }
}

#[tokio::test]
async fn a_file_without_a_tag_of_ours_is_never_opened_changed_or_destroyed() {
    let world = Safe::new("standard");
    let (tenant, other) = (Tenant::fresh(), Tenant::fresh());
    world.ask(&tenant, 10, 1).await.unwrap();
    let ours = world.text(&tenant);
    let aside = world.dir.path().join("aside");
    fs::write(&aside, &ours).unwrap();
    let large = format!("{ours}{}", " ".repeat(2_000_000));
    let neighbours = ours.replace(&tenant.cx(10).owner_tag(), &other.cx(10).owner_tag());
    for what in ["link", "zeros", "half", "large", "neighbour's", "no text"] {
        fs::remove_file(world.file(&tenant)).unwrap();
        match what {
            "link" => symlink(&aside, world.file(&tenant)).unwrap(),
            "zeros" => fs::write(world.file(&tenant), vec![0; ours.len()]).unwrap(),
            "half" => fs::write(world.file(&tenant), &ours[..ours.len() / 2]).unwrap(),
            "large" => fs::write(world.file(&tenant), &large).unwrap(),
            "neighbour's" => fs::write(world.file(&tenant), &neighbours).unwrap(),
            _ => fs::write(world.file(&tenant), [0xff]).unwrap(),
        }
        let before = fs::read(world.file(&tenant)).unwrap();
        let made = world.ask(&tenant, 20, 1).await.unwrap_err();
        let undone = world.step.compensate(&tenant.cx(20), &asked("standard", 1), None).await.unwrap_err();
        let read = world.step.keys(&tenant.cx(20)).await.unwrap_err();
        for no in [made, undone, read] {
            assert!(is_no(&no, Code::OwnedByOther, Class::Conflict, None), "{what}: {no}");
        }
        let seen = world.step.observe(&tenant.cx(20), &asked("standard", 1)).await.unwrap();
        assert!(matches!(seen, Observed::Foreign { .. }), "{what}: {seen:?}");
        assert_eq!(fs::read(world.file(&tenant)).unwrap(), before, "{what}");
    }
    assert_eq!(fs::read_to_string(&aside).unwrap(), ours);
}
