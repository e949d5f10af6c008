//! Keys are made, rotated, wrapped anew and destroyed.

use std::fs;

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD as BASE64};
use serde_json::Value;
use tenantry_contracts::sealed::MasterKey;
use tenantry_contracts::steps::secrets::Output;
use tenantry_contracts::{Class, Code};
use tenantry_step::kit::{Tenant, World};
use tenantry_step::{Observed, Step, Trouble};
use tenantry_worker_secrets::{MOST_GENERATIONS, Secrets, prepare};

use crate::world::{MASTER, Safe, asked, is_no, opens, seal};

#[tokio::test]
async fn a_rotation_adds_a_key_and_the_older_ones_open_what_they_sealed() {
    for level in ["standard", "enhanced"] {
        let world = Safe::new(level);
        let tenant = Tenant::fresh();
        let first = world.ask(&tenant, 10, 1).await.unwrap();
        let path = format!("{}.keys", tenant.id);
        assert_eq!((&first.path, first.generation, first.level.as_str()), (&path, 1, level));
        assert_eq!(first.key.len(), 16);
        let before = world.keys(&tenant).await;
        let sealed = seal(&tenant, &before[0]);

        assert_eq!(world.differences(&tenant, &asked(level, 3)).await, ["/generation"]);
        let rotated = world.ask(&tenant, 11, 3).await.unwrap();
        assert_eq!(rotated.generation, 3);
        assert_ne!(rotated.key, first.key);
        let after = world.keys(&tenant).await;
        let opening: Vec<_> = after.iter().map(|key| opens(&tenant, key, &sealed)).collect();
        assert_eq!(opening, [true, false, false], "{level}");
        assert_eq!(world.ask(&tenant, 12, 3).await.unwrap(), rotated);
        assert!(world.differences(&tenant, &asked(level, 3)).await.is_empty());
        assert_eq!(world.ask(&tenant, 11, 3).await, Err(Trouble::Superseded));
    }
}

#[tokio::test]
async fn a_lower_generation_is_refused_and_no_key_is_lost() {
    let world = Safe::new("standard");
    let tenant = Tenant::fresh();
    world.ask(&tenant, 10, 2).await.unwrap();
    let before = world.text(&tenant);
    let no = world.ask(&tenant, 11, 1).await.unwrap_err();
    assert!(is_no(&no, Code::VersionStale, Class::Conflict, Some("/generation")), "{no}");
    assert_eq!(world.step.foresee(&tenant.cx(11), &asked("standard", 1)).await, Err(no));
    assert_eq!(world.differences(&tenant, &asked("standard", 1)).await, ["/generation"]);
    assert_eq!(world.text(&tenant), before);
}

#[tokio::test]
async fn another_level_wraps_the_same_keys_anew() {
    let world = Safe::new("standard");
    let tenant = Tenant::fresh();
    let standard = world.ask(&tenant, 10, 2).await.unwrap();
    let sealed: Vec<_> = world.keys(&tenant).await.iter().map(|key| seal(&tenant, key)).collect();
    let mut token = 10;
    for level in ["enhanced", "standard"] {
        token += 1;
        let input = asked(level, 2);
        assert_eq!(world.differences(&tenant, &input).await, ["/level"]);
        let want = Output { level: level.to_owned(), ..standard.clone() };
        let foreseen = world.step.foresee(&tenant.cx(token), &input).await;
        assert_eq!(foreseen, Ok(Some(want.clone())));
        assert_eq!(world.step.execute(&tenant.cx(token), &input).await, Ok(want));
        assert!(world.differences(&tenant, &input).await.is_empty());
        let keys = world.keys(&tenant).await;
        assert!(keys.iter().zip(&sealed).all(|(key, sealed)| opens(&tenant, key, sealed)), "{level}");

        // The platform key alone opens a standard tenant's keys, and not an enhanced one's.
        let text: Value = serde_json::from_str(&world.text(&tenant)).unwrap();
        let wrapped = BASE64.decode(text["keys"][0]["wrapped"].as_str().unwrap()).unwrap();
        let direct = MasterKey::new(MASTER).unwrap(&tenant.fleet, tenant.id, &wrapped);
        assert_eq!(direct.is_ok(), level == "standard");
        assert_eq!(text.get("wrapping").is_some(), level == "enhanced");
    }
}

#[tokio::test]
async fn what_is_asked_for_must_make_sense() {
    let world = Safe::new("standard");
    let tenant = Tenant::fresh();
    let most = MOST_GENERATIONS;
    for (input, at) in [
        (asked("platinum", 1), "/level"),
        (asked("", 1), "/level"),
        (asked("standard", 0), "/generation"),
        (asked("standard", most + 1), "/generation"),
        (asked("standard", u32::MAX), "/generation"),
    ] {
        let no = world.step.execute(&tenant.cx(10), &input).await.unwrap_err();
        assert!(is_no(&no, Code::Misconfigured, Class::Config, Some(at)), "{no}");
        assert_eq!(world.step.observe(&tenant.cx(10), &input).await, Ok(Observed::Absent));
    }
    assert!(world.remains(&tenant).await.is_empty());
    let all = world.ask(&tenant, 11, most).await.unwrap();
    assert_eq!(all.generation, most);
    assert_eq!(world.keys(&tenant).await.len(), most as usize, "the largest file can be read again");
}

#[tokio::test]
async fn destroyed_keys_are_gone_and_new_ones_open_nothing_of_theirs() {
    let world = Safe::new("enhanced");
    let tenant = Tenant::fresh();
    let first = world.ask(&tenant, 10, 1).await.unwrap();
    let sealed = seal(&tenant, &world.keys(&tenant).await[0]);
    // The blocks of the file, seen through another name.
    let blocks = world.dir.path().join("blocks");
    fs::hard_link(world.file(&tenant), &blocks).unwrap();
    world.step.compensate(&tenant.cx(20), &asked("enhanced", 1), Some(&first)).await.unwrap();
    assert!(world.remains(&tenant).await.is_empty());
    assert!(world.keys(&tenant).await.is_empty());
    let blocks = fs::read(blocks).unwrap();
    assert!(!blocks.is_empty() && blocks.iter().all(|byte| *byte == 0));

    let again = world.ask(&tenant, 30, 1).await.unwrap();
    assert_ne!(again.key, first.key);
    assert!(!opens(&tenant, &world.keys(&tenant).await[0], &sealed));
}

#[tokio::test]
async fn what_a_crash_left_is_no_absence_and_the_next_question_takes_it_away() {
    let world = Safe::new("standard");
    for undo in [false, true] {
        let tenant = Tenant::fresh();
        world.ask(&tenant, 10, 1).await.unwrap();
        let name = format!("keys/.{}.keys", tenant.id);
        let remnant = |ending: &str| world.dir.path().join(format!("{name}.{ending}"));
        fs::rename(world.file(&tenant), remnant("gone")).unwrap();
        fs::write(remnant("draft"), "{\"owner\"").unwrap();
        let seen = world.differences(&tenant, &asked("standard", 1)).await;
        assert_eq!(seen, ["/path", "/remnants"]);
        assert_eq!(world.remains(&tenant).await.len(), 2, "looking takes nothing away");
        if undo {
            world.step.compensate(&tenant.cx(20), &asked("standard", 1), None).await.unwrap();
            assert!(world.remains(&tenant).await.is_empty());
        } else {
            world.ask(&tenant, 11, 1).await.unwrap();
            assert_eq!(world.remains(&tenant).await.len(), 1);
            assert!(world.differences(&tenant, &asked("standard", 1)).await.is_empty());
        }
    }
}

#[tokio::test]
async fn a_root_that_cannot_be_used_is_said_at_start_and_is_a_matter_of_configuration() {
    let mut world = Safe::new("standard");
    let file = world.dir.path().join("file");
    fs::write(&file, "").unwrap();
    world.step = Secrets::new(&file, MasterKey::new(MASTER));
    let at_start = prepare(&file).await.unwrap_err();
    let asked = world.ask(&Tenant::fresh(), 10, 1).await.unwrap_err();
    for no in [at_start, asked] {
        assert!(is_no(&no, Code::Misconfigured, Class::Config, None), "{no}");
    }
}
